//! A row of a register beside our openings.

mod basis;
#[cfg(test)]
mod tests;

use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

pub use self::basis::{Basis, OurOpening, Ours, TimeDeltaSeconds, Times};
use super::{Act, Class, Classified, Difference, Finding, Suggestion};
use crate::domain::bank::{Bic, compact};
use crate::domain::{StateName, Status, Verdict};
use crate::report_files::row::RegisterRow;

/// How long an unknown word may become known before a person decides.
const UNKNOWN_WORD: TimeDelta = TimeDelta::days(7);

/// Compares a row with what we hold.
#[must_use]
pub fn classify(row: &RegisterRow, ours: &Ours, times: Times) -> Classified {
    if ours.newer {
        return superseded(row, ours);
    }
    match (&ours.by_tracking_id, &ours.by_reference) {
        (None, None) => Classified::found("no_opening", vec![stranger(row)]),
        (Some(first), Some(second)) if first.id != second.id => {
            Classified::found("two_openings", vec![crossed(row, first, second)])
        }
        (None, Some(held)) if held.provider_reference.is_some() => {
            Classified::found("second_tracking_id", vec![second_account(row, held)])
        }
        (Some(opening), _) | (None, Some(opening)) => of_opening(row, opening, ours.said_later, times),
    }
}

/// Of a row that a later register replaces only a final answer still counts, for an opening that waits.
fn superseded(row: &RegisterRow, ours: &Ours) -> Classified {
    let waits = |it: &&OurOpening| it.state.status() == Status::InProgress;
    let is_one = ours.by_reference.is_none() || ours.by_tracking_id.is_none();
    match ours.opening().filter(waits) {
        Some(opening) if is_one && row.is_final() => Classified::found("final_ours_waits", vec![missed(row, opening)]),
        _ => Classified::matched("a_newer_file_counts"),
    }
}

fn of_opening(row: &RegisterRow, opening: &OurOpening, said_later: bool, times: Times) -> Classified {
    let attributes = attributes(row, opening);
    let (rule, answer) = answer(row, opening, said_later, times);
    Classified::found(rule, attributes.into_iter().chain(answer).collect())
}

fn stranger(row: &RegisterRow) -> Finding {
    Finding {
        class: Class::MissingInternal,
        subject: row.provider_reference.clone(),
        aspect: "presence",
        act: Act::Case,
        ours: json!({}),
        theirs: theirs(row),
        differences: vec![Difference::new("provider_reference", None, Some(&row.provider_reference))],
        suggested: suggest(
            Class::MissingInternal,
            "no opening of ours has this tracking id or reference",
            "ask the provider who requested it; nothing was made here",
        ),
    }
}

fn crossed(row: &RegisterRow, first: &OurOpening, second: &OurOpening) -> Finding {
    Finding {
        class: Class::CorrelationMismatch,
        subject: row.provider_reference.clone(),
        aspect: "identity",
        act: Act::Case,
        ours: json!({"by_tracking_id": side(first), "by_reference": side(second)}),
        theirs: theirs(row),
        differences: vec![Difference::new("opening_id", Some(&first.id.to_string()), Some(&second.id.to_string()))],
        suggested: suggest(
            Class::CorrelationMismatch,
            "the tracking id is of one opening and the reference of another",
            "ask the provider which request the tracking id belongs to",
        ),
    }
}

fn second_account(row: &RegisterRow, held: &OurOpening) -> Finding {
    Finding {
        class: Class::DuplicateAccount,
        subject: row.provider_reference.clone(),
        aspect: "identity",
        act: Act::Case,
        ours: side(held),
        theirs: theirs(row),
        differences: vec![Difference::new(
            "provider_reference",
            held.provider_reference.as_deref(),
            Some(&row.provider_reference),
        )],
        suggested: suggest(
            Class::DuplicateAccount,
            "the opening holds another tracking id, and no opening holds this one",
            "have the provider close the account that is not ours",
        ),
    }
}

fn attributes(row: &RegisterRow, opening: &OurOpening) -> Option<Finding> {
    let pairs = [("market", &opening.market, &row.market), ("currency", &opening.currency, &row.currency)];
    let differs = |(_, ours, theirs): &(&str, &String, &Option<String>)| theirs.as_ref().is_some_and(|it| it != *ours);
    let differences: Vec<Difference> = pairs
        .into_iter()
        .filter(differs)
        .map(|(field, ours, theirs)| Difference::new(field, Some(ours), theirs.as_deref()))
        .collect();
    if differences.is_empty() {
        return None;
    }
    Some(Finding {
        class: Class::AttributeMismatch,
        subject: opening.id.to_string(),
        aspect: "attributes",
        act: Act::Case,
        ours: side(opening),
        theirs: theirs(row),
        differences,
        suggested: suggest(
            Class::AttributeMismatch,
            "market or currency differ from what was requested",
            "have the provider correct its record, or end the account",
        ),
    })
}

/// The rule, and what it found.
fn answer(row: &RegisterRow, opening: &OurOpening, said_later: bool, times: Times) -> (&'static str, Option<Finding>) {
    let status = opening.state.status();
    match (row.verdict, status) {
        (Verdict::Unknown, _) => ("unknown_word", Some(unknown(row, opening, times))),
        (Verdict::Completed | Verdict::Rejected, Status::InProgress) => {
            ("final_ours_waits", Some(missed(row, opening)))
        }
        (Verdict::Rejected, Status::Rejected) => ("both_rejected", None),
        (Verdict::Completed, Status::Succeeded) => match other_account(row, opening) {
            Some(differences) => ("other_account", Some(iban(row, opening, differences))),
            None => ("both_completed", None),
        },
        (Verdict::Completed | Verdict::Rejected, _) => ("both_final_and_different", Some(different(row, opening))),
        (Verdict::Started | Verdict::Pending, Status::InProgress) => ("both_wait", None),
        (Verdict::Started | Verdict::Pending, _) if said_later => ("a_later_row_is_final", None),
        (Verdict::Started | Verdict::Pending, _) => behind(row, opening, times),
    }
}

fn finding(class: Class, act: Act, row: &RegisterRow, opening: &OurOpening, suggested: Suggestion) -> Finding {
    let (ours, theirs_) = (opening.state.to_string(), row.status.clone());
    Finding {
        class,
        subject: opening.id.to_string(),
        aspect: "answer",
        act,
        ours: side(opening),
        theirs: theirs(row),
        differences: vec![Difference::new("status", Some(&ours), Some(&theirs_))],
        suggested,
    }
}

fn missed(row: &RegisterRow, opening: &OurOpening) -> Finding {
    let suggested = suggest(
        Class::MissedAnswer,
        "the provider has decided, and its answer did not reach us",
        "nothing: the answer was put into the inbox",
    );
    finding(Class::MissedAnswer, Act::Fact, row, opening, suggested)
}

fn different(row: &RegisterRow, opening: &OurOpening) -> Finding {
    let suggested = suggest(
        Class::StatusMismatch,
        "both sides are final and differ; the first final answer stands",
        "ask the provider which answer is right, then resolve the case",
    );
    finding(Class::StatusMismatch, Act::Fact, row, opening, suggested)
}

fn iban(row: &RegisterRow, opening: &OurOpening, differences: Vec<Difference>) -> Finding {
    let suggested = suggest(
        Class::IbanMismatch,
        "both sides completed, with another account",
        "ask the provider which account is the customer's, then resolve the case",
    );
    // `decide` compares the banks of two answers only where both have an IBAN.
    let act = if row.iban.is_some() { Act::Fact } else { Act::Case };
    Finding { differences, ..finding(Class::IbanMismatch, act, row, opening, suggested) }
}

fn unknown(row: &RegisterRow, opening: &OurOpening, times: Times) -> Finding {
    let suggested = suggest(
        Class::UnknownWord,
        "the status is a word that this version does not know",
        "ask the provider what it means; a new version may know it",
    );
    finding(Class::UnknownWord, Act::Wait { until: times.received_at + UNKNOWN_WORD }, row, opening, suggested)
}

/// Ours is final and theirs is not: a matter of time, or of a lost decision.
fn behind(row: &RegisterRow, opening: &OurOpening, times: Times) -> (&'static str, Option<Finding>) {
    let window = times.window.delta();
    let ended_at = opening.ended_at.unwrap_or(times.as_of);
    if ended_at + window > times.as_of {
        let until = ended_at.max(times.received_at) + window;
        let suggested = suggest(
            Class::TimingMismatch,
            "ours ended shortly before the provider looked at its books, or after",
            "nothing: the next register should agree",
        );
        return (
            "ended_inside_the_window",
            Some(finding(Class::TimingMismatch, Act::Wait { until }, row, opening, suggested)),
        );
    }
    ("ended_before_the_window", Some(overdue(row, opening)))
}

/// Theirs is still not final although ours ended long ago.
#[must_use]
pub fn overdue(row: &RegisterRow, opening: &OurOpening) -> Finding {
    let suggested = suggest(
        Class::StatusMismatch,
        "ours has ended, and the provider still reports no final answer",
        "ask the provider for the state of the account, then resolve the case",
    );
    finding(Class::StatusMismatch, Act::Case, row, opening, suggested)
}

/// The differences between the two accounts. An account that was erased, or is not in the file, cannot be compared.
fn other_account(row: &RegisterRow, opening: &OurOpening) -> Option<Vec<Difference>> {
    if opening.erased {
        return None;
    }
    let mut differences = Vec::new();
    if let (Some(theirs), Some(ours)) = (&row.iban, &opening.iban)
        && compact(theirs) != *ours
    {
        differences.push(Difference::new("iban", Some(ours), Some(theirs)));
    }
    if let (Some(theirs), Some(ours)) = (&row.bic, &opening.bic)
        && !same_bank(ours, theirs)
    {
        differences.push(Difference::new("bic", Some(ours), Some(theirs)));
    }
    (!differences.is_empty()).then_some(differences)
}

fn same_bank(ours: &str, theirs: &str) -> bool {
    match (Bic::parse(ours), Bic::parse(theirs)) {
        (Ok(ours), Ok(theirs)) => ours.same_bank(&theirs),
        _ => ours == theirs,
    }
}

/// A row with a key that stands twice in its file, with other content.
#[must_use]
pub fn conflicting(row: &RegisterRow) -> Finding {
    Finding {
        class: Class::ConflictingRows,
        subject: row.provider_reference.clone(),
        aspect: "row",
        act: Act::Case,
        ours: json!({}),
        theirs: theirs(row),
        differences: Vec::new(),
        suggested: suggest(
            Class::ConflictingRows,
            "one row id stands twice in one file, with different content",
            "ask the provider which row is right; neither was used",
        ),
    }
}

/// An opening that no row of a complete register names.
#[must_use]
pub fn absent(id: Uuid, state: StateName, provider_reference: &str, is_second_time: bool) -> Finding {
    let waits = state.status() == Status::InProgress && !is_second_time;
    let (why, action) = if waits {
        ("the opening waits, and a complete register does not name it", "nothing yet: the provider is asked")
    } else {
        ("a complete register does not name the opening", "ask the provider for its record of the tracking id")
    };
    Finding {
        class: Class::MissingExternal,
        subject: id.to_string(),
        aspect: "presence",
        act: if waits { Act::Poll } else { Act::Case },
        ours: json!({"opening_id": id, "state": state, "provider_reference": provider_reference}),
        theirs: json!({}),
        differences: vec![Difference::new("provider_reference", Some(provider_reference), None)],
        suggested: suggest(Class::MissingExternal, why, action),
    }
}

fn side(opening: &OurOpening) -> Value {
    json!({
        "opening_id": opening.id, "state": opening.state, "status": opening.state.status(),
        "provider_reference": opening.provider_reference, "market": opening.market, "currency": opening.currency,
        "iban": opening.iban, "bic": opening.bic, "ended_at": opening.ended_at,
    })
}

fn theirs(row: &RegisterRow) -> Value {
    serde_json::to_value(row).unwrap_or_default()
}

fn suggest(class: Class, because: &str, action: &str) -> Suggestion {
    Suggestion { class, because: vec![because.to_owned()], action: action.to_owned() }
}
