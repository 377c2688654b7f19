//! The tracker's issues and calls; counts tickets that were created twice.

use std::collections::{BTreeMap, VecDeque};

use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::endpoint::Endpoint;
use super::super::ledger::Answer;
use super::super::plan::Fault;
use super::super::snapshot::Call;
use super::{refusal, wrong_field};
use clock::Time;

/// The issue types of every project.
const TYPES: [&str; 3] = ["Bug", "Story", "Task"];
/// The maximum length of a summary.
const SUMMARY: usize = 255;
/// The prefix of labels that only one issue may have.
const OF_ONE: &str = "account-opening-";

/// The status of an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueStatus {
    ToDo,
    InProgress,
    Done,
}

impl IssueStatus {
    pub(super) const ALL: [Self; 3] = [Self::ToDo, Self::InProgress, Self::Done];

    /// The id of the transition that leads to this status.
    pub(super) const fn way(self) -> &'static str {
        match self {
            Self::ToDo => "11",
            Self::InProgress => "21",
            Self::Done => "31",
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ToDo => "Te doen",
            Self::InProgress => "Bezig",
            Self::Done => "Gereed",
        }
    }

    /// The status as JSON. Its name is in another language on purpose: clients must use the category.
    pub(super) fn shown(self) -> Value {
        let category = match self {
            Self::ToDo => "new",
            Self::InProgress => "indeterminate",
            Self::Done => "done",
        };
        json!({"name": self.name(), "statusCategory": {"key": category}})
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IssueRecord {
    pub id: u64,
    /// The project's key and a number.
    pub key: String,
    pub project: String,
    /// The requested issue type.
    pub issue_type: String,
    pub summary: String,
    /// The text, a document.
    pub description: Value,
    pub labels: Vec<String>,
    pub status: IssueStatus,
    /// The comments, documents, oldest first.
    pub comments: Vec<Value>,
    /// The time of creation.
    pub created_at: Time,
    /// Each transition with its time.
    pub moves: Vec<(Time, IssueStatus)>,
}

#[derive(Default)]
pub(crate) struct Book {
    issues: Vec<IssueRecord>,
    /// Issues created so far, including deleted ones: no number is reused.
    made: u64,
    /// The remaining faults.
    faults: BTreeMap<Endpoint, VecDeque<Fault>>,
    log: Vec<Call>,
}

/// The result of a creation.
pub(super) struct Made {
    pub(super) id: u64,
    pub(super) key: String,
    pub(super) is_double: bool,
}

impl Book {
    /// Scripts faults of the next calls.
    pub(crate) fn fail_next(&mut self, endpoint: Endpoint, faults: impl IntoIterator<Item = Fault>) {
        self.faults.entry(endpoint).or_default().extend(faults);
    }

    pub(crate) fn issues(&self) -> &[IssueRecord] {
        &self.issues
    }

    pub(crate) fn log(&self) -> &[Call] {
        &self.log
    }

    /// Records a call; returns its fault. An outage uses up no scripted fault.
    pub(super) fn arrive(&mut self, endpoint: Endpoint, at: Time, outage: Option<Fault>) -> Option<Fault> {
        let fault = outage.or_else(|| self.faults.get_mut(&endpoint).and_then(VecDeque::pop_front));
        if self.log.len() < super::super::TRACKER_CALLS_KEPT {
            self.log.push(Call { at, endpoint, key: None, fault });
        }
        fault
    }

    pub(super) fn make(&mut self, fields: &Value, now: Time) -> Result<Made, Answer> {
        let required = |field: &str, value: &Value| match value.as_str() {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(wrong_field(field, "is required.")),
        };
        let project = required("project", &fields["project"]["key"])?;
        let issue_type = required("issuetype", &fields["issuetype"]["name"])?;
        if !TYPES.contains(&&*issue_type) {
            return Err(wrong_field("issuetype", "Specify a valid issue type"));
        }
        let summary = required("summary", &fields["summary"])?;
        if summary.contains(['\n', '\r']) || summary.chars().count() > SUMMARY {
            return Err(wrong_field("summary", "The summary is invalid because it contains newlines or is too long."));
        }
        let description = fields["description"].clone();
        if !description.is_null() {
            check_document("description", &description)?;
        }
        let labels = labels(&fields["labels"])?;
        let own = |labels: &[String]| labels.iter().find(|it| it.starts_with(OF_ONE)).cloned();
        let is_double = own(&labels).is_some_and(|label| self.issues.iter().any(|it| it.labels.contains(&label)));
        self.made += 1;
        let (id, key) = (10_000 + self.made, format!("{project}-{}", self.made));
        self.issues.push(IssueRecord {
            id,
            key: key.clone(),
            project,
            issue_type,
            summary,
            description,
            labels,
            status: IssueStatus::ToDo,
            comments: Vec::new(),
            created_at: now,
            moves: Vec::new(),
        });
        Ok(Made { id, key, is_double })
    }

    /// The issues with a label that were created by then, oldest first.
    pub(super) fn find(&self, project: &str, label: &str, by: Time) -> impl Iterator<Item = &IssueRecord> {
        self.issues
            .iter()
            .filter(move |it| it.project == project && it.created_at <= by && it.labels.iter().any(|it| it == label))
    }

    pub(super) fn get(&self, key: &str) -> Result<&IssueRecord, Answer> {
        self.issues.iter().find(|it| it.key == key).ok_or_else(not_there)
    }

    fn get_mut(&mut self, key: &str) -> Result<&mut IssueRecord, Answer> {
        self.issues.iter_mut().find(|it| it.key == key).ok_or_else(not_there)
    }

    /// Deletes an issue. Returns whether it existed.
    pub(crate) fn delete(&mut self, key: &str) -> bool {
        let before = self.issues.len();
        self.issues.retain(|it| it.key != key);
        self.issues.len() < before
    }

    pub(super) fn comment(&mut self, key: &str, body: &Value) -> Result<usize, Answer> {
        check_document("comment", body)?;
        let issue = self.get_mut(key)?;
        issue.comments.push(body.clone());
        Ok(issue.comments.len())
    }

    pub(super) fn move_by(&mut self, key: &str, way: &str, now: Time) -> Result<(), Answer> {
        let to = IssueStatus::ALL.into_iter().find(|it| it.way() == way);
        let issue = self.get_mut(key)?;
        let to =
            to.ok_or_else(|| refusal(StatusCode::BAD_REQUEST, "It seems that you have tried an invalid transition."))?;
        issue.status = to;
        issue.moves.push((now, to));
        Ok(())
    }
}

fn not_there() -> Answer {
    refusal(StatusCode::NOT_FOUND, "Issue does not exist or you do not have permission to see it.")
}

/// Checks that a value is a document without empty texts.
fn check_document(field: &str, document: &Value) -> Result<(), Answer> {
    let wrong =
        || wrong_field(field, "Operation value must be an Atlassian Document (see the Atlassian Document Format)");
    let is_one = document["type"] == "doc" && document["version"] == 1 && document["content"].is_array();
    let mut left = vec![document];
    while let Some(node) = left.pop() {
        if node["type"] == "text" && node["text"].as_str().is_none_or(str::is_empty) {
            return Err(wrong());
        }
        left.extend(node["content"].as_array().into_iter().flatten());
    }
    if is_one { Ok(()) } else { Err(wrong()) }
}

fn labels(given: &Value) -> Result<Vec<String>, Answer> {
    let label = |it: &Value| it.as_str().filter(|it| !it.is_empty() && !it.contains(' ')).map(str::to_owned);
    let labels = given.as_array().map(Vec::as_slice).unwrap_or_default().iter().map(label).collect::<Option<_>>();
    labels.ok_or_else(|| wrong_field("labels", "The label contains spaces which is invalid."))
}
