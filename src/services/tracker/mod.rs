//! The ticket tracker: Jira Cloud, REST v3.
//!
//! It knows no Idempotency-Key, and its search lags behind. So this client makes no promise alone: it finds, creates, comments
//! and moves, and says by [`CallError`] what may have taken effect. That a ticket is made once is the relay's work
//! (`workers::relay`).

mod document;

use std::collections::BTreeMap;

use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use serde_json::value::RawValue;

pub use self::document::{Document, one_line};
use crate::clock::Time;
use crate::config::TrackerSettings;
use crate::outbound::json::{self, Prose};
use crate::outbound::{CallError, Client, Gate, Gates, is_code};

/// How many comments are read to see whether one of them is ours: the newest.
const COMMENTS: u32 = 100;
/// More issues of one label than that need not be told apart.
const FOUND: u32 = 10;

/// What a status means, whatever people call it (Jira's status categories).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Somebody has to look, or is looking.
    Open,
    /// Nobody has to look any more.
    Done,
}

impl Category {
    fn of(key: &str) -> Self {
        if key == "done" { Self::Done } else { Self::Open }
    }
}

/// An issue to be made.
#[derive(Clone, Debug)]
pub struct NewIssue {
    /// One line.
    pub summary: String,
    /// What people read.
    pub description: Document,
    /// By which it is found again, among others.
    pub labels: Vec<String>,
}

/// An issue as it stands.
#[derive(Clone, Debug)]
pub struct Issue {
    /// What its status means.
    pub category: Category,
    /// Its description, as text.
    pub description: String,
    /// Its newest comments, as text.
    pub comments: Vec<String>,
}

/// Its client.
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
    /// A client of the tracker.
    #[must_use]
    pub fn new(settings: TrackerSettings, client: Client, gates: &Gates) -> Self {
        let client = client.refused_as(refusal);
        Self { client, search: gates.gate("jira", "search"), write: gates.gate("jira", "write"), settings }
    }

    /// What stands before its calls: looks, and writes.
    #[must_use]
    pub const fn gates(&self) -> [&Gate; 2] {
        [&self.search, &self.write]
    }

    /// How long its search may not know of an issue that was made.
    #[must_use]
    pub const fn index_lag(&self) -> chrono::TimeDelta {
        self.settings.index_lag
    }

    /// The keys of the issues with a label, oldest first, as far as the search knows of them.
    ///
    /// # Errors
    /// By meaning; a look has no effect.
    pub async fn find(&self, label: &str) -> Result<Vec<String>, CallError> {
        let project = &self.settings.project_key;
        let jql = format!("project = \"{project}\" AND labels = \"{label}\" ORDER BY created ASC");
        let body = json!({"jql": jql, "fields": ["created"], "maxResults": FOUND});
        let call = self.post("/search/jql").json(&body);
        let found: Found = self.client.call_json(&self.search, call).await.map_err(CallError::without_effect)?;
        Ok(found.issues.into_iter().map(|it| it.key).collect())
    }

    /// Makes an issue, whatever there is already; its key.
    ///
    /// # Errors
    /// By meaning.
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

    /// An issue as it stands; none, where the tracker has none of this key, or hides it from us.
    ///
    /// # Errors
    /// By meaning; a look has no effect.
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

    /// Comments on an issue, whatever was said already.
    ///
    /// # Errors
    /// By meaning.
    pub async fn comment(&self, key: &str, text: &Document) -> Result<(), CallError> {
        let call = self.post(&format!("/issue/{key}/comment")).json(&json!({"body": text.json()}));
        self.client.call(&self.write, call).await.map(|_| ())
    }

    /// Moves an issue to a status of this meaning, by the first way that its workflow has.
    ///
    /// # Errors
    /// By meaning; a workflow without such a way is an answer that cannot be used.
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

/// The tracker's final no: sentences, and a sentence for each field. The sentences may quote what they are about; the fields' names
/// are words.
fn refusal(number: u16, body: &[u8]) -> Option<CallError> {
    let Refusal { error_messages, errors } = json::read(body).ok()?;
    if error_messages.is_none() && errors.is_none() {
        return None;
    }
    let fields: Vec<String> = errors.unwrap_or_default().into_keys().filter(|it| is_code(it)).take(10).collect();
    let about = if fields.is_empty() { String::new() } else { format!(" ({})", fields.join(", ")) };
    Some(CallError::Rejected { code: format!("http_{number}{about}"), message: String::new() })
}

/// What a document says; people wrote it.
fn text(document: Option<&RawValue>) -> String {
    document.map(|it| document::text(&json::nodes(it))).unwrap_or_default()
}

/// A time as people read it.
#[must_use]
pub fn time(at: Time) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}
