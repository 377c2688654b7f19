//! Pages of lists: `limit`, an opaque `cursor`, and the query parameters around them.
//!
//! A cursor is the key of the last row that the reader has, so that rows which come and go move nobody's page. One row
//! more than the page is read: whether there is a next page is known without counting.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::{IntoParams, ToSchema};

use super::fields::Takes;
use crate::db::Page;
use crate::http::problem::{ApiError, FieldError, Kind};

/// Rows on a page that asks for no number.
const DEFAULT: i64 = 50;
/// The most rows on a page.
const MOST: i64 = 200;

/// The query of every list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// At most so many items.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<i64>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// A page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Listing<Item: ToSchema> {
    /// The items.
    pub items: Vec<Item>,
    /// What to ask for next. None: this was the last page.
    pub next_cursor: Option<String>,
}

/// The query parameters of a request, none of them twice.
#[derive(Clone, Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(pairs) = query.map_err(|_| ApiError::because(Kind::ValidationFailed, "the query cannot be read"))?;
        Self::new(pairs)
    }
}

impl Params {
    fn new(pairs: Vec<(String, String)>) -> Result<Self, ApiError> {
        for (index, (name, _)) in pairs.iter().enumerate() {
            if pairs[..index].iter().any(|(other, _)| other == name) {
                return Err(ApiError::field(&format!("/{name}"), "must not stand twice"));
            }
        }
        Ok(Self(pairs))
    }

    /// Refuses parameters other than `limit`, `cursor` and these.
    ///
    /// # Errors
    /// 400 `unknown-field`.
    pub fn only(&self, names: &[&str]) -> Result<(), ApiError> {
        let known = |name: &str| ["limit", "cursor"].contains(&name) || names.contains(&name);
        let unknown = self.0.iter().filter(|(name, _)| !known(name));
        let error = |name: &str| FieldError { pointer: format!("/{name}"), detail: "is unknown".to_owned() };
        let errors: Vec<FieldError> = unknown.map(|(name, _)| error(name)).collect();
        if errors.is_empty() { Ok(()) } else { Err(ApiError::fields(Kind::UnknownField, errors)) }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    /// A parameter, checked.
    ///
    /// # Errors
    /// 422 `validation-failed`.
    pub fn read<T>(&self, name: &str, check: impl Fn(&str) -> Result<T, Takes>) -> Result<Option<T>, ApiError> {
        let read = |text: &str| check(text).map_err(|takes| ApiError::field(&format!("/{name}"), takes));
        self.get(name).map(read).transpose()
    }

    /// A parameter that takes one of these words.
    ///
    /// # Errors
    /// 422 `validation-failed`.
    pub fn one_of(&self, name: &str, words: &[&'static str]) -> Result<Option<&'static str>, ApiError> {
        let takes = || format!("must be one of: {}", words.join(", "));
        self.read(name, |text| words.iter().copied().find(|word| *word == text).ok_or_else(takes))
    }

    /// Which page is asked for.
    ///
    /// # Errors
    /// 422 `validation-failed`.
    pub fn page<Key: DeserializeOwned>(&self) -> Result<Page<Key>, ApiError> {
        let limit = self.read("limit", |text| match text.parse() {
            Ok(limit) if (1..=MOST).contains(&limit) => Ok(limit),
            _ => Err(format!("must be a whole number from 1 to {MOST}")),
        })?;
        let cursor = |text: &str| decode(text).ok_or("must be the next_cursor of a page of this list".to_owned());
        Ok(Page { limit: limit.unwrap_or(DEFAULT), after: self.read("cursor", cursor)? })
    }
}

/// What to ask the database for: one row more than the page has.
#[must_use]
pub fn one_more<Key>(page: Page<Key>) -> Page<Key> {
    Page { limit: page.limit + 1, after: page.after }
}

/// The page that these rows make: those asked for with [`one_more`].
pub fn listing<Row, Key: Serialize, Item: ToSchema>(
    mut rows: Vec<Row>,
    limit: i64,
    key: impl Fn(&Row) -> Key,
    item: impl Fn(Row) -> Item,
) -> Listing<Item> {
    let limit = usize::try_from(limit).unwrap_or_default();
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| more).map(|row| encode(&key(row)));
    Listing { items: rows.into_iter().map(item).collect(), next_cursor }
}

/// The cursor after a row.
pub fn encode<Key: Serialize>(key: &Key) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).unwrap_or_default())
}

/// No key of ours has anything to escape in it; one that has was made by somebody else, perhaps to smuggle a U+0000.
fn decode<Key: DeserializeOwned>(cursor: &str) -> Option<Key> {
    let json = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    if json.contains(&b'\\') { None } else { serde_json::from_slice(&json).ok() }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use uuid::Uuid;

    use super::*;

    fn params(query: &[(&str, &str)]) -> Result<Params, ApiError> {
        Params::new(query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_cursor_brings_back_the_key_that_it_was_made_from() {
        let key = (DateTime::<Utc>::UNIX_EPOCH, 3, "0000000001".to_owned());
        let cursor = encode(&key);
        assert_eq!(decode(&cursor), Some(key));
        assert_eq!(decode::<Uuid>(&cursor), None);
        assert_eq!(decode::<String>(&URL_SAFE_NO_PAD.encode(r#""a\u0000""#)), None);
        for wrong in ["", "%", "abc", "bnVsbA", "🦀"] {
            assert_eq!(decode::<Uuid>(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_limit_is_from_1_to_200_and_a_query_knows_its_parameters() {
        assert_eq!(params(&[]).unwrap().page::<Uuid>().unwrap().limit, 50);
        assert_eq!(params(&[("limit", "200")]).unwrap().page::<Uuid>().unwrap().limit, 200);
        for wrong in ["0", "201", "-1", "x", "", "1.5", "99999999999999999999"] {
            let error = params(&[("limit", wrong)]).unwrap().page::<Uuid>().unwrap_err();
            assert_eq!(
                (error.kind(), error.errors()[0].pointer.as_str()),
                (Kind::ValidationFailed, "/limit"),
                "{wrong}"
            );
        }
        assert_eq!(params(&[("limit", "1"), ("limit", "2")]).unwrap_err().kind(), Kind::ValidationFailed);
        let error = params(&[("status", "x"), ("sort", "x")]).unwrap().only(&["status"]).unwrap_err();
        assert_eq!((error.kind(), error.errors()[0].pointer.as_str()), (Kind::UnknownField, "/sort"));
    }

    #[test]
    fn only_a_page_with_more_behind_it_has_a_next_one() {
        let page = |rows: i64| listing((0..rows).collect(), 3, |row| *row, |row| row);
        assert_eq!((page(3).items.len(), page(3).next_cursor), (3, None));
        assert_eq!((page(4).items.len(), page(4).next_cursor.and_then(|it| decode::<i64>(&it))), (3, Some(2)));
        assert_eq!(page(0).next_cursor, None);
    }
}
