//! Ours beside theirs: which cells contradict, and the class of each difference.

use super::*;
use crate::domain::compare::{Agreement, Class, Comparison, Said, Side, Situation, Subject, compare};

/// A report by a way, so many minutes after the state was entered.
fn said(side: Side, minutes: i64, report: Report) -> Said {
    Said { side, at: began() + TimeDelta::minutes(minutes), report }
}

/// An opening that was decided ten minutes after its wait began.
fn decided() -> Situation {
    Situation { decided_at: Some(began() + MINUTE * 10), ..Situation::default() }
}

fn with_case(kind: CaseKind) -> Situation {
    Situation { open_cases: vec![kind], ..decided() }
}

/// The cells that contradict ours: `subject/side`.
fn marked(comparison: &Comparison) -> String {
    let cells = comparison
        .rows
        .iter()
        .flat_map(|row| row.cells.iter().filter(|it| it.contradicts).map(|it| format!("{}/{}", row.subject, it.side)));
    cells.collect::<Vec<_>>().join(" ")
}

#[expect(clippy::too_many_lines, reason = "a table")]
#[test]
fn every_class_has_its_situation_and_the_first_that_fits_is_taken() {
    use StateName as S;
    let unknown = |mut opening: Opening| {
        opening.state = State::RequestingAccount { profile: profile("prof_1"), unknown_since: Some(began()) };
        opening
    };
    let open = || completed(IBAN, BIC);
    let pending = || report(Verdict::Pending);
    let unread = Situation { is_unread: true, ..Situation::default() };
    let missing = Situation { is_missing: true, ..decided() };
    for (opening, said, situation, agreement, class) in [
        (opening(S::AwaitingProvider), vec![], Situation::default(), Agreement::Unknown, Some(Class::Waiting)),
        (
            opening(S::AwaitingProvider),
            vec![said(Side::Poll, 5, pending())],
            Situation::default(),
            Agreement::Unknown,
            Some(Class::Waiting),
        ),
        (
            opening(S::Escalated),
            vec![said(Side::Poll, 5, pending())],
            decided(),
            Agreement::Unknown,
            Some(Class::Waiting),
        ),
        (opening(S::AwaitingProvider), vec![], unread.clone(), Agreement::Unknown, Some(Class::Unread)),
        (
            opening(S::Completed),
            vec![said(Side::Webhook, 9, report(Verdict::Rejected))],
            unread,
            Agreement::Differ,
            Some(Class::Unread),
        ),
        (
            opening(S::Completed),
            vec![said(Side::Webhook, 9, report(Verdict::Rejected))],
            decided(),
            Agreement::Differ,
            Some(Class::ConflictingAnswer),
        ),
        (
            opening(S::Failed),
            vec![said(Side::Poll, 11, open())],
            decided(),
            Agreement::Differ,
            Some(Class::ConflictingAnswer),
        ),
        (
            opening(S::Completed),
            vec![said(Side::Webhook, 9, completed(OTHER_IBAN, BIC))],
            decided(),
            Agreement::Differ,
            Some(Class::AccountDiffers),
        ),
        (
            opening(S::AwaitingProvider),
            vec![said(Side::Webhook, 9, completed(BAD_IBAN, BIC))],
            with_case(CaseKind::InvalidIban),
            Agreement::Differ,
            Some(Class::AccountDiffers),
        ),
        (
            opening(S::AwaitingProvider),
            vec![said(Side::Webhook, 9, open())],
            with_case(CaseKind::IbanHeldElsewhere),
            Agreement::Differ,
            Some(Class::HeldElsewhere),
        ),
        (
            opening(S::AwaitingProvider),
            vec![said(Side::Poll, 9, Report { reference: Some(reference(OTHER_REFERENCE)), ..pending() })],
            Situation::default(),
            Agreement::Differ,
            Some(Class::CorrelationMismatch),
        ),
        (opening(S::Failed), vec![said(Side::Poll, 9, pending())], decided(), Agreement::Differ, Some(Class::OursOnly)),
        (
            opening(S::Completed),
            vec![said(Side::Webhook, 9, open())],
            missing,
            Agreement::Differ,
            Some(Class::MissingAtProvider),
        ),
        (
            unknown(opening(S::RequestingAccount)),
            vec![],
            Situation::default(),
            Agreement::Unknown,
            Some(Class::OutcomeUnknown),
        ),
        (
            opening(S::AwaitingProvider),
            vec![said(Side::Webhook, 9, report(Verdict::Unknown))],
            Situation::default(),
            Agreement::Unknown,
            Some(Class::UnknownWord),
        ),
        (
            opening(S::Completed),
            vec![said(Side::Webhook, 9, open()), said(Side::List, 11, pending())],
            decided(),
            Agreement::Differ,
            Some(Class::StaleView),
        ),
        // A word from before the answer was true at its time.
        (
            opening(S::Completed),
            vec![said(Side::Webhook, 9, open()), said(Side::Poll, 5, pending())],
            decided(),
            Agreement::Agree,
            None,
        ),
        (opening(S::Rejected), vec![said(Side::Poll, 9, report(Verdict::Rejected))], decided(), Agreement::Agree, None),
    ] {
        let comparison = compare(&opening, &said, &situation);
        let state = opening.state_name();
        assert_eq!((comparison.agreement, comparison.class), (agreement, class), "{state} {said:?} {situation:?}");
    }
}

#[test]
fn a_cell_that_contradicts_ours_is_marked_and_what_is_not_said_contradicts_nothing() {
    let opening = opening(StateName::Completed);
    let bare = Report { reference: None, our_reference: None, ..report(Verdict::Completed) };
    let braced = format!("{{{}}}", ours().to_string().to_uppercase());
    for (report, expected) in [
        (bare.clone(), ""),
        (Report { our_reference: Some(braced), ..completed(PRINTED_IBAN, "nexubebb500") }, ""),
        (Report { our_reference: Some(id(2).to_string()), ..bare.clone() }, "reference/theirs reference/webhook"),
        (
            Report { reference: Some(reference(OTHER_REFERENCE)), ..bare },
            "provider_reference/theirs provider_reference/webhook",
        ),
        (completed(OTHER_IBAN, BIC), "iban/theirs iban/webhook"),
        (completed(IBAN, OTHER_BIC), "bic/theirs bic/webhook"),
        (report(Verdict::Rejected), "status/theirs status/webhook"),
        (report(Verdict::Unknown), ""),
    ] {
        let comparison = compare(&opening, &[said(Side::Webhook, 9, report.clone())], &decided());
        assert_eq!(marked(&comparison), expected, "{report:?}");
    }
}

#[test]
fn the_last_word_is_the_newest_by_whichever_way_and_each_way_has_its_own_column() {
    let opening = opening(StateName::AwaitingProvider);
    let list = Report { word: "LISTED".into(), ..report(Verdict::Pending) };
    let said = [
        said(Side::Ours, 1, report(Verdict::Started)),
        said(Side::Poll, 5, report(Verdict::Pending)),
        said(Side::List, 7, list),
        said(Side::Poll, 3, report(Verdict::Started)),
    ];
    let comparison = compare(&opening, &said, &Situation::default());
    let row = comparison.rows.iter().find(|it| it.subject == Subject::Status).unwrap();
    let words: Vec<&str> = row.cells.iter().map(|it| it.value.as_deref().unwrap_or("-")).collect();
    assert_eq!(words, ["awaiting_provider", "LISTED", "-", "IN_PROGRESS", "LISTED", "-"]);
}
