//! The ticket tracker: Jira Cloud, REST v3.
//!
//! Jira has no idempotency key, and its search lags behind. So this client only finds, creates, comments and moves
//! issues, and its [`CallError`] says what may have taken effect. The relay (`outbox::tickets`) ensures that a ticket is
//! created once.

mod document;
mod settings;

use std::collections::BTreeMap;

use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use serde_json::value::RawValue;

pub use self::document::{Document, one_line};
pub(crate) use self::settings::{EMAIL, email_address};
pub use self::settings::{RawTracker, TrackerSettings};
use crate::clock::Time;
use crate::outbound::json::{self, Prose};
use crate::outbound::{CallError, Client, Gate, Gates, is_code};

/// How many of the newest comments are searched for our own.
const COMMENTS: u32 = 100;
/// Maximum issues fetched per label.
const FOUND: u32 = 10;

/// The meaning of a status, independent of its name (Jira's status categories).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Open or in progress.
    Open,
    Done,
}

impl Category {
    fn of(key: &str) -> Self {
        if key == "done" { Self::Done } else { Self::Open }
    }
}

#[derive(Clone, Debug)]
pub struct NewIssue {
    /// A single line.
    pub summary: String,
    /// The text for people.
    pub description: Document,
    /// Labels, one of which finds the issue again.
    pub labels: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Issue {
    /// The category of its status.
    pub category: Category,
    /// Its description as text.
    pub description: String,
    /// Its newest comments as text.
    pub comments: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Tracker {
    client: Client,
    search: Gate,
    write: Gate,
    settings: TrackerSettings,
}

#[derive(Deserialize)]
struct Created {
    key: String,
}

#[derive(Deserialize)]
struct Found {
    issues: Vec<Created>,
}

#[derive(Deserialize)]
struct Seen {
    fields: SeenFields,
}

#[derive(Deserialize)]
struct SeenFields {
    status: Status,
    description: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    status_category: StatusCategory,
}

#[derive(Deserialize)]
struct StatusCategory {
    key: String,
}

#[derive(Deserialize)]
struct Comments {
    comments: Vec<Comment>,
}

#[derive(Deserialize)]
struct Comment {
    body: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Transitions {
    transitions: Vec<Transition>,
}

#[derive(Deserialize)]
struct Transition {
    id: String,
    to: Status,
}

impl Tracker {
    #[must_use]
    pub fn new(settings: TrackerSettings, client: Client, gates: &Gates) -> Self {
        let client = client.refused_as(refusal);
        Self { client, search: gates.gate("jira", "search"), write: gates.gate("jira", "write"), settings }
    }

    /// The gates of its calls: reads and writes.
    #[must_use]
    pub const fn gates(&self) -> [&Gate; 2] {
        [&self.search, &self.write]
    }

    /// How long its search may miss a new issue.
    #[must_use]
    pub const fn index_lag(&self) -> chrono::TimeDelta {
        self.settings.index_lag
    }

    /// The keys of issues with a label, oldest first. A recently created issue may be missing.
    ///
    /// # Errors
    /// By meaning: see [`CallError`]; a search has no effect.
    pub async fn find(&self, label: &str) -> Result<Vec<String>, CallError> {
        let project = &self.settings.project_key;
        let jql = format!("project = \"{project}\" AND labels = \"{label}\" ORDER BY created ASC");
        let body = json!({"jql": jql, "fields": ["created"], "maxResults": FOUND});
        let call = self.post("/search/jql").json(&body);
        let found: Found = self.client.call_json(&self.search, call).await.map_err(CallError::without_effect)?;
        Ok(found.issues.into_iter().map(|it| it.key).collect())
    }

    /// Creates an issue without checking for an existing one; returns its key.
    ///
    /// # Errors
    /// By meaning: see [`CallError`].
    pub async fn create(&self, issue: &NewIssue) -> Result<String, CallError> {
        let body = json!({"fields": {
            "project": {"key": self.settings.project_key},
            "issuetype": {"name": self.settings.issue_type},
            "summary": issue.summary,
            "description": issue.description.json(),
            "labels": issue.labels,
        }});
        let created = self.client.call_json::<Created>(&self.write, self.post("/issue").json(&body));
        created.await.map(|it| it.key)
    }

    /// Reads an issue. None: no issue has this key, or it is hidden from our account.
    ///
    /// # Errors
    /// By meaning: see [`CallError`]; a read has no effect.
    pub async fn look(&self, key: &str) -> Result<Option<Issue>, CallError> {
        let issue = self.get(&format!("/issue/{key}")).query(&[("fields", "status,description")]);
        let Some(seen) = self.client.look::<Seen>(&self.search, issue).await? else { return Ok(None) };
        let comments = [("orderBy", "-created".to_owned()), ("maxResults", COMMENTS.to_string())];
        let comments = self.get(&format!("/issue/{key}/comment")).query(&comments);
        let Some(said) = self.client.look::<Comments>(&self.search, comments).await? else { return Ok(None) };
        Ok(Some(Issue {
            category: Category::of(&seen.fields.status.status_category.key),
            description: text(seen.fields.description.as_deref()),
            comments: said.comments.iter().map(|it| text(it.body.as_deref())).collect(),
        }))
    }

    /// Adds a comment without checking for an existing one.
    ///
    /// # Errors
    /// By meaning: see [`CallError`].
    pub async fn comment(&self, key: &str, text: &Document) -> Result<(), CallError> {
        let call = self.post(&format!("/issue/{key}/comment")).json(&json!({"body": text.json()}));
        self.client.call(&self.write, call).await.map(|_| ())
    }

    /// Moves an issue to a status of this category by the first transition of its workflow that leads there.
    ///
    /// # Errors
    /// By meaning: see [`CallError`]; if no transition leads there, the answer counts as unusable.
    pub async fn move_to(&self, key: &str, category: Category) -> Result<(), CallError> {
        let path = format!("/issue/{key}/transitions");
        let ways: Transitions =
            self.client.call_json(&self.search, self.get(&path)).await.map_err(CallError::without_effect)?;
        let way = ways.transitions.iter().find(|it| Category::of(&it.to.status_category.key) == category);
        let way =
            way.ok_or_else(|| CallError::unusable(format!("its workflow has no way to a status {category:?}")))?;
        let call = self.post(&path).json(&json!({"transition": {"id": way.id}}));
        self.client.call(&self.write, call).await.map(|_| ())
    }

    fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.as_us(self.client.get(&self.url(path)))
    }

    fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.as_us(self.client.post(&self.url(path)))
    }

    fn url(&self, path: &str) -> String {
        format!("{}/rest/api/3{path}", self.settings.base_url)
    }

    fn as_us(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request.basic_auth(&self.settings.email, Some(self.settings.api_token.expose_secret()))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refusal {
    error_messages: Option<IgnoredAny>,
    errors: Option<BTreeMap<String, Prose>>,
}

/// Parses the tracker's refusal: messages, and a message per field. Messages may quote values, so only the fields'
/// names are kept.
fn refusal(number: u16, body: &[u8]) -> Option<CallError> {
    let Refusal { error_messages, errors } = json::read(body).ok()?;
    if error_messages.is_none() && errors.is_none() {
        return None;
    }
    let fields: Vec<String> = errors.unwrap_or_default().into_keys().filter(|it| is_code(it)).take(10).collect();
    let about = if fields.is_empty() { String::new() } else { format!(" ({})", fields.join(", ")) };
    Some(CallError::Rejected { code: format!("http_{number}{about}"), message: String::new() })
}

/// The text of a document written by people.
fn text(document: Option<&RawValue>) -> String {
    document.map(|it| document::text(&json::nodes(it))).unwrap_or_default()
}

/// A time formatted for people.
#[must_use]
pub fn time(at: Time) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}
