//! Lists as CSV for spreadsheets.
//!
//! An export is read first and recorded then, so that a record stands for rows that were handed out; what is not recorded is not
//! handed out.

use axum::extract::FromRequestParts;
use axum::http::Method;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use crate::csv;
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

pub struct Csv(String);

impl Csv {
    #[must_use]
    pub fn new(columns: &[&str]) -> Self {
        Self(csv::record(columns))
    }

    pub fn row(&mut self, cells: &[impl AsRef<str>]) {
        self.0.push_str(&csv::record(cells));
    }

    /// A file of this name, which is a word of ours.
    #[must_use]
    pub fn answer(self, name: &str) -> Response {
        let disposition = format!("attachment; filename=\"{name}\"");
        ([(CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, disposition)], self.0)
            .into_response()
    }
}
