//! The comparison of a charge with its expected fee.

use rust_decimal::Decimal;

use super::{Booking, Charge, Expected, Judged, Ours, Rules, finding};
use crate::domain::fee::{Account, minor_unit, round_half_up};
use crate::report_files::row::ChargeRow;

/// The rule of a conversion that differs by one minor unit, which is settled without a person.
pub(super) const OFF_BY_A_UNIT: &str = "converted_is_off_by_a_unit";

/// The rule of the charge's subject, then of its price.
pub(super) fn charge(charge: &Charge, ours: &Ours, rules: &Rules) -> Judged {
    let row = &charge.row;
    let suspended = || Booking::suspended(row);
    match (&charge.by_tracking_id, &charge.by_reference) {
        (None, None) => Judged::found("no_opening", suspended(), finding::stranger(row)),
        (Some(first), Some(second)) if first.id != second.id => {
            Judged::found("two_openings", suspended(), finding::crossed(row, first, second))
        }
        (None, Some(held)) if row.provider_reference.is_some() && held.provider_reference.is_some() => {
            Judged::found("second_tracking_id", suspended(), finding::second_account(row, held))
        }
        _ => match &ours.expected {
            Some(expected) => amount(charge, ours, expected, rules),
            None => not_expected(charge, ours, rules),
        },
    }
}

/// No step of the opening owes the fee: not yet, or never.
fn not_expected(charge: &Charge, ours: &Ours, rules: &Rules) -> Judged {
    let (row, suspended) = (&charge.row, Booking::suspended(&charge.row));
    if ours.prices.is_empty() {
        return Judged::found("not_priced", suspended, finding::not_owed(charge, ours, "not priced"));
    }
    let due = rules.charge_due(row, charge.received_at);
    if ours.may_be_owed && due > rules.now {
        return Judged::found("step_is_still_to_come", suspended, finding::early(charge, ours, due));
    }
    Judged::found("step_never_came", suspended, finding::not_owed(charge, ours, "the step that owes it did not happen"))
}

fn amount(charge: &Charge, ours: &Ours, expected: &Expected, rules: &Rules) -> Judged {
    let row = &charge.row;
    if row.currency != expected.currency {
        return converted(charge, ours, expected, rules);
    }
    let delta = row.amount - expected.amount;
    if delta.abs() <= rules.tolerance {
        return Judged::matched("amounts_agree", settled(row, expected, delta));
    }
    Judged::found("amounts_differ", Booking::suspended(row), finding::amount(charge, ours, expected))
}

/// Expected → charged, and the difference within the tolerance on an account of its own.
fn settled(row: &ChargeRow, expected: &Expected, delta: Decimal) -> Vec<Booking> {
    let of_fee =
        Booking { amount: expected.amount, settles: Some(expected.line), ..Booking::of(row, Account::Expected) };
    let mut bookings = vec![of_fee];
    if !delta.is_zero() {
        bookings.push(Booking { amount: delta, tax: Decimal::ZERO, ..Booking::of(row, Account::Rounding) });
    }
    bookings
}

/// A charge in another currency fits where its original amount is the expected fee.
fn converted(charge: &Charge, ours: &Ours, expected: &Expected, rules: &Rules) -> Judged {
    let row = &charge.row;
    let original = row.original_amount.filter(|_| row.original_currency.as_deref() == Some(expected.currency.as_str()));
    let Some(original) = original.filter(|it| (it - expected.amount).abs() <= rules.tolerance) else {
        return Judged::found("currencies_differ", Booking::suspended(row), finding::currency(charge, ours, expected));
    };
    let exact = row.fx_rate.and_then(|rate| original.checked_mul(rate)).map(|it| round_half_up(it, &row.currency));
    let unit = minor_unit(&row.currency);
    match exact.map(|it| row.amount - it) {
        Some(off) if off.is_zero() => Judged::matched("original_amounts_agree", exchanged(row, expected)),
        Some(off) if off.abs() <= unit => {
            let finding = finding::conversion(row, expected, exact, true);
            Judged::found(OFF_BY_A_UNIT, exchanged(row, expected), finding)
        }
        _ => {
            let finding = finding::conversion(row, expected, exact, false);
            Judged::found("converted_is_off", Booking::suspended(row), finding)
        }
    }
}

/// Expected → fx in our currency, fx → charged in theirs: what the conversion gained or lost stays on `fx`.
fn exchanged(row: &ChargeRow, expected: &Expected) -> Vec<Booking> {
    let ours = Booking {
        debit: Account::Expected,
        credit: Account::Fx,
        amount: expected.amount,
        tax: expected.tax,
        currency: expected.currency.clone(),
        settles: Some(expected.line),
    };
    vec![ours, Booking::of(row, Account::Fx)]
}
