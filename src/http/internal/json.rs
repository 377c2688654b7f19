//! Strict JSON bodies: one object of known fields, no duplicate names, no serde leniency.
//!
//! A duplicate name could mean one value to the service and another to a proxy in front of it.

use std::fmt;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::fields::{self, Field};
use crate::http::body;
use crate::http::problem::{ApiError, Kind};

/// A body declared with `body!`; its size is bounded by the router.
pub struct Body<B>(pub B);

impl<S: Send + Sync, B: Field<Value = B>> FromRequest<S> for Body<B> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !body::may_be_json(request.headers()) {
            return Err(ApiError::new(Kind::UnsupportedMediaType));
        }
        fields::read::<B>(&parse(&bytes(request, state).await?)?).map(Self)
    }
}

async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, state).await.map_err(|rejection| match &rejection {
        rejection if body::is_too_large(rejection) => ApiError::new(Kind::PayloadTooLarge),
        rejection if body::is_too_slow(rejection) => ApiError::new(Kind::RequestTimeout),
        _ => ApiError::because(Kind::InvalidJson, "the body ended early"),
    })
}

/// An optional body; missing means an empty object.
pub struct MaybeBody<B>(pub B);

impl<S: Send + Sync, B: Field<Value = B>> FromRequest<S> for MaybeBody<B> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let is_json = body::may_be_json(request.headers());
        let bytes = bytes(request, state).await?;
        let body = match bytes.is_empty() {
            true => Value::Object(Map::new()),
            false if is_json => parse(&bytes)?,
            false => return Err(ApiError::new(Kind::UnsupportedMediaType)),
        };
        fields::read::<B>(&body).map(Self)
    }
}

/// Parses an object.
fn parse(bytes: &[u8]) -> Result<Value, ApiError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    match value {
        Ok(object @ Value::Object(_)) => Ok(object),
        Ok(_) => Err(ApiError::because(Kind::InvalidJson, "the body is JSON, but not an object")),
        Err(_) => Err(ApiError::new(Kind::InvalidJson)),
    }
}

/// Parses any value without duplicate names in its objects.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(Self)? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let value = access.next_value_seed(Self)?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_taken_and_what_could_be_read_in_two_ways_is_not() {
        assert_eq!(parse(br#" {"a":[1,-2,0.5,true,null,"x"],"b":{}} "#).unwrap().as_object().unwrap().len(), 2);
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200));
        for wrong in [
            "",
            "null",
            "[]",
            "\"text\"",
            "{",
            "{} {}",
            "{'a':1}",
            r#"{"a":1,"a":1}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":1e400}"#,
            r#"{"a":NaN}"#,
            "{\"a\":\"\u{1}\"}",
            &deep,
        ] {
            assert_eq!(parse(wrong.as_bytes()).unwrap_err().kind(), Kind::InvalidJson, "{wrong}");
        }
        assert!(parse(b"{\"a\":\"\xff\"}").is_err());
    }
}
