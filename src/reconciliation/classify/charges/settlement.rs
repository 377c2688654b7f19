//! A settlement beside its lines, from any number of files.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Charge, Judged, Rules, finding};

/// The lines that name a settlement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    pub count: u64,
    pub amount: Decimal,
    pub tax: Decimal,
    /// Lines in another currency than the settlement's.
    pub foreign: u64,
}

/// A settlement moves nothing: its lines are booked already, and the bank statement books its payment.
#[must_use]
pub fn judge(charge: &Charge, lines: &Lines, rules: &Rules) -> Judged {
    let row = &charge.row;
    let agrees = (lines.count, lines.amount, lines.tax, lines.foreign) == (row.quantity, row.amount, row.tax, 0);
    if agrees {
        return Judged::matched("settlement_agrees", Vec::new());
    }
    let due = rules.settlement_due(row, charge.received_at);
    if lines.count < row.quantity && due > rules.now {
        return Judged::found("lines_are_still_to_come", Vec::new(), finding::incomplete(row, lines, due));
    }
    let rule = if lines.count < row.quantity { "lines_never_came" } else { "settlement_differs" };
    Judged::found(rule, Vec::new(), finding::settlement(row, lines))
}
