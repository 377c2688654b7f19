//! The headers of a webhook, as they are kept: bounded, and without credentials.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::Value;

/// Maximum header lines kept.
const MAX_HEADERS: usize = 64;
/// Maximum characters kept per line.
const MAX_HEADER: usize = 1_024;
/// Maximum bytes kept of a header that the signature covers: five times the size of 16 signatures of the longest known
/// scheme.
const MAX_SIGNATURE: usize = 8 * 1_024;
/// Maximum bytes kept of all other headers of a refused request.
const MAX_OTHER_HEADERS: usize = 16 * 1_024;

/// Headers as stored in the inbox, by lower-case name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Headers(BTreeMap<String, Lines>);

/// The lines of one header; in JSON a string if there is one line, else a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Lines {
    One(String),
    Several(Vec<String>),
}

impl Lines {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(line) => std::slice::from_ref(line),
            Self::Several(lines) => lines,
        }
    }

    fn push(&mut self, line: String) {
        match self {
            Self::One(first) => *self = Self::Several(vec![std::mem::take(first), line]),
            Self::Several(lines) => lines.push(line),
        }
    }
}

impl Headers {
    /// Keeps at most 64 lines of at most 1 KiB, without credentials: neither the common headers with secrets nor the provider's own.
    #[must_use]
    pub fn kept(headers: &HeaderMap, credentials: &[&str]) -> Self {
        let is_secret = |name: &str| is_credential(name) || credentials.contains(&name);
        let kept = headers.iter().filter(|(name, _)| !is_secret(name.as_str())).take(MAX_HEADERS);
        let mut all = Self::default();
        for (name, value) in kept {
            let mut line = text(value).into_owned();
            if let Some((end, _)) = line.char_indices().nth(MAX_HEADER) {
                line.truncate(end);
            }
            all.push(name.as_str(), line);
        }
        all
    }

    /// Keeps the headers of a refused request for a later verification: those of the signature completely, as far as
    /// legitimate senders need it, and at most 16 KiB of the others.
    #[must_use]
    pub fn kept_with(headers: &HeaderMap, signed: &[&str], credentials: &[&str]) -> Self {
        let mut all = Self::default();
        let mut room = MAX_OTHER_HEADERS;
        for (name, lines) in Self::kept(headers, credentials).0 {
            let size = name.len() + lines.as_slice().iter().map(String::len).sum::<usize>();
            if size <= room && !signed.contains(&name.as_str()) {
                room -= size;
                all.0.insert(name, lines);
            }
        }
        for name in signed {
            let mut room = MAX_SIGNATURE;
            for value in headers.get_all(*name).iter().take(MAX_HEADERS) {
                let text = text(value);
                let line = &text[..text.floor_char_boundary(room)];
                room -= line.len();
                all.push(name, line.to_owned());
            }
        }
        all
    }

    /// Stored headers. A value that is no text is left out.
    #[must_use]
    pub fn stored(json: &Value) -> Self {
        let lines = |value: &Value| match value {
            Value::String(line) => Some(Lines::One(line.clone())),
            Value::Array(lines) => {
                Some(Lines::Several(lines.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect()))
            }
            _ => None,
        };
        let all = json.as_object().into_iter().flatten();
        Self(all.filter_map(|(name, value)| Some((name.clone(), lines(value)?))).collect())
    }

    fn push(&mut self, name: &str, line: String) {
        match self.0.get_mut(name) {
            Some(lines) => lines.push(line),
            None => _ = self.0.insert(name.to_owned(), Lines::One(line)),
        }
    }

    /// The kept headers, line by line.
    #[must_use]
    pub fn to_map(&self) -> HeaderMap {
        let lines = self.0.iter().flat_map(|(name, lines)| lines.as_slice().iter().map(move |line| (name, line)));
        let header = |(name, line): (&String, &String)| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(line.as_bytes()).ok()?))
        };
        lines.filter_map(header).collect()
    }

    /// Headers from pairs of name and value.
    #[must_use]
    pub fn of<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut all = Self::default();
        for (name, line) in headers {
            all.push(name, line.to_owned());
        }
        all
    }

    /// The first line of a header.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_slice().first().map(String::as_str)
    }
}

fn text(value: &HeaderValue) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

/// Whether a header contains credentials, which a reader of the inbox could misuse. A header that calls itself a secret is
/// not kept either: a request to a path without an adapter may bring one.
fn is_credential(name: &str) -> bool {
    let known = ["authorization", "cookie", "proxy-authorization", "x-api-key", "x-auth-token"];
    known.contains(&name) || name.contains("secret")
}
