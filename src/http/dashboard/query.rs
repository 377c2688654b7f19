//! Lists of pages: their filters as a form, and the addresses of the next page and of the CSV, which keep the filters.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::http::internal::page::Params;

/// The filters of a list, as a form above it.
#[derive(Template)]
#[template(path = "parts/filters.html")]
pub struct Filters<'a> {
    params: &'a Params,
    action: String,
    /// The form's name, for screen readers.
    label: &'static str,
    fields: Vec<Field>,
    /// Fields that are not shown, where a link set them: name and value.
    kept: Vec<(&'static str, String)>,
}

impl HtmlSafe for Filters<'_> {}

struct Field {
    name: &'static str,
    label: &'static str,
    /// Empty: any text.
    words: Vec<&'static str>,
    value: String,
}

impl<'a> Filters<'a> {
    /// The form of the list at `action`, with the values that the list was asked for.
    #[must_use]
    pub fn new(params: &'a Params, action: String, label: &'static str) -> Self {
        Self { params, action, label, fields: Vec::new(), kept: Vec::new() }
    }

    /// A filter with fixed words.
    #[must_use]
    pub fn choice(
        mut self,
        name: &'static str,
        label: &'static str,
        words: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        let (words, value) = (words.into_iter().collect(), self.params.text(name).to_owned());
        self.fields.push(Field { name, label, words, value });
        self
    }

    /// A filter that takes a text.
    #[must_use]
    pub fn text(self, name: &'static str, label: &'static str) -> Self {
        self.choice(name, label, [])
    }

    /// A filter that only links set.
    #[must_use]
    pub fn kept(mut self, name: &'static str) -> Self {
        let value = self.params.text(name);
        self.kept.extend((!value.is_empty()).then(|| (name, value.to_owned())));
        self
    }
}

/// The query of a list, without the place in it.
pub struct Query {
    rest: String,
    /// The parameter of the place.
    cursor: &'static str,
}

impl Query {
    #[must_use]
    pub fn of(query: Option<&str>) -> Self {
        Self::with(query, "cursor")
    }

    /// Of a list that has its place in another parameter, since its page has two lists.
    #[must_use]
    pub fn with(query: Option<&str>, cursor: &'static str) -> Self {
        Self { rest: without(query.unwrap_or_default(), cursor), cursor }
    }

    /// The address of the page behind the row of this cursor. None: there is none.
    #[must_use]
    pub fn next(&self, path: &str, cursor: Option<String>) -> Option<String> {
        let Self { rest, cursor: name } = self;
        let join = if rest.is_empty() { "" } else { "&" };
        cursor.map(|it| format!("{path}?{rest}{join}{name}={it}"))
    }

    /// Without another parameter.
    #[must_use]
    pub fn without(self, name: &str) -> Self {
        Self { rest: without(&self.rest, name), ..self }
    }

    /// The address of the list as CSV, which has no pages.
    #[must_use]
    pub fn csv(&self, path: &str) -> String {
        let filters = without(&self.rest, "limit");
        if filters.is_empty() { path.to_owned() } else { format!("{path}?{filters}") }
    }
}

/// A query without one of its parameters.
fn without(query: &str, name: &str) -> String {
    let others = query.split('&').filter(|it| !it.is_empty() && it.split('=').next() != Some(name));
    others.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_and_the_csv_keep_the_filters() {
        let query = Query::of(Some("status=failed&cursor=1&limit=5"));
        let next = |query: &Query, path: &str| query.next(path, Some("2".to_owned())).unwrap_or_default();
        assert_eq!(next(&query, "/openings"), "/openings?status=failed&limit=5&cursor=2");
        assert_eq!(query.csv("/openings.csv"), "/openings.csv?status=failed");
        let none = Query::of(Some("cursor=1"));
        assert_eq!((next(&none, "/x"), none.csv("/x.csv")), ("/x?cursor=2".to_owned(), "/x.csv".to_owned()));
        let other = Query::with(Some("cursor=1&place=2"), "place").next("/x", Some("3".to_owned()));
        assert_eq!(other.as_deref(), Some("/x?cursor=1&place=3"));
        assert_eq!((none.next("/x", None), without("cursor=1", "cursor")), (None, String::new()));
    }
}
