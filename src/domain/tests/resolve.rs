//! An operator's decision (P6, P8): one answer among others. Its text stays out of history, and an erased opening
//! ignores every later fact.

use super::inbox::Inbox;
use super::*;

fn decisions() -> [Resolution; 3] {
    [Resolution::Failed, Resolution::Rejected, found(IBAN, Some(REFERENCE))]
}

/// An opening that was erased in a terminal state.
fn erased(state: StateName) -> Opening {
    let before = opening(state);
    let remains = Remains {
        state,
        profile: before.state.profile().cloned(),
        reference: before.state.reference().cloned(),
        card: before.state.card().cloned(),
        at: began() + HOUR,
    };
    Opening { state: State::Erased(remains), ..before }
}

#[test]
fn the_history_of_a_decision_names_the_act_and_none_of_the_operators_words() {
    for state in StateName::ALL {
        for resolution in decisions() {
            let fact = resolved(resolution);
            let decision = decide(&opening(*state), &event(1, fact), &Policy::default(), began());
            for step in &decision.steps {
                let detail = step.detail.as_deref().unwrap();
                assert_eq!(detail, format!("by an operator, act {}", Uuid::from_u128(77)));
                assert_eq!((step.event, step.source), ("operator_resolved", Source::Operator));
            }
            let reason = decision.opening.state.reason();
            let by_us = matches!(decision.steps.last(), Some(step) if step.to != StateName::IssuingCard);
            assert_eq!(by_us, reason == Some("seen at the bank"), "{state}: {reason:?}");
            assert_eq!(decision.opening.provider_status, None, "an operator is not the provider");
        }
    }
}

/// P6, P8: the first answer stays. A later answer of the provider that differs is one case; one that agrees is none.
#[test]
fn p8_a_later_answer_of_the_provider_that_disagrees_is_one_case() {
    let open = || reported(completed(IBAN, BIC));
    let other = || reported(completed(OTHER_IBAN, BIC));
    let no = || reported(report(Verdict::Rejected));
    for (resolution, end, agrees, differ) in [
        (Resolution::Failed, StateName::Failed, None, vec![open(), no()]),
        (Resolution::Rejected, StateName::Rejected, Some(no()), vec![open()]),
        (found(IBAN, None), StateName::IssuingCard, Some(open()), vec![other(), no()]),
    ] {
        for state in [StateName::AwaitingProvider, StateName::Escalated] {
            let inbox = Inbox::after(state, [resolved(resolution.clone())].into_iter().chain(agrees.clone()));
            assert_eq!((inbox.opening.state_name(), inbox.causes.len()), (end, 0), "{resolution:?}");
            for differs in &differ {
                let facts = [resolved(resolution.clone()), differs.clone(), differs.clone()];
                let inbox = Inbox::after(state, facts);
                assert_eq!((inbox.opening.state_name(), inbox.causes.len()), (end, 1), "{resolution:?} {differs:?}");
                inbox.assert_nothing_happened_twice();
            }
        }
    }
}

#[test]
fn of_two_decisions_the_first_stays_and_another_one_is_one_case() {
    for (first, second) in decisions().iter().flat_map(|first| decisions().map(|second| (first.clone(), second))) {
        let differs = usize::from(first != second);
        let twice = [resolved(first.clone()), resolved(second.clone()), resolved(second)];
        let inbox = Inbox::after(StateName::Escalated, twice);
        assert_eq!((inbox.opening.state_name(), inbox.opening.version), (first.state(), 5));
        assert_eq!((inbox.causes.len(), inbox.parked.len()), (differs, 0), "{first:?}");
        inbox.assert_nothing_happened_twice();
    }
}

/// P8: an operator and a provider that disagree are one case, in either order; agreement is none.
#[test]
fn p8_a_decision_and_an_answer_that_disagree_are_one_case_in_either_order() {
    let answers = [completed(IBAN, BIC), completed(OTHER_IBAN, BIC), report(Verdict::Rejected)];
    for (d, resolution) in decisions().into_iter().enumerate() {
        for (a, answer) in answers.iter().enumerate() {
            let agree = [(1, 2), (2, 0)].contains(&(d, a));
            for state in [StateName::AwaitingProvider, StateName::Escalated] {
                let facts = [resolved(resolution.clone()), reported(answer.clone())];
                let ends = [facts.clone(), {
                    let [first, second] = facts;
                    [second, first]
                }]
                .map(|order| {
                    let inbox = Inbox::after(state, order);
                    assert_eq!(inbox.causes.len(), usize::from(!agree), "{resolution:?} {answer:?}");
                    assert!(inbox.causes.iter().all(|(kind, _)| *kind == CaseKind::ConflictingAnswer));
                    inbox.end()
                });
                assert_eq!(ends[0] == ends[1], agree, "{ends:?}");
            }
        }
    }
}

#[test]
fn the_case_of_a_late_decision_has_the_act_as_its_evidence() {
    let late = event(7, resolved(Resolution::Failed));
    let decision = decide(&opening(StateName::Completed), &late, &Policy::default(), began());
    let case = cases(&decision).next().unwrap();
    assert_eq!((case.evidence, case.cause.as_str()), (late.inbox_id, "failed"));
    assert_eq!(case.theirs["act"], serde_json::json!(Uuid::from_u128(77)));
}

#[test]
fn nothing_means_anything_to_an_opening_that_was_erased() {
    let facts = || {
        [
            reported(completed(OTHER_IBAN, BIC)),
            reported(report(Verdict::Rejected)),
            reported(report(Verdict::Unknown)),
            accepted(Report { reference: Some(reference(OTHER_REFERENCE)), ..report(Verdict::Started) }),
            unanswered(began()),
            Fact::ProfileCreated { profile: profile("prof_2") },
            Fact::CardIssued { card: card("card_2") },
            Fact::SubmissionRejected { code: "no".into(), message: "no".into() },
            Fact::CommandDead { topic: Topic::IssueCard, cause: "x".into() },
            resolved(Resolution::Failed),
        ]
    };
    for state in StateName::ALL.iter().copied().filter(|it| it.is_terminal()) {
        let before = erased(state);
        assert_eq!((before.state_name(), before.state.account()), (state, None));
        assert_eq!(before.state.reason(), (state != StateName::Completed).then_some("erased"));
        for fact in facts() {
            let decision = decide(&before, &event(1, fact), &Policy::default(), began());
            assert_eq!((decision.outcome, &decision.opening), (Outcome::Superseded, &before));
            assert!(decision.steps.is_empty() && decision.effects.is_empty());
        }
    }
}
