//! Reads the fields of a body, and collects everything that is wrong with them before it refuses.

use serde_json::{Map, Value};

use crate::http::problem::{ApiError, FieldError, Kind};

/// The longest text of a caller's that is kept, in characters.
pub const MAX_TEXT: usize = 200;

/// Why a value is not taken: what it must be. Constant, so that no value is echoed.
pub type Takes = String;

/// Refuses fields that are not among `known`. Each object is given with its pointer (the body's is empty).
///
/// # Errors
/// 400 `unknown-field` with a pointer for each of them.
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

/// What was found wrong so far.
#[derive(Debug, Default)]
pub struct Wrong(Vec<FieldError>);

impl Wrong {
    /// Notes a field.
    pub fn add(&mut self, at: &str, name: &str, detail: impl Into<String>) {
        self.0.push(FieldError { pointer: pointer(at, name), detail: detail.into() });
    }

    /// The value, if nothing was wrong.
    ///
    /// # Errors
    /// 422 `validation-failed` with all that was.
    pub fn or<T>(self, value: Option<T>) -> Result<T, ApiError> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(ApiError::fields(Kind::ValidationFailed, self.0)),
        }
    }

    /// A text that may be left out; null is the same as nothing.
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

    /// A text that must be there.
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

/// Text for people or of a caller's: 1 to `most` characters, none of them a control character (the database takes no
/// U+0000), not only spaces.
pub fn text(text: &str, most: usize) -> Result<String, Takes> {
    if text.trim().is_empty() || text.chars().nth(most).is_some() {
        Err(format!("must be 1 to {most} characters long, and not only spaces"))
    } else if text.chars().any(char::is_control) {
        Err("must not contain control characters".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// ISO 3166 alpha-2. Kosovo's `XK` is user-assigned and not in it.
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

/// The shape of an address: whether it exists, only a message to it would show.
pub fn email(text: &str) -> Result<String, Takes> {
    let plain = text.len() <= 254 && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    let shape = text.rsplit_once('@').is_some_and(|(local, domain)| {
        let label = |label: &str| {
            !label.is_empty() && label.len() <= 63 && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        };
        (1..=64).contains(&local.len()) && !local.contains('@') && domain.contains('.') && domain.split('.').all(label)
    });
    if plain && shape {
        Ok(text.to_owned())
    } else {
        Err("must be an e-mail address of at most 254 characters".to_owned())
    }
}

/// One of the fixed words of an enum.
pub fn word<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Takes> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_and_currencies_are_those_of_the_standards_in_capitals() {
        assert!(["BE", "NL", "GB"].iter().all(|it| country(it).is_ok()));
        assert!(["", "be", "Be", "BEL", "XX", "UK", "XK", "B\u{0}", "ÄÖ"].iter().all(|it| country(it).is_err()));
        assert!(["EUR", "USD", "JPY"].iter().all(|it| currency(it).is_ok()));
        assert!(["", "eur", "EURO", "AAA", "€", "EU\u{0}"].iter().all(|it| currency(it).is_err()));
    }

    #[test]
    fn an_address_has_the_shape_of_one() {
        let long = format!("a@{}.example", "x".repeat(250));
        assert!(["ops@acme.example", "a.b+c@d-e.co.uk", "ü@müller.example"].iter().all(|it| email(it).is_ok()));
        let wrong =
            ["", "a", "@b.example", "a@", "a@b", "a@b..example", "a b@c.example", "a@b@c.example", "a@b.\u{0}", &long];
        assert!(wrong.iter().all(|it| email(it).is_err()), "{wrong:?}");
    }

    #[test]
    fn unknown_names_are_pointed_at_as_the_standard_says() {
        let object = Map::from_iter([("a/b~c".to_owned(), Value::Null), ("known".to_owned(), Value::Null)]);
        let error = refuse_unknown(&[("/customer", &object, &["known"])]).unwrap_err();
        assert_eq!(error.kind(), Kind::UnknownField);
        assert_eq!(error.errors()[0].pointer, "/customer/a~1b~0c");
    }
}
