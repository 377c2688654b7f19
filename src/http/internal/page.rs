//! Pages of lists: `limit`, `cursor`, and filters.
//!
//! A cursor is the key of the last row that the reader has, so that inserted and deleted rows do not shift the page.
//! One extra row is read to know without counting whether there is a next page.

use std::marker::PhantomData;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::{IntoParams, ToSchema};

use super::cursor::{self, Key};
use super::fields::Takes;
use crate::db::Page;
use crate::http::problem::{ApiError, FieldError, Kind};

/// The default page size.
const DEFAULT: i64 = 50;
/// The minimum page size.
const MIN: i64 = 1;
/// The maximum page size.
const MAX: i64 = 200;

/// The query parameters of a list with this key.
pub struct PageQuery<Key>(PhantomData<Key>);

impl<K: Key> IntoParams for PageQuery<K> {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let parameter = |name: &str, description: &str, schema: ObjectBuilder| {
            let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query);
            parameter.required(Required::False).description(Some(description)).schema(Some(schema)).build()
        };
        let limit = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(MIN))
            .maximum(Some(MAX))
            .default(Some(DEFAULT.into()));
        vec![
            parameter("limit", "The most items on the page", limit),
            parameter("cursor", "The `next_cursor` of the page before", cursor::form::<K>()),
        ]
    }
}

/// A page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Listing<Item: ToSchema> {
    /// The items of the page.
    pub items: Vec<Item>,
    /// The cursor of the next page. Null: this was the last page.
    pub next_cursor: Option<String>,
}

/// The query parameters of a request, without duplicates.
#[derive(Clone, Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(pairs) =
            query.map_err(|_| ApiError::because(Kind::ValidationFailed, "the query string is invalid"))?;
        Self::new(pairs)
    }
}

impl Params {
    /// # Errors
    /// 422 if a name stands twice.
    pub fn new(pairs: Vec<(String, String)>) -> Result<Self, ApiError> {
        for (index, (name, _)) in pairs.iter().enumerate() {
            if pairs[..index].iter().any(|(other, _)| other == name) {
                return Err(ApiError::field(&format!("/{name}"), "must not stand twice"));
            }
        }
        Ok(Self(pairs))
    }

    /// Refuses parameters other than `limit`, `cursor` and `names`.
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

    /// The names and values as they were given.
    #[must_use]
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// The filters by their names, for the record of an export.
    #[must_use]
    pub fn filters(&self) -> Value {
        let filters = self.0.iter().filter(|(name, _)| !["limit", "cursor"].contains(&name.as_str()));
        filters.map(|(name, value)| (name.clone(), value.as_str().into())).collect::<Map<_, _>>().into()
    }

    /// Without the empty ones: a page's form of filters sends its empty fields too.
    #[must_use]
    pub fn given(mut self) -> Self {
        self.0.retain(|(_, value)| !value.is_empty());
        self
    }

    /// Without this one.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(it, _)| it != name);
        self
    }

    /// A parameter as it was given; empty if it was not.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Reads and checks a parameter.
    ///
    /// # Errors
    /// 422 `validation-failed`.
    pub fn read<T>(&self, name: &str, check: impl Fn(&str) -> Result<T, Takes>) -> Result<Option<T>, ApiError> {
        let read = |text: &str| check(text).map_err(|takes| ApiError::field(&format!("/{name}"), takes));
        self.get(name).map(read).transpose()
    }

    /// The requested page.
    ///
    /// # Errors
    /// 422 `validation-failed`.
    pub fn page<K: Key>(&self) -> Result<Page<K>, ApiError> {
        let limit = self.read("limit", |text| match text.parse() {
            Ok(limit) if (MIN..=MAX).contains(&limit) => Ok(limit),
            _ => Err(format!("must be a whole number from {MIN} to {MAX}")),
        })?;
        let cursor = |text: &str| K::read(text).ok_or("must be the next_cursor of a page of this list".to_owned());
        Ok(Page { limit: limit.unwrap_or(DEFAULT), after: self.read("cursor", cursor)? })
    }
}

/// The page to read from the database, with one extra row.
#[must_use]
pub fn one_more<Key: Clone>(page: &Page<Key>) -> Page<Key> {
    Page { limit: page.limit + 1, after: page.after.clone() }
}

/// The answer for rows read with [`one_more`].
pub fn listing<Row, K: Key, Item: ToSchema>(
    rows: Vec<Row>,
    limit: i64,
    key: impl Fn(&Row) -> K,
    item: impl Fn(Row) -> Item,
) -> Listing<Item> {
    let (rows, next_cursor) = paged(rows, limit, key);
    Listing { items: rows.into_iter().map(item).collect(), next_cursor }
}

/// The rows of a page that were read with [`one_more`], and the cursor of the next page.
pub fn paged<Row, K: Key>(mut rows: Vec<Row>, limit: i64, key: impl Fn(&Row) -> K) -> (Vec<Row>, Option<String>) {
    let limit = usize::try_from(limit).unwrap_or_default();
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| more).map(|row| key(row).write());
    (rows, next_cursor)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn params(query: &[(&str, &str)]) -> Result<Params, ApiError> {
        Params::new(query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
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
        assert_eq!((page(4).items.len(), page(4).next_cursor.as_deref()), (3, Some("2")));
        assert_eq!(page(0).next_cursor, None);
    }
}
