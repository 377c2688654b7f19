//! The coming events in every state, and the sentences that say where an opening is. (P34)

use super::*;
use crate::domain::next::{Coming, Still, WaitingCall, Work, next};
use crate::domain::say::{to_colleague, to_customer};

fn call(topic: Topic, is_held: bool) -> Work {
    let call = WaitingCall { topic, attempt: 3, due_at: began() + MINUTE, is_under_way: false, is_held };
    Work { calls: vec![call], ..Work::default() }
}

fn given_up() -> Work {
    Work { is_given_up: true, ..Work::default() }
}

/// The coming events in short: kind, and minutes since the state was entered.
fn coming(opening: &Opening, work: &Work) -> String {
    let short = |it: &Coming| match it.at() {
        Some(at) => format!("{}@{}", it.kind(), (at - began()).num_minutes()),
        None => it.kind().to_string(),
    };
    next(opening, work).iter().map(short).collect::<Vec<_>>().join(" ")
}

#[test]
fn p34_each_state_has_its_coming_events_soonest_first() {
    use StateName as S;
    let told = |mut opening: Opening| {
        opening.due_at = Some(opening.deadline_at + HOUR * 12);
        opening
    };
    let asked = |mut opening: Opening| {
        opening.due_at = Some(began() + HOUR * 13);
        opening
    };
    let none = Work::default();
    for (opening, work, expected) in [
        (opening(S::CreatingProfile), call(Topic::CreateProfile, false), "call@1 deadline@720"),
        (opening(S::RequestingAccount), call(Topic::SubmitRequest, true), "call@1 deadline@720"),
        (opening(S::IssuingCard), call(Topic::IssueCard, false), "call@1 deadline@720"),
        // Between a call's answer and the decision about it.
        (opening(S::IssuingCard), none.clone(), "deadline@720"),
        // Its ticket was opened at the deadline.
        (told(opening(S::IssuingCard)), call(Topic::IssueCard, false), "call@1"),
        (opening(S::IssuingCard), given_up(), "nothing"),
        (opening(S::AwaitingProvider), none.clone(), "poll@30 deadline@720"),
        (opening(S::Escalated), none.clone(), "nothing"),
        (asked(opening(S::Escalated)), none.clone(), "poll@780"),
        (opening(S::Completed), none.clone(), "nothing"),
        (opening(S::Rejected), none.clone(), "nothing"),
        (opening(S::Failed), none, "nothing"),
    ] {
        assert_eq!(coming(&opening, &work), expected, "{} {work:?}", opening.state_name());
    }
}

#[test]
fn polls_are_numbered_from_the_beginning_of_the_wait_and_the_last_one_is_called_so() {
    let mut opening = opening(StateName::AwaitingProvider);
    (opening.polls, opening.polls_before_wait) = (5, 2);
    let poll = |opening: &Opening| next(opening, &Work::default())[0];
    assert_eq!(poll(&opening), Coming::Poll { at: began() + MINUTE * 30, number: 4, is_last: false, is_held: false });
    opening.due_at = Some(opening.deadline_at);
    assert_eq!(poll(&opening), Coming::Poll { at: opening.deadline_at, number: 4, is_last: true, is_held: false });
    let held = Work { are_polls_held: true, ..Work::default() };
    let expected = Coming::Poll { at: opening.deadline_at, number: 4, is_last: true, is_held: true };
    assert_eq!(next(&opening, &held)[0], expected, "its breaker is open");
}

#[test]
fn nothing_comes_for_three_reasons() {
    let still = |opening: &Opening, work: &Work| next(opening, work)[0];
    assert_eq!(still(&opening(StateName::Completed), &Work::default()), Coming::Nothing(Still::Ended));
    assert_eq!(still(&opening(StateName::Escalated), &Work::default()), Coming::Nothing(Still::Escalated));
    assert_eq!(still(&opening(StateName::CreatingProfile), &given_up()), Coming::Nothing(Still::GivenUp));
}

#[test]
fn each_state_has_a_sentence_for_the_customer_and_one_for_a_colleague_that_name_whose_turn_it_is() {
    for (state, work, customer, colleague) in [
        (StateName::CreatingProfile, Work::default(), "passing it on", "profile service's turn"),
        (StateName::RequestingAccount, Work::default(), "passing it on", "We are asking somebank"),
        (StateName::RequestingAccount, given_up(), "passing it on", "our turn"),
        (StateName::RequestingAccount, call(Topic::SubmitRequest, true), "passing it on", "breaker is open"),
        (StateName::AwaitingProvider, Work::default(), "not decided yet", "somebank's turn, and inside its time"),
        (StateName::Escalated, Work::default(), "longer than it should", "a late answer still counts"),
        (StateName::IssuingCard, Work::default(), "account is open", "card issuer's turn"),
        (StateName::Completed, Work::default(), "card has been issued", "ended"),
        (StateName::Rejected, Work::default(), "decided not to", "refused"),
        (StateName::Failed, Work::default(), "without an account", "an operator ended it"),
    ] {
        let opening = opening(state);
        let (to_customer, to_colleague) = (to_customer(&opening), to_colleague(&opening, &next(&opening, &work)));
        assert!(to_customer.contains(customer) && to_colleague.contains(colleague), "{state}: {to_colleague}");
        // The customer is told of no system and no name.
        assert!(!to_customer.contains("somebank") && !to_customer.contains("IBAN"), "{to_customer}");
    }
}
