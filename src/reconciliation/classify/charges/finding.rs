//! The findings about charges, in words for the person that decides.

use chrono::TimeDelta;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Charge, Expected, Hint, Lines, OpenFees, Ours, Rules};
use crate::clock::Time;
use crate::reconciliation::classify::register::OurOpening;
use crate::reconciliation::classify::{Act, Class, Difference, Finding, Suggestion};
use crate::report_files::row::ChargeRow;

/// How long an unknown word may become known before a person decides.
const UNKNOWN_WORD: TimeDelta = TimeDelta::days(7);

/// A finding about one row of a charges file.
fn of_row(class: Class, act: Act, row: &ChargeRow, ours: Value, differences: Vec<Difference>) -> Finding {
    Finding {
        class,
        subject: row.line_id.clone(),
        aspect: "charge",
        act,
        ours,
        theirs: described(row),
        differences,
        suggested: Suggestion { class, because: Vec::new(), action: String::new() },
    }
}

/// Without the description: it is free text, which an erasure would have to look for.
fn described(row: &ChargeRow) -> Value {
    serde_json::to_value(ChargeRow { description: None, ..row.clone() }).unwrap_or_default()
}

impl Finding {
    fn because(mut self, reasons: &[&str], action: &str) -> Self {
        self.suggested.because = reasons.iter().map(|it| (*it).to_owned()).collect();
        self.suggested.action = action.to_owned();
        self
    }
}

fn text(amount: Decimal) -> String {
    amount.to_string()
}

/// A difference of two amounts, with theirs less ours.
fn amounts(field: &str, ours: Decimal, theirs: Decimal) -> Difference {
    let mut difference = Difference::new(field, Some(&text(ours)), Some(&text(theirs)));
    difference.delta = Some(text(theirs - ours));
    difference
}

fn side(charge: &Charge, ours: &Ours) -> Value {
    let opening = charge.opening();
    let prices: Vec<String> = ours.prices.iter().map(|it| format!("{} {}", it.amount(), it.currency)).collect();
    json!({
        "opening_id": opening.map(|it| it.id), "state": opening.map(|it| it.state), "market": opening.map(|it| &it.market),
        "provider_reference": opening.and_then(|it| it.provider_reference.as_ref()),
        "expected": ours.expected.as_ref().map(expected_side), "prices": prices,
    })
}

fn expected_side(expected: &Expected) -> Value {
    let Expected { line, at, amount, tax, currency } = expected;
    json!({"line": line, "at": at, "amount": text(*amount), "tax": text(*tax), "currency": currency})
}

pub(super) fn stranger(row: &ChargeRow) -> Finding {
    let named = row.provider_reference.as_deref().or(row.reference.as_deref());
    let differences = vec![Difference::new("provider_reference", None, named)];
    of_row(Class::MissingInternal, Act::Case, row, json!({}), differences).because(
        &["no opening of ours has this tracking id or reference"],
        "ask the provider for whom it charged; dispute the charge",
    )
}

pub(super) fn crossed(row: &ChargeRow, first: &OurOpening, second: &OurOpening) -> Finding {
    let differences = vec![Difference::new("opening_id", Some(&first.id.to_string()), Some(&second.id.to_string()))];
    let ours = json!({"by_tracking_id": first.id, "by_reference": second.id});
    of_row(Class::CorrelationMismatch, Act::Case, row, ours, differences).because(
        &["the tracking id is of one opening and the reference of another"],
        "ask the provider which of the two it charged for",
    )
}

pub(super) fn second_account(row: &ChargeRow, held: &OurOpening) -> Finding {
    let (ours, theirs) = (held.provider_reference.as_deref(), row.provider_reference.as_deref());
    let differences = vec![Difference::new("provider_reference", ours, theirs)];
    let ours = json!({"opening_id": held.id, "provider_reference": held.provider_reference});
    of_row(Class::DuplicateAccount, Act::Case, row, ours, differences).because(
        &["the opening holds another tracking id, and no opening holds this one"],
        "have the provider close the account that is not ours, and refund its fee",
    )
}

pub(super) fn not_owed(charge: &Charge, ours: &Ours, hint: &str) -> Finding {
    let row = &charge.row;
    let differences = vec![Difference::new("code", None, row.code.as_deref())];
    of_row(Class::MissingInternal, Act::Case, row, side(charge, ours), differences)
        .because(&[hint], "compare the contract with the price list; dispute the charge or complete the list")
}

pub(super) fn early(charge: &Charge, ours: &Ours, until: Time) -> Finding {
    of_row(Class::TimingMismatch, Act::Wait { until }, &charge.row, side(charge, ours), Vec::new())
        .because(&["the opening has not entered the state that the fee is for"], "nothing: the step should come")
}

pub(super) fn amount(charge: &Charge, ours: &Ours, expected: &Expected) -> Finding {
    let row = &charge.row;
    let differences = vec![amounts("amount", expected.amount, row.amount)];
    let hint = Hint::of(row.amount, expected, &ours.prices);
    let because: Vec<&str> = hint.map(Hint::as_str).into_iter().collect();
    of_row(Class::AmountMismatch, Act::Case, row, side(charge, ours), differences)
        .because(&because, "dispute the charge, or correct the price list")
}

pub(super) fn currency(charge: &Charge, ours: &Ours, expected: &Expected) -> Finding {
    let row = &charge.row;
    let differences = vec![Difference::new("currency", Some(&expected.currency), Some(&row.currency))];
    of_row(Class::CurrencyMismatch, Act::Case, row, side(charge, ours), differences)
        .because(&["no original amount is the expected fee"], "ask the provider for the original amount and its rate")
}

/// `exact` is the original amount at the row's rate; the row has no rate where it is none.
pub(super) fn conversion(row: &ChargeRow, expected: &Expected, exact: Option<Decimal>, is_small: bool) -> Finding {
    let differences = exact.map(|exact| amounts("amount", exact, row.amount)).into_iter().collect();
    let ours = json!({"expected": expected_side(expected)});
    let (act, why, action) = if is_small {
        (Act::Settle, "the converted amount is off by one minor unit", "nothing: the difference stands on fx")
    } else {
        (Act::Case, "the original amount fits, the converted one does not", "ask the provider for its rate")
    };
    of_row(Class::FxDifference, act, row, ours, differences).because(&[why], action)
}

pub(super) fn duplicate(row: &ChargeRow, first: &ChargeRow) -> Finding {
    let differences = vec![Difference::new("line_id", Some(&first.line_id), Some(&row.line_id))];
    let ours = json!({"settled_by": first.line_id, "amount": text(first.amount), "currency": first.currency});
    of_row(Class::DuplicateCharge, Act::Case, row, ours, differences)
        .because(&["another charge is for the same expected fee"], "ask the provider for a refund of one of the two")
}

pub(super) fn crowded(row: &ChargeRow) -> Finding {
    let differences = vec![Difference::new("line_id", None, Some(&row.line_id))];
    of_row(Class::DuplicateCharge, Act::Case, row, json!({}), differences).because(
        &["the expected fee has too many lines to tell which of them it owes"],
        "ask the provider for a corrected file",
    )
}

pub(super) fn refund(row: &ChargeRow, charge: Option<&ChargeRow>) -> Finding {
    let differences = charge.map(|it| amounts("amount", it.amount, -row.amount)).into_iter().collect();
    let ours = json!({"charge": charge.map(|it| &it.line_id)});
    let why = if charge.is_some() {
        "the refund is larger than what is left of its charge"
    } else {
        "there is no charge to refund"
    };
    of_row(Class::RefundMismatch, Act::Case, row, ours, differences)
        .because(&[why], "ask the provider which charge it gives back")
}

pub(super) fn adjustment(row: &ChargeRow) -> Finding {
    of_row(Class::Adjustment, Act::Case, row, json!({}), vec![amounts("amount", Decimal::ZERO, row.amount)]).because(
        &["an adjustment stands outside the price list"],
        "ask the provider what it corrects, then resolve the case",
    )
}

pub(super) fn unknown(charge: &Charge, now: Time) -> Finding {
    let until = charge.received_at + UNKNOWN_WORD;
    let act = if until <= now { Act::Case } else { Act::Wait { until } };
    let differences = vec![Difference::new("type", None, Some(&charge.row.word))];
    of_row(Class::UnknownWord, act, &charge.row, json!({}), differences).because(
        &["the type is a word that this version does not know"],
        "ask the provider what it means; a new version may know it",
    )
}

fn of_group(class: Class, act: Act, row: &ChargeRow, open: &OpenFees) -> Finding {
    let count = open.fees.len().to_string();
    let mut differences = Vec::new();
    if count != row.quantity.to_string() {
        differences.push(Difference::new("quantity", Some(&count), Some(&row.quantity.to_string())));
    }
    if open.sum() != row.amount {
        differences.push(amounts("amount", open.sum(), row.amount));
    }
    of_row(class, act, row, json!({"quantity": count, "amount": text(open.sum())}), differences)
}

pub(super) fn group(row: &ChargeRow, open: &OpenFees) -> Finding {
    of_group(Class::GroupMismatch, Act::Case, row, open).because(
        &["number or sum are not those of the expected fees that no single line settles"],
        "ask the provider for the openings of the group",
    )
}

pub(super) fn partial_group(row: &ChargeRow, open: &OpenFees, until: Time) -> Finding {
    of_group(Class::TimingMismatch, Act::Wait { until }, row, open)
        .because(&["the group's file is not complete, so its other lines may be missing"], "ask for the complete file")
}

fn of_settlement(class: Class, act: Act, row: &ChargeRow, lines: &Lines) -> Finding {
    let (count, quantity) = (lines.count.to_string(), row.quantity.to_string());
    let mut differences = Vec::new();
    if count != quantity {
        differences.push(Difference::new("quantity", Some(&count), Some(&quantity)));
    }
    for (field, ours, theirs) in [("amount", lines.amount, row.amount), ("tax", lines.tax, row.tax)] {
        if ours != theirs {
            differences.push(amounts(field, ours, theirs));
        }
    }
    let ours = json!({"lines": count, "amount": text(lines.amount), "tax": text(lines.tax), "foreign": lines.foreign});
    let subject = row.settlement_id.clone().unwrap_or_else(|| row.line_id.clone());
    Finding { subject, aspect: "settlement", ..of_row(class, act, row, ours, differences) }
}

pub(super) fn incomplete(row: &ChargeRow, lines: &Lines, until: Time) -> Finding {
    of_settlement(Class::TimingMismatch, Act::Wait { until }, row, lines)
        .because(&["the settlement has more lines than have come"], "nothing: the other lines should come")
}

pub(super) fn settlement(row: &ChargeRow, lines: &Lines) -> Finding {
    of_settlement(Class::SettlementMismatch, Act::Case, row, lines).because(
        &["the lines do not add up to the settlement"],
        "ask the provider for the settlement's lines; do not pay it yet",
    )
}

/// Rows of one file with the same id and different content. None: there is no row.
#[must_use]
pub fn conflicting(rows: &[ChargeRow]) -> Option<Finding> {
    let first = rows.first()?;
    let finding = of_row(Class::ConflictingRows, Act::Case, first, json!({}), Vec::new());
    let theirs: Vec<Value> = rows.iter().map(described).collect();
    let differences = theirs.get(1).map(|second| differing(&theirs[0], second)).unwrap_or_default();
    let finding = Finding { aspect: "rows", theirs: json!({"rows": theirs}), differences, ..finding };
    Some(finding.because(
        &["the file has this line id with different content, and no row of it counts"],
        "ask the provider for a corrected file",
    ))
}

/// The fields in which two rows of theirs differ, both values in one text.
fn differing(first: &Value, second: &Value) -> Vec<Difference> {
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let fields = first.as_object().into_iter().flatten();
    let differing = fields.filter(|(name, value)| second[name.as_str()] != **value);
    let both = |(name, value): (&String, &Value)| {
        let text = format!("{} and {}", shown(value), shown(&second[name.as_str()]));
        Difference::new(name, None, Some(&text))
    };
    differing.map(both).collect()
}

/// An expected fee that no row of a complete file charges: it waits, and is missing once its window has passed.
#[must_use]
pub fn unlisted(opening: Uuid, code: &str, expected: &Expected, rules: &Rules) -> Finding {
    let due = rules.fee_due(expected.at);
    let (class, act, why, action) = if due > rules.now {
        let act = Act::Wait { until: due };
        (Class::TimingMismatch, act, "the expected fee has no charge yet", "nothing: the charge should come")
    } else {
        let action = "ask the provider whether it will charge the fee";
        (Class::MissingExternal, Act::Case, "complete files do not charge the expected fee", action)
    };
    Finding {
        class,
        subject: format!("{opening}:{code}"),
        aspect: "fee",
        act,
        ours: json!({"opening_id": opening, "code": code, "expected": expected_side(expected)}),
        theirs: json!({}),
        differences: vec![Difference::new("amount", Some(&text(expected.amount)), None)],
        suggested: Suggestion { class, because: vec![why.to_owned()], action: action.to_owned() },
    }
}
