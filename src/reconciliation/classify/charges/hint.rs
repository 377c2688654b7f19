//! Why two amounts may differ, found by exact arithmetic.

use rust_decimal::Decimal;

use super::Expected;
use crate::domain::fee::Fee;
use crate::domain::text::string_enum;

string_enum!(
    /// A likely reason for an amount that differs.
    Hint {
        /// The amount is the price without its tax.
        TaxMissing = "tax missing",
        /// The amount is another price of the list for the same fee.
        OldPrice = "old price",
        /// The amount is a hundred times too large or too small: minor units for major ones.
        Hundredfold = "×100",
        /// The amount has the other sign.
        Sign = "sign",
        /// The amount is twice the fee.
        Doubled = "doubled",
    }
);

impl Hint {
    /// The reason for a charge of `theirs`, if arithmetic finds one.
    #[must_use]
    pub fn of(theirs: Decimal, expected: &Expected, prices: &[Fee]) -> Option<Self> {
        let ours = expected.amount;
        let other_price = || prices.iter().any(|it| it.currency == expected.currency && it.amount() == theirs);
        if theirs == -ours {
            Some(Self::Sign)
        } else if !expected.tax.is_zero() && theirs == ours - expected.tax {
            Some(Self::TaxMissing)
        } else if other_price() {
            Some(Self::OldPrice)
        } else if theirs == ours * Decimal::TWO {
            Some(Self::Doubled)
        } else if theirs == ours * Decimal::ONE_HUNDRED || theirs * Decimal::ONE_HUNDRED == ours {
            Some(Self::Hundredfold)
        } else {
            None
        }
    }
}
