//! A group line beside the expected fees that it stands for.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Booking, Charge, Expected, Judged, Rules, finding};
use crate::domain::fee::Account;

/// The expected fees of the line's code and currency with a step in the file's period, that no single line settles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenFees {
    pub fees: Vec<Expected>,
    /// Whether there is a price list to judge by.
    pub is_priced: bool,
    /// Whether the line's file is complete: in one that was cut off, single lines may be missing that settle some of the fees.
    pub is_complete: bool,
}

impl OpenFees {
    /// The sum of the fees.
    #[must_use]
    pub fn sum(&self) -> Decimal {
        self.fees.iter().map(|it| it.amount).sum()
    }
}

/// Number and sum must be exactly those of the fees; then the line settles each of them. A line of an incomplete file waits for the
/// complete one.
#[must_use]
pub fn judge(charge: &Charge, open: &OpenFees, rules: &Rules) -> Judged {
    let row = &charge.row;
    if !open.is_priced && open.fees.is_empty() {
        let class = super::Class::Unrelated;
        return Judged { class, rule: "no_price_list", bookings: Booking::suspended(row), finding: None };
    }
    let count = u64::try_from(open.fees.len()).unwrap_or(u64::MAX);
    if count != row.quantity || open.sum() != row.amount {
        let due = rules.charge_due(row, charge.received_at);
        if !open.is_complete && due > rules.now {
            let finding = finding::partial_group(row, open, due);
            return Judged::found("file_is_incomplete", Booking::suspended(row), finding);
        }
        return Judged::found("group_differs", Booking::suspended(row), finding::group(row, open));
    }
    let settled = |fee: &Expected| Booking {
        amount: fee.amount,
        tax: fee.tax,
        settles: Some(fee.line),
        ..Booking::of(row, Account::Expected)
    };
    Judged::matched("group_agrees", open.fees.iter().map(settled).collect())
}
