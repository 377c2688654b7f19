//! The refunds of a fee beside its charges.

use rust_decimal::Decimal;

use super::{Booking, Charge, Judged, Ours, finding};
use crate::domain::fee::Account;
use crate::report_files::row::{ChargeRow, ChargeType};

/// A charge and what of it was not given back.
struct Refundable {
    n: usize,
    left: Decimal,
    is_whole: bool,
}

/// Judges the refunds in the order of their times. A refund of exactly one disputed charge ends the dispute: the two cancel out.
/// Every other refund reduces the charge that settled the fee, else a disputed one.
pub(super) fn judge(charges: &[Charge], ours: &Ours, judged: &mut [Judged]) {
    if !ours.is_priced && ours.expected.is_none() {
        return;
    }
    let mut refunds = of_type(charges, ChargeType::Refund);
    let mut held: Vec<Refundable> = of_type(charges, ChargeType::Charge)
        .into_iter()
        .map(|n| Refundable { n, left: charges[n].row.amount, is_whole: true })
        .collect();
    // A disputed charge is cancelled out before a settled one is reduced.
    held.sort_by_key(|it| judged[it.n].settles());
    refunds.sort_by(|a, b| order(&charges[*a].row).cmp(&order(&charges[*b].row)));
    for n in refunds {
        judged[n] = refund(&charges[n].row, charges, &mut held, judged);
    }
}

fn of_type(charges: &[Charge], line_type: ChargeType) -> Vec<usize> {
    let mut found: Vec<usize> = (0..charges.len()).filter(|n| charges[*n].row.line_type == line_type).collect();
    found.sort_by(|a, b| order(&charges[*a].row).cmp(&order(&charges[*b].row)));
    found
}

fn order(row: &ChargeRow) -> (Option<crate::clock::Time>, &str) {
    (row.occurred_at, &row.line_id)
}

fn refund(row: &ChargeRow, charges: &[Charge], held: &mut [Refundable], judged: &mut [Judged]) -> Judged {
    let given_back = -row.amount;
    let is_of = |it: &&mut Refundable| charges[it.n].row.currency == row.currency && it.left >= given_back;
    if given_back <= Decimal::ZERO {
        return Judged::found("refund_is_no_refund", Booking::suspended(row), finding::refund(row, None));
    }
    let whole = |it: &&mut Refundable| it.is_whole && it.left == given_back && !judged[it.n].settles();
    if let Some(disputed) = held.iter_mut().filter(|it| is_of(it)).find(|it| whole(it)) {
        disputed.left = Decimal::ZERO;
        let charge = &mut judged[disputed.n];
        *charge = Judged::matched("refunded", std::mem::take(&mut charge.bookings));
        return Judged::matched("refund_of_a_disputed_charge", Booking::suspended(row));
    }
    let settled_first = (0..held.len()).rev();
    for place in settled_first {
        let it = &mut held[place];
        if charges[it.n].row.currency == row.currency && it.left >= given_back {
            (it.left, it.is_whole) = (it.left - given_back, false);
            let account = if judged[it.n].settles() { Account::Cost } else { Account::Suspense };
            return Judged::matched("refund_of_a_charge", vec![Booking::of(row, account)]);
        }
    }
    let largest = held.iter().map(|it| &charges[it.n].row).find(|it| it.currency == row.currency);
    Judged::found("refund_without_its_charge", Booking::suspended(row), finding::refund(row, largest))
}
