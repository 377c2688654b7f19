//! The accounts between which the fee ledger moves amounts.

use crate::domain::text::string_enum;

string_enum!(
    /// An account of the fee ledger, per provider and currency. Its balance is its credits less its debits.
    Account {
        /// The fees that our openings cost us.
        Cost = "cost",
        /// Expected fees that no charge has settled.
        Expected = "expected",
        /// Amounts that the provider says we owe.
        Charged = "charged",
        /// Charges that a person must judge.
        Suspense = "suspense",
        /// Conversions between currencies, and what they gained or lost.
        Fx = "fx",
        /// Differences within `AMOUNT_TOLERANCE`.
        Rounding = "rounding",
        /// Amounts that were paid.
        Paid = "paid",
    }
);
