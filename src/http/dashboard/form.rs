//! Forms as the same maps of fields that REST's JSON bodies are, so that both are read by one description (`body!`).

use axum::Form;
use axum::extract::{FromRequest, Request};
use serde_json::{Map, Value};

use crate::http::body;
use crate::http::internal::fields::{self, Field};
use crate::http::internal::page::Params;
use crate::http::problem::{ApiError, FieldError, Kind};

/// Fields that are numbers in JSON.
const NUMBERS: [&str; 2] = ["expected_version", "percentage"];
/// Fields that are true or false in JSON.
const SWITCHES: [&str; 1] = ["enabled"];
/// A field that is null in JSON, and the word for it in a form, where an empty field is absent.
pub const AUTOMATIC: (&str, &str) = ("forced", "automatic");

/// The fields of a form. A field that was left empty is absent.
#[derive(Clone, Debug, Default)]
pub struct Fields(Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let form = Form::<Vec<(String, String)>>::from_request(request, state).await;
        let Form(pairs) = form.map_err(|rejection| match &rejection {
            rejection if body::is_too_large(rejection) => ApiError::new(Kind::PayloadTooLarge),
            rejection if body::is_too_slow(rejection) => ApiError::new(Kind::RequestTimeout),
            rejection => match rejection.status() {
                axum::http::StatusCode::UNSUPPORTED_MEDIA_TYPE => ApiError::new(Kind::UnsupportedMediaType),
                _ => ApiError::because(Kind::InvalidJson, "the form cannot be read"),
            },
        })?;
        Self::new(pairs)
    }
}

impl Fields {
    /// # Errors
    /// 422 if a name stands twice.
    pub fn new(pairs: Vec<(String, String)>) -> Result<Self, ApiError> {
        let mut fields = Map::new();
        for (name, text) in pairs {
            if fields.contains_key(&name) {
                return Err(ApiError::field(&format!("/{name}"), "must not stand twice"));
            }
            fields.insert(name.clone(), value(&name, text));
        }
        fields.retain(|_, value| *value != "");
        Ok(Self(fields))
    }

    /// The parameters of an address, read as the fields of a form.
    ///
    /// # Errors
    /// As those of a form.
    pub fn of(params: &Params) -> Result<Self, ApiError> {
        Self::new(params.pairs().to_vec())
    }

    /// With this value for a field that is absent.
    #[must_use]
    pub fn or(mut self, name: &str, text: &str) -> Self {
        self.0.entry(name).or_insert_with(|| value(name, text.to_owned()));
        self
    }

    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.remove(name);
        self
    }

    /// A text, as it was typed.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// The value that was typed or chosen in a field.
    #[must_use]
    pub fn typed(&self, name: &str) -> String {
        match self.0.get(name) {
            None => String::new(),
            Some(Value::Null) => AUTOMATIC.1.to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    /// A whole number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        self.0.get(name).and_then(Value::as_i64)
    }

    /// Takes a field that stands in the form only, and not in REST's body.
    pub fn take(&mut self, name: &str) -> Option<String> {
        match self.0.remove(name)? {
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        }
    }

    /// Refuses fields other than `names`.
    ///
    /// # Errors
    /// 400 `unknown-field`.
    pub fn only(&self, names: &[&str]) -> Result<(), ApiError> {
        let unknown = self.0.keys().filter(|name| !names.contains(&name.as_str()));
        let error = |name: &String| FieldError { pointer: format!("/{name}"), detail: "is unknown".to_owned() };
        let errors: Vec<FieldError> = unknown.map(error).collect();
        if errors.is_empty() { Ok(()) } else { Err(ApiError::fields(Kind::UnknownField, errors)) }
    }

    /// Reads the body of REST's route.
    ///
    /// # Errors
    /// As REST's.
    pub fn read<B: Field<Value = B>>(&self) -> Result<B, ApiError> {
        fields::read::<B>(&Value::Object(self.0.clone()))
    }
}

fn value(name: &str, text: String) -> Value {
    match (text.as_str(), text.parse::<i64>()) {
        (_, Ok(number)) if NUMBERS.contains(&name) => number.into(),
        ("true" | "false", _) if SWITCHES.contains(&name) => (text == "true").into(),
        _ if AUTOMATIC == (name, text.as_str()) => Value::Null,
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(pairs: &[(&str, &str)]) -> Result<Fields, ApiError> {
        Fields::new(pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }

    #[test]
    fn a_form_becomes_a_map_whose_numbers_are_numbers_and_whose_empty_fields_are_absent() {
        let fields = form(&[("expected_version", "3"), ("reason", "3"), ("evidence", "")]).unwrap();
        assert_eq!(Value::Object(fields.0), serde_json::json!({"expected_version": 3, "reason": "3"}));
        let fields = form(&[("enabled", "false"), ("forced", "automatic"), ("market", "true")]).unwrap();
        assert_eq!(Value::Object(fields.0), serde_json::json!({"enabled": false, "forced": null, "market": "true"}));
        assert_eq!(form(&[("a", ""), ("a", "1")]).unwrap_err().kind(), Kind::ValidationFailed);
        assert_eq!(form(&[("a", "1")]).unwrap().only(&["b"]).unwrap_err().kind(), Kind::UnknownField);
    }
}
