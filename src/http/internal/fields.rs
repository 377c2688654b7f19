//! Parses a body's fields and collects all errors before refusing.

use chrono::DateTime;
use serde_json::{Map, Value};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{KnownFormat, SchemaFormat};

use crate::clock::Time;
use crate::domain::text::{self as forms, SPACE, form};
use crate::http::problem::{ApiError, FieldError, Kind};

/// The maximum length of a caller's text, in characters.
pub const MAX_TEXT: usize = 200;
/// The maximum length of an e-mail address, in characters.
const MAX_EMAIL: usize = 254;
/// The maximum length of the local part of an e-mail address, in characters.
const MAX_LOCAL: usize = 64;
/// The maximum length of a domain label, in characters.
const MAX_LABEL: usize = 63;
pub const MAX_PERCENT: u8 = 100;

/// The largest version: every JSON reader represents smaller integers exactly.
const MAX_VERSION: i64 = (1 << 53) - 1;

/// The requirement for a value. Never contains the value.
pub type Takes = String;

/// Refuses fields not in `known`. Each object is given with its JSON pointer (the body's is empty).
///
/// # Errors
/// 400 `unknown-field` with a pointer for each field.
pub fn refuse_unknown(objects: &[(&str, &Map<String, Value>, &[&str])]) -> Result<(), ApiError> {
    let mut errors = Vec::new();
    for (at, object, known) in objects {
        let unknown = object.keys().filter(|name| !known.contains(&name.as_str()));
        errors.extend(unknown.map(|name| FieldError { pointer: pointer(at, name), detail: "is unknown".to_owned() }));
    }
    if errors.is_empty() { Ok(()) } else { Err(ApiError::fields(Kind::UnknownField, errors)) }
}

/// RFC 6901: `~` and `/` in a name are escaped.
fn pointer(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The errors found so far.
#[derive(Debug, Default)]
pub struct Wrong(Vec<FieldError>);

impl Wrong {
    pub fn add(&mut self, at: &str, name: &str, detail: impl Into<String>) {
        self.0.push(FieldError { pointer: pointer(at, name), detail: detail.into() });
    }

    /// The value if there are no errors.
    ///
    /// # Errors
    /// 422 `validation-failed` with all errors.
    pub fn or<T>(self, value: Option<T>) -> Result<T, ApiError> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(ApiError::fields(Kind::ValidationFailed, self.0)),
        }
    }

    /// An optional text; null counts as missing.
    pub fn optional<T>(
        &mut self,
        at: &str,
        object: &Map<String, Value>,
        name: &str,
        check: impl Fn(&str) -> Result<T, Takes>,
    ) -> Option<T> {
        let detail = match object.get(name) {
            None | Some(Value::Null) => return None,
            Some(Value::String(text)) => match check(text) {
                Ok(value) => return Some(value),
                Err(takes) => takes,
            },
            Some(_) => "must be a string".to_owned(),
        };
        self.add(at, name, detail);
        None
    }

    /// The optional `expected_version` of an act on an opening; null counts as missing.
    pub fn version(&mut self, body: &Map<String, Value>) -> Option<i64> {
        let value = body.get("expected_version").filter(|it| !it.is_null())?;
        let version = whole(value).filter(|it| (1..=MAX_VERSION).contains(it));
        if version.is_none() {
            self.add("", "expected_version", format!("must be a whole number from 1 to {MAX_VERSION}"));
        }
        version
    }

    pub fn required<T>(
        &mut self,
        at: &str,
        object: &Map<String, Value>,
        name: &str,
        check: impl Fn(&str) -> Result<T, Takes>,
    ) -> Option<T> {
        if matches!(object.get(name), None | Some(Value::Null)) {
            self.add(at, name, "is required");
            return None;
        }
        self.optional(at, object, name, check)
    }
}

/// A text of 1 to `most` characters, without control characters (the database refuses U+0000), not only spaces.
pub fn text(text: &str, most: usize) -> Result<String, Takes> {
    if text.trim().is_empty() || text.chars().nth(most).is_some() {
        Err(format!("must be 1 to {most} characters long, and not only spaces"))
    } else if text.chars().any(char::is_control) {
        Err("must not contain control characters".to_owned())
    } else {
        Ok(text.to_owned())
    }
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

/// A whole number from 0 to 100.
#[must_use]
pub fn percentage(value: &Value) -> Option<u8> {
    u8::try_from(whole(value)?).ok().filter(|it| *it <= MAX_PERCENT)
}

/// A whole number, also if written as `50.0`.
fn whole(value: &Value) -> Option<i64> {
    let written = || value.as_f64().filter(|it| it.fract() == 0.0).and_then(|it| format!("{it:.0}").parse().ok());
    value.as_i64().or_else(written)
}

/// The schema of [`Wrong::version`].
#[must_use]
pub fn version() -> ObjectBuilder {
    let type_ = utoipa::openapi::schema::SchemaType::from_iter([Type::Integer, Type::Null]);
    ObjectBuilder::new().schema_type(type_).minimum(Some(1)).maximum(Some(MAX_VERSION))
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

/// The schema of [`country`].
pub enum Country {}
form!(Country, forms::one_of(forms::codes(2, |code| country(code).is_ok()).into_iter()).examples(["BE"]));

/// The schema of [`currency`].
pub enum Currency {}
form!(Currency, forms::one_of(forms::codes(3, |code| currency(code).is_ok()).into_iter()).examples(["EUR"]));

/// The schema of a caller's [`text`].
pub enum CustomerText {}
form!(CustomerText, forms::line(MAX_TEXT).examples(["Acme BV"]));

/// The schema of [`email`].
pub enum Email {}
form!(Email, forms::matching(&email_pattern()).max_length(Some(MAX_EMAIL)).examples(["ops@acme.example"]));

fn email_pattern() -> String {
    // Everything except ASCII's other signs and spaces.
    let letter = format!(r"[^\u0000-\u002c\u002e\u002f\u003a-\u0040\u005b-\u0060\u007b-\u009f{SPACE}]");
    let label = format!("{letter}{{1,{MAX_LABEL}}}");
    format!(r"[^\u0000-\u001f@\u007f-\u009f{SPACE}]{{1,{MAX_LOCAL}}}@{label}(\.{label})+")
}

/// A time in RFC 3339.
pub enum Timestamp {}
form!(
    Timestamp,
    forms::matching(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .examples(["2026-01-01T00:00:00Z"])
);

/// RFC 3339. Its year has four digits, so every such time fits the database.
pub fn timestamp(text: &str) -> Result<Time, Takes> {
    let read = DateTime::parse_from_rfc3339(text).map(|it| it.to_utc());
    read.map_err(|_| "must be an RFC 3339 time, such as 2026-01-01T00:00:00Z".to_owned())
}

/// One of an enum's strings.
pub fn word<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Takes> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ProviderRef;
    use crate::domain::text::form_of;
    use crate::http::internal::reason::{EvidenceText, ReasonText, evidence, reason};

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

    #[test]
    fn unknown_names_are_pointed_at_as_the_standard_says() {
        let object = Map::from_iter([("a/b~c".to_owned(), Value::Null), ("known".to_owned(), Value::Null)]);
        let error = refuse_unknown(&[("/customer", &object, &["known"])]).unwrap_err();
        assert_eq!(error.kind(), Kind::UnknownField);
        assert_eq!(error.errors()[0].pointer, "/customer/a~1b~0c");
    }

    /// A schema's name, its check of a text, and the parser's check.
    type Pair = (&'static str, Box<dyn Fn(&str) -> bool>, fn(&str) -> bool);

    /// Each schema beside its parser: both accept the same texts.
    fn pairs() -> Vec<Pair> {
        vec![
            ("text", Box::new(form_of::<CustomerText>()), |it| text(it, MAX_TEXT).is_ok()),
            ("reason", Box::new(form_of::<ReasonText>()), |it| reason(it).is_ok()),
            ("evidence", Box::new(form_of::<EvidenceText>()), |it| evidence(it).is_ok()),
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
