//! Lists of pages: their filters as a form, and the addresses of the next page and of the CSV, which keep the filters.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::http::internal::page::Params;

/// The filters of a list, as a form above it.
#[derive(Template)]
#[template(path = "parts/filter_form.html")]
pub struct Filters {
    action: String,
    /// What is filtered, for screen readers.
    label: &'static str,
    fields: Vec<Field>,
}

impl HtmlSafe for Filters {}

struct Field {
    name: &'static str,
    label: &'static str,
    /// Empty: any text.
    words: Vec<&'static str>,
    value: String,
}

impl Filters {
    #[must_use]
    pub fn new(action: String, label: &'static str) -> Self {
        Self { action, label, fields: Vec::new() }
    }

    /// A filter with fixed words.
    #[must_use]
    pub fn choice(
        mut self,
        params: &Params,
        name: &'static str,
        label: &'static str,
        words: Vec<&'static str>,
    ) -> Self {
        self.fields.push(Field { name, label, words, value: params.text(name).to_owned() });
        self
    }

    /// A filter that takes a text.
    #[must_use]
    pub fn text(self, params: &Params, name: &'static str, label: &'static str) -> Self {
        self.choice(params, name, label, Vec::new())
    }
}

/// The query of a list, without the place in it.
pub struct Query(String);

impl Query {
    #[must_use]
    pub fn of(query: Option<&str>) -> Self {
        Self(without(query.unwrap_or_default(), "cursor"))
    }

    /// The address of the page behind this row.
    #[must_use]
    pub fn next(&self, path: &str, cursor: &str) -> String {
        let join = if self.0.is_empty() { "" } else { "&" };
        format!("{path}?{}{join}cursor={cursor}", self.0)
    }

    /// The address of the list as CSV, which has no pages.
    #[must_use]
    pub fn csv(&self, path: &str) -> String {
        let filters = without(&self.0, "limit");
        if filters.is_empty() { path.to_owned() } else { format!("{path}?{filters}") }
    }
}

/// A query without one of its parameters, and without its question mark.
fn without(query: &str, name: &str) -> String {
    super::parts::without(query, name).trim_start_matches('?').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_and_the_csv_keep_the_filters() {
        let query = Query::of(Some("status=failed&cursor=1&limit=5"));
        assert_eq!(query.next("/openings", "2"), "/openings?status=failed&limit=5&cursor=2");
        assert_eq!(query.csv("/openings.csv"), "/openings.csv?status=failed");
        let none = Query::of(Some("cursor=1"));
        assert_eq!((none.next("/x", "2"), none.csv("/x.csv")), ("/x?cursor=2".to_owned(), "/x.csv".to_owned()));
    }
}
