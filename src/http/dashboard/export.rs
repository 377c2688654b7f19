//! Lists as CSV for spreadsheets. A cell that a spreadsheet would take for a formula begins with an apostrophe.

use axum::extract::FromRequestParts;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use crate::http::problem::{ApiError, Kind};

/// The most rows of an export.
pub const MAX_ROWS: usize = 10_000;

/// Signs by which a spreadsheet knows a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A request that no other site made: an export is refused when the browser says that one did.
pub struct OwnSite;

impl<S: Send + Sync> FromRequestParts<S> for OwnSite {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
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
        let mut csv = Self(String::new());
        csv.row(columns);
        csv
    }

    pub fn row(&mut self, cells: &[impl AsRef<str>]) {
        let cells: Vec<String> = cells.iter().map(|it| cell(it.as_ref())).collect();
        self.0.push_str(&cells.join(","));
        self.0.push_str("\r\n");
    }

    /// A file of this name, which is a word of ours.
    #[must_use]
    pub fn answer(self, name: &str) -> Response {
        let disposition = format!("attachment; filename=\"{name}\"");
        ([(CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, disposition)], self.0)
            .into_response()
    }
}

fn cell(text: &str) -> String {
    let mark = if text.starts_with(FORMULA) { "'" } else { "" };
    format!("\"{mark}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_no_formula_and_its_quotes_are_doubled() {
        for (text, written) in [
            ("a,b", "\"a,b\""),
            ("say \"x\"\nnow", "\"say \"\"x\"\"\nnow\""),
            ("=1+1", "\"'=1+1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("-1", "\"'-1\""),
            ("\t=1", "\"'\t=1\""),
            ("", "\"\""),
        ] {
            assert_eq!(cell(text), written);
        }
    }
}
