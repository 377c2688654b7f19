//! The forms of values in bodies and parameters: each schema beside the check that it describes.

use std::sync::LazyLock;

use chrono::DateTime;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{KnownFormat, SchemaFormat};

use super::fields::{Form, Takes};
use crate::acts::reason::{self, EvidenceText, ReasonText};
use crate::clock::Time;
use crate::domain::ProviderRef;
use crate::domain::bank::{Bic, Iban};
pub use crate::domain::text::check_line;
use crate::domain::text::{self, SPACE, StringEnum, form};

/// The maximum length of a caller's text, in characters.
const MAX_TEXT: usize = 200;
/// The maximum length of an e-mail address, in characters.
const MAX_EMAIL: usize = 254;
/// The maximum length of the local part of an e-mail address, in characters.
const MAX_LOCAL: usize = 64;
/// The maximum length of a domain label, in characters.
const MAX_LABEL: usize = 63;
/// The longest name.
const MAX_NAME: usize = 255;
pub const MAX_PERCENT: u8 = 100;

/// The largest version: every JSON reader represents smaller integers exactly.
const MAX_VERSION: i64 = (1 << 53) - 1;

/// Makes a form of a text's check.
macro_rules! text_form {
    ($name:ty => $value:ty, $check:expr) => {
        impl $crate::http::internal::fields::Form for $name {
            type Value = $value;

            fn check(value: &serde_json::Value) -> Result<$value, $crate::http::internal::fields::Takes> {
                $crate::http::internal::forms::string(value).and_then($check)
            }
        }
    };
}
pub(super) use text_form;

pub fn string(value: &Value) -> Result<&str, Takes> {
    value.as_str().ok_or_else(|| "must be a string".to_owned())
}

text_form!(ReasonText => String, reason::reason);
text_form!(EvidenceText => String, reason::evidence);
text_form!(ProviderRef => Self, |text| Self::new(text).map_err(str::to_owned));
text_form!(Iban => Self, |text| Self::parse(text).map_err(|error| error.to_string()));
text_form!(Bic => Self, |text| Self::parse(text).map_err(str::to_owned));

impl<T: StringEnum + ToSchema> Form for T {
    type Value = T;

    fn check(value: &Value) -> Result<T, Takes> {
        string(value).and_then(word)
    }
}

/// Parses one of an enum's strings.
pub fn word<T: StringEnum>(text: &str) -> Result<T, Takes> {
    text.parse().map_err(|error: text::UnknownWord| error.to_string())
}

impl Form for bool {
    type Value = Self;

    fn check(value: &Value) -> Result<Self, Takes> {
        value.as_bool().ok_or_else(|| "must be true or false".to_owned())
    }
}

/// A share, in percent.
pub enum Percentage {}
form!(Percentage, whole_number().minimum(Some(0)).maximum(Some(MAX_PERCENT)));

impl Form for Percentage {
    type Value = u8;

    fn check(value: &Value) -> Result<u8, Takes> {
        let share = whole(value).and_then(|it| u8::try_from(it).ok()).filter(|it| *it <= MAX_PERCENT);
        share.ok_or_else(|| format!("must be a whole number from 0 to {MAX_PERCENT}"))
    }
}

/// The version of an opening that an operator saw.
pub enum ExpectedVersion {}
form!(ExpectedVersion, whole_number().minimum(Some(1)).maximum(Some(MAX_VERSION)));

impl Form for ExpectedVersion {
    type Value = i64;

    fn check(value: &Value) -> Result<i64, Takes> {
        let version = whole(value).filter(|it| (1..=MAX_VERSION).contains(it));
        version.ok_or_else(|| format!("must be a whole number from 1 to {MAX_VERSION}"))
    }
}

fn whole_number() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer)
}

/// A whole number, also if written as `50.0`.
fn whole(value: &Value) -> Option<i64> {
    let written = || value.as_f64().filter(|it| it.fract() == 0.0).and_then(|it| format!("{it:.0}").parse().ok());
    value.as_i64().or_else(written)
}

/// A name: of a provider, a market, a file, a kind.
pub fn name(text: &str) -> Result<String, Takes> {
    check_line(text, MAX_NAME)
}

/// The schema of [`name`].
pub enum Name {}
form!(Name, text::line(MAX_NAME));
text_form!(Name => String, name);

/// A caller's text of one line.
pub fn customer_text(text: &str) -> Result<String, Takes> {
    check_line(text, MAX_TEXT)
}

/// ISO 3166 alpha-2. Kosovo's user-assigned `XK` is not included.
pub fn country(text: &str) -> Result<String, Takes> {
    let form = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    if form && text != "XK" && celes::Country::from_alpha2(text).is_ok() {
        Ok(text.to_owned())
    } else {
        Err("must be an ISO 3166 alpha-2 country code, such as BE".to_owned())
    }
}

/// ISO 4217.
pub fn currency(text: &str) -> Result<String, Takes> {
    match iso_currency::Currency::from_code(text) {
        Some(currency) => Ok(currency.code().to_owned()),
        None => Err("must be an ISO 4217 currency code, such as EUR".to_owned()),
    }
}

/// Checks the form of an address; only sending to it would show whether it exists. Letters of any script are allowed.
pub fn email(text: &str) -> Result<String, Takes> {
    let fits = |text: &str, most: usize| !text.is_empty() && text.chars().nth(most).is_none();
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || !c.is_ascii();
    let label = |label: &str| fits(label, MAX_LABEL) && label.chars().all(letter);
    let blank = text.chars().any(|c| c.is_control() || c.is_whitespace());
    let shape = text
        .split_once('@')
        .is_some_and(|(local, domain)| fits(local, MAX_LOCAL) && domain.contains('.') && domain.split('.').all(label));
    if shape && !blank && fits(text, MAX_EMAIL) {
        Ok(text.to_owned())
    } else {
        Err(format!("must be an e-mail address of at most {MAX_EMAIL} characters"))
    }
}

/// The service finds the codes once: the API description asks for them at each field, and a search tries 18,000 words.
static COUNTRIES: LazyLock<Vec<String>> = LazyLock::new(|| text::codes(2, |code| country(code).is_ok()));
static CURRENCIES: LazyLock<Vec<String>> = LazyLock::new(|| text::codes(3, |code| currency(code).is_ok()));

/// A [`country`].
pub enum Country {}
text_form!(Country => String, country);
form!(Country, text::one_of(COUNTRIES.iter().map(String::as_str)).examples(["BE"]));

/// A [`currency`].
pub enum Currency {}
text_form!(Currency => String, currency);
form!(Currency, text::one_of(CURRENCIES.iter().map(String::as_str)).examples(["EUR"]));

/// A caller's text.
pub enum CustomerText {}
text_form!(CustomerText => String, customer_text);
form!(CustomerText, text::line(MAX_TEXT).examples(["Acme BV"]));

/// An e-mail address.
pub enum Email {}
text_form!(Email => String, email);
form!(Email, text::matching(&email_pattern()).max_length(Some(MAX_EMAIL)).examples(["ops@acme.example"]));

fn email_pattern() -> String {
    // Everything except ASCII's other signs and spaces.
    let letter = format!(r"[^\u0000-\u002c\u002e\u002f\u003a-\u0040\u005b-\u0060\u007b-\u009f{SPACE}]");
    let label = format!("{letter}{{1,{MAX_LABEL}}}");
    format!(r"[^\u0000-\u001f@\u007f-\u009f{SPACE}]{{1,{MAX_LOCAL}}}@{label}(\.{label})+")
}

/// A time in RFC 3339.
pub enum Timestamp {}
text_form!(Timestamp => Time, timestamp);
form!(
    Timestamp,
    text::matching(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .examples(["2026-01-01T00:00:00Z"])
);

/// RFC 3339. Its year has four digits, so every such time fits the database.
pub fn timestamp(text: &str) -> Result<Time, Takes> {
    let read = DateTime::parse_from_rfc3339(text).map(|it| it.to_utc());
    read.map_err(|_| "must be an RFC 3339 time, such as 2026-01-01T00:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::text::form_of;

    #[test]
    fn countries_and_currencies_are_those_of_the_standards_in_capitals() {
        assert!(["BE", "NL", "GB"].iter().all(|it| country(it).is_ok()));
        assert!(["", "be", "Be", "BEL", "XX", "UK", "XK", "B\u{0}", "ÄÖ"].iter().all(|it| country(it).is_err()));
        assert!(["EUR", "USD", "JPY"].iter().all(|it| currency(it).is_ok()));
        assert!(["", "eur", "EURO", "AAA", "€", "EU\u{0}"].iter().all(|it| currency(it).is_err()));
    }

    #[test]
    fn an_address_has_the_shape_of_one() {
        let long = format!("a@{}.example", ["x".repeat(63), "x".repeat(63), "x".repeat(63), "x".repeat(63)].join("."));
        let (local, label) = (format!("{}@b.example", "x".repeat(65)), format!("a@{}.example", "x".repeat(64)));
        assert!(["ops@acme.example", "a.b+c@d-e.co.uk", "ü@müller.example"].iter().all(|it| email(it).is_ok()));
        let wrong = [
            "",
            "a",
            "@b.example",
            "a@",
            "a@b",
            "a@b..example",
            "a b@c.example",
            "a@b@c.example",
            "a@b.\u{0}",
            "a@b_c.example",
            &long,
            &local,
            &label,
        ];
        assert!(wrong.iter().all(|it| email(it).is_err()), "{wrong:?}");
    }

    /// A schema's name, its check of a text, and the parser's check.
    type Pair = (&'static str, Box<dyn Fn(&str) -> bool>, fn(&str) -> bool);

    /// Each schema beside its parser: both accept the same texts.
    fn pairs() -> Vec<Pair> {
        vec![
            ("text", Box::new(form_of::<CustomerText>()), |it| customer_text(it).is_ok()),
            ("reason", Box::new(form_of::<ReasonText>()), |it| reason::reason(it).is_ok()),
            ("evidence", Box::new(form_of::<EvidenceText>()), |it| reason::evidence(it).is_ok()),
            ("e-mail", Box::new(form_of::<Email>()), |it| email(it).is_ok()),
            ("country", Box::new(form_of::<Country>()), |it| country(it).is_ok()),
            ("currency", Box::new(form_of::<Currency>()), |it| currency(it).is_ok()),
            ("tracking id", Box::new(form_of::<ProviderRef>()), |it| ProviderRef::new(it).is_ok()),
        ]
    }

    #[test]
    fn the_described_forms_take_what_the_checks_take() {
        let pairs = pairs();
        let same = |text: &str| {
            for (name, described, taken) in &pairs {
                assert_eq!(described(text), taken(text), "{name}: {text:?}");
            }
        };
        for c in ('\0'..='\u{3fff}').chain(['\u{feff}', '\u{fffd}', '\u{1d11e}']) {
            same(&c.to_string());
            same(&format!("{c}a@b{c}.example"));
        }
        for length in [63, 64, 65, 199, 200, 201, 254, 255, 500, 501, 2_000, 2_001] {
            same(&"é".repeat(length));
            same(&" ".repeat(length));
            same(&format!("{}@b.example", "x".repeat(length)));
            same(&format!("a@{}.example", "x".repeat(length)));
            same(&format!("a@{}b", "é.".repeat(length / 2)));
        }
        for text in
            ["BE", "be", "XK", "EUR", "XXX", "eur", "a@b@c.example", "a@b..c", "a@.b", "a@b.", "@b.c", "a\nb", "\n"]
        {
            same(text);
        }
    }
}
