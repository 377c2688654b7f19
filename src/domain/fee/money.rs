//! The minor unit of currencies, and rounding to it.

use rust_decimal::{Decimal, RoundingStrategy};

/// The number of digits after the point in which amounts of a currency are paid. None: unknown, or not a currency that
/// is paid in (gold, test codes).
#[must_use]
pub fn minor_digits(currency: &str) -> Option<u32> {
    let known = iso_currency::Currency::from_code(currency).filter(|it| it.code() == currency)?;
    known.exponent().map(u32::from)
}

/// The smallest amount that is paid in a currency, such as 0.01. An unknown currency has two digits.
#[must_use]
pub fn minor_unit(currency: &str) -> Decimal {
    Decimal::new(1, minor_digits(currency).unwrap_or(2))
}

/// An amount in words: at least the digits of the currency's minor unit, and no zeros beyond them.
#[must_use]
pub fn shown(amount: Decimal, currency: &str) -> String {
    let digits = minor_digits(currency).unwrap_or(2);
    let mut amount = amount.normalize();
    if amount.scale() < digits {
        amount.rescale(digits);
    }
    amount.to_string()
}

/// Rounds to the currency's minor unit; half a unit is rounded away from zero, so that a refund undoes its charge.
#[must_use]
pub fn round_half_up(amount: Decimal, currency: &str) -> Decimal {
    let digits = minor_digits(currency).unwrap_or(2);
    let mut rounded = amount.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero);
    rounded.rescale(digits);
    rounded
}
