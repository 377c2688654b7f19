//! Lists as CSV for spreadsheets.
//!
//! An export is read first and recorded then, so that a record stands for rows that were handed out; what is not recorded is not
//! handed out.

use axum::extract::FromRequestParts;
use axum::http::Method;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::{Dashboard, Visit};
use crate::acts::export;
use crate::csv;
use crate::db::Page;
use crate::http::internal::page::Params;
use crate::http::problem::{ApiError, Kind};

/// The most rows of an export.
pub const MAX_ROWS: usize = 10_000;

/// A request that no other site made: an export is refused when the browser says that one did. HEAD hands out nothing, so it is
/// refused too and leaves no record.
pub struct OwnSite;

impl<S: Send + Sync> FromRequestParts<S> for OwnSite {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        if parts.method == Method::HEAD {
            return Err(ApiError::new(Kind::MethodNotAllowed));
        }
        let site = parts.headers.get("sec-fetch-site").map(|it| it.to_str().unwrap_or("cross-site"));
        match site {
            Some("cross-site" | "same-site") => {
                Err(ApiError::because(Kind::Forbidden, "the export was asked for by a page of another site"))
            }
            _ => Ok(Self),
        }
    }
}

/// All rows of an export, as a page.
#[must_use]
pub fn whole<Key>() -> Page<Key> {
    Page { limit: i64::try_from(MAX_ROWS).unwrap_or(i64::MAX), after: None }
}

/// A list as CSV.
pub struct Export<'a, const COLUMNS: usize> {
    /// Of the list in the record, and of the file: words of ours.
    pub name: &'static str,
    pub file: &'static str,
    pub columns: [&'static str; COLUMNS],
    pub dashboard: &'a Dashboard,
    pub visit: &'a Visit,
    /// The list, by which the filters are recorded.
    pub params: &'a Params,
}

impl<const COLUMNS: usize> Export<'_, COLUMNS> {
    /// Records the export, and hands its rows out.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn of(self, rows: impl Iterator<Item = [String; COLUMNS]>) -> Result<Response, ApiError> {
        export::run(&self.dashboard.acts, &self.visit.principal, self.name, self.params.filters()).await?;
        let mut text = csv::record(self.columns);
        text.extend(rows.map(|it| csv::record(&it)));
        let disposition = format!("attachment; filename=\"{}\"", self.file);
        let headers = [(CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, disposition)];
        Ok((headers, text).into_response())
    }
}
