//! Numbers of report files, exact from their first digit: no float, no rounding, no guess.

use rust_decimal::Decimal;

use super::error::{Code, shown};

/// Digits before the point.
pub const MAX_INTEGER_DIGITS: usize = 15;
/// Digits after the point of an amount.
pub const MAX_AMOUNT_DECIMALS: usize = 6;
/// Digits after the point of an exchange rate.
pub const MAX_RATE_DECIMALS: usize = 10;

/// A code, and what was found and is expected.
pub type Refusal = (Code, String);

/// How a format writes numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberFormat {
    pub decimal: char,
    /// Between groups of three digits before the decimal sign; absent where the format has none.
    pub thousands: Option<char>,
}

impl NumberFormat {
    /// `1234.56`
    pub const PLAIN: Self = Self { decimal: '.', thousands: None };

    /// Parses an amount of money.
    pub fn amount(self, text: &str) -> Result<Decimal, Refusal> {
        self.decimal(text, MAX_AMOUNT_DECIMALS)
    }

    /// Parses an exchange rate.
    pub fn rate(self, text: &str) -> Result<Decimal, Refusal> {
        self.decimal(text, MAX_RATE_DECIMALS)
    }

    fn decimal(self, text: &str, max_decimals: usize) -> Result<Decimal, Refusal> {
        let (is_negative, digits) = sign(text);
        let (integer, fraction) = digits.split_once(self.decimal).map_or((digits, None), |(a, b)| (a, Some(b)));
        let grouped = self.ungrouped(integer).filter(|it| is_digits(it));
        let (Some(integer), true) = (grouped, fraction.is_none_or(is_digits)) else {
            return Err(self.not_decimal(text, digits));
        };
        let (integer, fraction) = (integer.trim_start_matches('0'), fraction.unwrap_or_default());
        if integer.len() > MAX_INTEGER_DIGITS {
            let found = format!("found {} digits before the point", integer.len());
            return Err((Code::TooLarge, format!("{found}; expected at most {MAX_INTEGER_DIGITS}")));
        }
        if fraction.len() > max_decimals {
            let found = format!("found {} digits after the point", fraction.len());
            return Err((Code::TooPrecise, format!("{found}; expected at most {max_decimals}")));
        }
        let digits = integer.bytes().chain(fraction.bytes());
        let magnitude = digits.fold(0_i128, |sum, digit| sum * 10 + i128::from(digit - b'0'));
        let number = if is_negative { -magnitude } else { magnitude };
        let scale = u32::try_from(fraction.len()).unwrap_or_default();
        Decimal::try_from_i128_with_scale(number, scale).map_err(|_| self.not_decimal(text, digits_of(text)))
    }

    /// The integer part without its thousands signs. None: they do not separate groups of three.
    fn ungrouped(self, integer: &str) -> Option<std::borrow::Cow<'_, str>> {
        let Some(sign) = self.thousands.filter(|it| integer.contains(*it)) else { return Some(integer.into()) };
        let mut groups = integer.split(sign);
        let first = groups.next().is_some_and(|it| (1..=3).contains(&it.len()));
        let fits = first && groups.all(|it| it.len() == 3);
        fits.then(|| integer.replace(sign, "").into())
    }

    fn not_decimal(self, text: &str, digits: &str) -> Refusal {
        if has_exponent(digits) {
            return (Code::Exponent, format!("found {}; expected a number without an exponent", shown(text)));
        }
        let thousands = match self.thousands {
            Some(' ') => " and a space between thousands".to_owned(),
            Some(sign) => format!(" and \"{sign}\" between thousands"),
            None => " and no sign between thousands".to_owned(),
        };
        let expected = format!("expected digits with \"{}\" before the decimals{thousands}", self.decimal);
        (Code::AmountNotDecimal, format!("found {}; {expected}", shown(text)))
    }
}

/// Parses a number of things.
pub fn quantity(text: &str) -> Result<u64, Refusal> {
    let fits = is_digits(text) && text.trim_start_matches('0').len() <= MAX_INTEGER_DIGITS;
    let number = fits.then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| (Code::NotACount, format!("found {}; expected a whole number from 0", shown(text))))
}

/// The same number with at least the decimals of its currency and without further zeros, so that equal amounts are equal texts.
#[must_use]
pub fn canonical(amount: Decimal, minor_digits: u32) -> Decimal {
    let mut amount = amount.normalize();
    if amount.scale() < minor_digits {
        amount.rescale(minor_digits);
    }
    amount
}

/// The same amount with the other sign. Zero has none: the decimal's own negation would write `-0.00`.
#[must_use]
pub fn negated(amount: Decimal) -> Decimal {
    if amount.is_zero() { amount.abs() } else { -amount }
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn digits_of(text: &str) -> &str {
    sign(text).1
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit())
}

/// `1e5`, `1.5E-3`: a number, an `e`, a number.
fn has_exponent(digits: &str) -> bool {
    let Some((mantissa, exponent)) = digits.split_once(['e', 'E']) else { return false };
    let is_number = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit() || matches!(it, b'.' | b','));
    is_number(mantissa) && is_number(digits_of(exponent))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EUROPE: NumberFormat = NumberFormat { decimal: ',', thousands: Some('.') };
    const SPACED: NumberFormat = NumberFormat { decimal: ',', thousands: Some('\u{a0}') };

    #[test]
    fn numbers_are_exact() {
        for (text, value) in [
            ("6.05", "6.05"),
            ("-6.05", "-6.05"),
            ("+6.05", "6.05"),
            ("0", "0"),
            ("-0.00", "0.00"),
            ("000000000000000000001.5", "1.5"),
            ("999999999999999.999999", "999999999999999.999999"),
            ("0.1", "0.1"),
        ] {
            assert_eq!(NumberFormat::PLAIN.amount(text).map(|it| it.to_string()), Ok(value.to_owned()), "{text}");
        }
        assert_eq!(EUROPE.amount("1.234.567,89").unwrap().to_string(), "1234567.89");
        assert_eq!(EUROPE.amount("1234567,89").unwrap().to_string(), "1234567.89");
        assert_eq!(SPACED.amount("-12\u{a0}345,6").unwrap().to_string(), "-12345.6");
        assert_eq!(NumberFormat::PLAIN.rate("999999999999999.9999999999").unwrap().to_string().len(), 26);
    }

    #[test]
    fn every_other_number_is_refused_by_its_code() {
        use Code::{AmountNotDecimal, Exponent, TooLarge, TooPrecise};
        for (text, code) in [
            ("", AmountNotDecimal),
            ("-", AmountNotDecimal),
            (".5", AmountNotDecimal),
            ("5.", AmountNotDecimal),
            ("6,05", AmountNotDecimal),
            ("1,234.00", AmountNotDecimal),
            ("1 234.00", AmountNotDecimal),
            ("--5", AmountNotDecimal),
            ("5-", AmountNotDecimal),
            ("0x10", AmountNotDecimal),
            ("NaN", AmountNotDecimal),
            ("nan", AmountNotDecimal),
            ("inf", AmountNotDecimal),
            ("-Infinity", AmountNotDecimal),
            ("1_000", AmountNotDecimal),
            ("6.05 EUR", AmountNotDecimal),
            ("٦", AmountNotDecimal),
            ("1.2.3", AmountNotDecimal),
            ("e5", AmountNotDecimal),
            ("1e5", Exponent),
            ("1E+5", Exponent),
            ("-1.5e-3", Exponent),
            ("1000000000000000", TooLarge),
            ("1.0000000", TooPrecise),
            ("0.1234567", TooPrecise),
        ] {
            assert_eq!(NumberFormat::PLAIN.amount(text).map_err(|it| it.0), Err(code), "{text}");
        }
        for text in ["1.23", "12.3456,00", "1234.567,00", ".123,0", "1..234,0", "1,5.0", "1e5,0x"] {
            assert_eq!(EUROPE.amount(text).map_err(|it| it.0), Err(AmountNotDecimal), "{text}");
        }
        assert_eq!(NumberFormat::PLAIN.rate("11.00000000000").map_err(|it| it.0), Err(TooPrecise));
        let (_, detail) = NumberFormat::PLAIN.amount("6,05").unwrap_err();
        assert_eq!(
            detail,
            "found \"6,05\"; expected digits with \".\" before the decimals and no sign between thousands"
        );
        for text in ["", "-1", "1.0", "9999999999999999", "x"] {
            assert_eq!(quantity(text).map_err(|it| it.0), Err(Code::NotACount), "{text}");
        }
    }

    #[test]
    fn equal_amounts_have_one_text() {
        for (text, digits, canonical_text) in [
            ("300", 2, "300.00"),
            ("300.000", 2, "300.00"),
            ("6.125", 2, "6.125"),
            ("70.00", 0, "70"),
            ("-0.50", 2, "-0.50"),
        ] {
            let amount = NumberFormat::PLAIN.amount(text).unwrap();
            assert_eq!(canonical(amount, digits).to_string(), canonical_text);
        }
    }

    proptest! {
        #[test]
        fn a_number_comes_back_as_it_was(number in -999_999_999_999_999_999_999_i128..1_000_000_000_000_000_000_000, scale in 0_u32..7) {
            let decimal = Decimal::from_i128_with_scale(number, scale);
            let text = decimal.to_string();
            match NumberFormat::PLAIN.amount(&text) {
                Ok(read) => prop_assert_eq!(read, decimal),
                Err((code, _)) => prop_assert!(code == Code::TooLarge && decimal.trunc().abs().to_string().len() > MAX_INTEGER_DIGITS),
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            for format in [NumberFormat::PLAIN, EUROPE, SPACED] {
                let _ = (format.amount(&text), format.rate(&text), quantity(&text));
            }
        }
    }
}
