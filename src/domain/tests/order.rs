//! Any order, any number of copies, any loss: one terminal state (P6), the same one unless the provider gave two different
//! answers, and then one case (P8).

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::inbox::{Inbox, answer};
use super::*;

/// A poll long after any deadline: escalates any opening that still waits.
fn last_poll() -> Fact {
    unanswered(began() + HOUR * 48)
}

/// An answer in each of its forms.
fn told(which: usize) -> Vec<Fact> {
    let untracked = |report: Report| reported(Report { reference: None, ..report });
    match which {
        0 => vec![
            reported(completed(IBAN, BIC)),
            reported(Report { word: "SUCCEEDED".into(), ..completed(PRINTED_IBAN, "NEXUBEBBXXX") }),
            untracked(completed(IBAN, BIC)),
            accepted(completed(IBAN, BIC)),
        ],
        1 => vec![
            reported(report(Verdict::Rejected)),
            reported(Report { reason: Some("other words".into()), ..report(Verdict::Rejected) }),
            untracked(report(Verdict::Rejected)),
        ],
        _ => vec![
            reported(completed(OTHER_IBAN, BIC)),
            reported(completed(OTHER_IBAN, "NEXUBEBB123")),
            polled(began(), completed(OTHER_IBAN, "nexubebbxxx")),
        ],
    }
}

/// Facts without an answer: they may arrive any number of times, anywhere, or never.
fn noise() -> Vec<Fact> {
    vec![
        reported(report(Verdict::Started)),
        reported(report(Verdict::Pending)),
        reported(report(Verdict::Pending)),
        reported(report(Verdict::Unknown)),
        reported(Report { reference: None, ..report(Verdict::Pending) }),
        unanswered(began()),
        polled(began(), report(Verdict::Pending)),
        last_poll(),
        Fact::PollRequested,
        Fact::SubmissionUnknown { class: "timeout".into() },
        Fact::CommandDead { topic: Topic::DeliverEvent, cause: "gone".into() },
    ]
}

/// Results of our own commands: never lost, possibly repeated. The card answers a command that is sent only after the
/// account exists; before that, and after a refusal, it is parked.
fn results() -> Vec<Fact> {
    vec![
        Fact::ProfileCreated { profile: profile("prof_1") },
        accepted(report(Verdict::Started)),
        Fact::CardIssued { card: card("card_1") },
    ]
}

/// Arrivals of the facts of some `answers`: a subset of all copies, in any order.
fn arrivals(answers: &'static [usize]) -> impl Strategy<Value = Vec<Fact>> {
    let mut pool: Vec<Fact> = answers.iter().flat_map(|which| told(*which)).chain(noise()).chain(results()).collect();
    pool.extend(pool.clone());
    let all = pool.len();
    proptest::sample::subsequence(pool, 0..=all)
        .prop_map(|mut some| {
            some.extend(results());
            some
        })
        .prop_shuffle()
}

/// Delivers the facts, then lets a poll repair losses, and checks P6 and P8.
fn check(arrivals: &[Fact], truth: usize) {
    let repair = polled(began() + HOUR * 24, told(truth)[0].report().unwrap().clone());
    let facts = || arrivals.iter().cloned().chain([repair.clone()]);
    let inbox = Inbox::after(StateName::CreatingProfile, facts());
    let answers: BTreeSet<String> = facts().filter_map(|fact| answer(&fact)).collect();

    let first = inbox.decided_by.as_ref().and_then(answer).unwrap();
    assert_eq!(inbox.end(), first, "the first terminal answer applied is kept (P6)");
    assert_eq!(inbox.settled_before, 0, "a terminal answer was passed over (P8)");
    assert!(answers.contains(&first));
    // Two answers: one case. Two accounts after a refusal are one disagreement: refusal against account.
    let cases = if first == "rejected -" { (answers.len() - 1).min(1) } else { answers.len() - 1 };
    assert_eq!(inbox.causes.len(), cases, "{:?}", inbox.causes);
    let waits = |event: &Event| matches!(event.fact, Fact::CardIssued { .. });
    assert!(inbox.parked.iter().all(waits) && (inbox.parked.is_empty() || first == "rejected -"));
    inbox.assert_nothing_happened_twice();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn p8_one_answer_gives_one_final_state_in_every_order((facts, truth) in prop_oneof![
        (arrivals(&[0]), Just(0)), (arrivals(&[1]), Just(1)), (arrivals(&[2]), Just(2)),
    ]) {
        check(&facts, truth);
    }

    #[test]
    fn p6_p8_two_different_answers_keep_the_first_and_open_one_case((facts, truth) in prop_oneof![
        (arrivals(&[0, 1]), 0..2_usize), (arrivals(&[1, 2]), 1..3_usize), (arrivals(&[0, 2]), Just(2)),
    ]) {
        check(&facts, truth);
    }

    #[test]
    fn p6_three_different_answers_keep_the_first_and_open_a_case_for_what_disagrees(facts in arrivals(&[0, 1, 2])) {
        check(&facts, 0);
    }
}

/// Every order of some facts.
fn permutations(facts: &[Fact]) -> Vec<Vec<Fact>> {
    if facts.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (n, first) in facts.iter().enumerate() {
        let rest: Vec<Fact> = [&facts[..n], &facts[n + 1..]].concat();
        all.extend(permutations(&rest).into_iter().map(|order| [vec![first.clone()], order].concat()));
    }
    all
}

#[test]
fn p8_all_120_orders_of_five_webhooks_keep_the_first_answer_and_open_one_case() {
    let pending = reported(report(Verdict::Pending));
    let facts = [
        reported(report(Verdict::Started)),
        pending.clone(),
        reported(completed(IBAN, BIC)),
        pending,
        reported(report(Verdict::Rejected)),
    ];
    let orders = permutations(&facts);
    assert_eq!(orders.len(), 120);
    let waiting = [StateName::RequestingAccount, StateName::AwaitingProvider, StateName::Escalated];
    for (order, state) in orders.iter().flat_map(|order| waiting.map(|state| (order, state))) {
        let inbox = Inbox::after(state, order.clone());
        let completed_first = order.iter().find_map(answer) == answer(&facts[2]);
        let expected = if completed_first { StateName::IssuingCard } else { StateName::Rejected };
        assert_eq!(inbox.opening.state_name(), expected, "{state}: {order:?}");
        assert_eq!(inbox.causes.len(), 1, "{state}: {order:?}");
        inbox.assert_nothing_happened_twice();
    }
}

/// P8: a refused submission is an answer like any other.
#[test]
fn p8_a_refused_submission_and_an_account_open_one_case_in_every_order() {
    let refused = Fact::SubmissionRejected { code: "duplicate".into(), message: "known".into() };
    let account = || reported(completed(IBAN, BIC));
    let facts = [refused.clone(), reported(report(Verdict::Pending)), account(), account()];
    for order in permutations(&facts) {
        let inbox = Inbox::after(StateName::RequestingAccount, order.clone());
        assert_eq!(inbox.causes.len(), 1, "{order:?}");
    }
    for order in permutations(&[refused, reported(report(Verdict::Rejected))]) {
        let inbox = Inbox::after(StateName::RequestingAccount, order);
        assert_eq!((inbox.end().as_str(), inbox.causes.len()), ("rejected -", 0));
    }
}

/// Rule 3: one case per opening and value, before or after the account, and the valid account is saved.
#[test]
fn p8_an_invalid_iban_is_one_case_in_every_order_and_never_saved() {
    let facts = [
        reported(completed(BAD_IBAN, BIC)),
        polled(began(), completed(BAD_IBAN, BIC)),
        reported(completed(IBAN, BIC)),
        Fact::CardIssued { card: card("card_1") },
    ];
    for order in permutations(&facts) {
        let inbox = Inbox::after(StateName::RequestingAccount, order);
        assert_eq!(inbox.end(), format!("completed {IBAN}"));
        let causes: Vec<_> = inbox.causes.into_iter().collect();
        assert_eq!(causes, [(CaseKind::InvalidIban, BAD_IBAN.to_owned())]);
    }
}

/// Rule 4, one case per cause: spelling does not make another account a second one.
#[test]
fn one_other_account_is_one_case_however_it_is_written() {
    let written =
        |iban: &str, bic: Option<&str>| reported(Report { bic: bic.map(str::to_owned), ..completed(iban, BIC) });
    let iban = [Some(BIC), Some("nexubebbxxx"), Some("NEXUBEBB123"), Some(OTHER_BIC), Some("no BIC"), None];
    let inbox = Inbox::after(StateName::Completed, iban.map(|bic| written(OTHER_IBAN, bic)));
    assert_eq!(inbox.causes.len(), 1, "{:?}", inbox.causes);
    let bank = [Some(OTHER_BIC), Some("DEUTDEFFXXX"), Some("DEUTDEFF500")];
    let inbox = Inbox::after(StateName::Completed, bank.map(|bic| written(IBAN, bic)));
    assert_eq!(inbox.causes.len(), 1, "{:?}", inbox.causes);
}

/// Rule 1, rule 7: two tracking ids are one disagreement, in any order and number.
#[test]
fn two_tracking_ids_are_one_case_in_every_order() {
    let other = Report { reference: Some(reference(OTHER_REFERENCE)), ..report(Verdict::Pending) };
    let facts = [
        accepted(report(Verdict::Started)),
        reported(other.clone()),
        reported(report(Verdict::Pending)),
        accepted(other),
    ];
    for order in permutations(&facts) {
        let inbox = Inbox::after(StateName::RequestingAccount, order);
        assert_eq!((inbox.opening.state_name(), inbox.causes.len()), (StateName::AwaitingProvider, 1));
    }
}
