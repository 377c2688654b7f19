//! Reports and cases as callers and subscribers see them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::masking::masked;
use crate::db::{cases, reports};
use crate::domain::text::{self, form, string_enum};
use crate::report_files::row::Kind;

string_enum!(
    /// How far a report is.
    ReportState {
        /// Stored; the worker has not begun.
        Received = "received",
        /// Being read and applied.
        Reading = "reading",
        /// The report differs too much: nothing is applied until an operator decides.
        Held = "held",
        /// Read and applied.
        Finished = "finished",
        /// An operator ended it without effect.
        Discarded = "discarded",
        /// The report cannot be read.
        Failed = "failed",
    }
);

/// The schema of a report's [`Kind`]; problems have a `Kind` too.
pub enum ReportKind {}
form!(ReportKind, text::one_of(Kind::ALL.iter().map(|it| it.as_str())));

/// A report of a provider.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Report {
    id: Uuid,
    provider: String,
    #[schema(value_type = ReportKind)]
    kind: String,
    /// A bank's own (its name), `camt`, `pull`, or the name of a profile.
    format: String,
    file_name: Option<String>,
    /// Of the decoded file.
    bytes: i64,
    /// Of the decoded file, in hexadecimal. Null while a provider's list is read.
    sha256: Option<String>,
    #[schema(value_type = ReportState)]
    state: String,
    /// Whether it is whole: only then it says what is absent.
    complete: bool,
    period_from: Option<DateTime<Utc>>,
    period_until: Option<DateTime<Utc>>,
    as_of: Option<DateTime<Utc>>,
    /// Rows so far, the bad ones too.
    rows: i64,
    bad_rows: i64,
    /// Rows per class; `MISSING_EXTERNAL` counts what is absent.
    #[schema(value_type = Object)]
    counts: Map<String, Value>,
    /// Per currency, without settlements.
    #[schema(value_type = Vec<Object>)]
    sums: Value,
    /// Read and listed, without any effect.
    dry_run: bool,
    /// The report that it was sent in place of. A complete register settles what only that one said.
    supersedes: Option<Uuid>,
    /// Why it failed.
    error: Option<String>,
    /// The name of the token.
    received_by: String,
    received_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<reports::Report> for Report {
    fn from(row: reports::Report) -> Self {
        let is_class = |name: &String| name.chars().all(|it| it.is_ascii_uppercase() || it == '_');
        let counts = row.counts.as_object().cloned().unwrap_or_default();
        Self {
            id: row.id,
            provider: row.provider,
            kind: row.kind,
            format: row.format,
            file_name: row.file_name,
            bytes: row.bytes,
            sha256: row.sha256.map(hex::encode),
            state: row.state,
            complete: row.complete,
            period_from: row.period_from,
            period_until: row.period_until,
            as_of: row.as_of,
            rows: row.rows,
            bad_rows: row.bad_rows,
            counts: counts.into_iter().filter(|(name, _)| is_class(name)).collect(),
            sums: row.sums,
            dry_run: row.dry_run,
            supersedes: row.supersedes,
            error: row.failure,
            received_by: row.received_by,
            received_at: row.received_at,
            finished_at: row.finished_at,
        }
    }
}

string_enum!(
    /// Whether an operator has judged a case.
    CaseStatus {
        /// Waiting for an operator's judgement.
        Open = "open",
        /// Judged by an operator.
        Resolved = "resolved",
    }
);

/// A disagreement between the service and another side.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Case {
    /// The case's id.
    id: Uuid,
    /// The subject of the disagreement: what a fact contradicts, or a class of reconciliation in lower case.
    kind: String,
    /// The opening that it is about; null where a report's row belongs to no opening.
    opening_id: Option<Uuid>,
    /// The values that the service holds; IBANs are masked for readers.
    #[schema(value_type = Object)]
    ours: Value,
    /// The values of the other side; IBANs are masked for readers.
    #[schema(value_type = Object)]
    theirs: Value,
    /// The contradicting facts (ids in the inbox), and the rows of reports (`report_id`, `line`).
    #[schema(value_type = Vec<Value>)]
    evidence: Vec<Value>,
    /// Whether an operator has judged it.
    #[schema(value_type = CaseStatus)]
    status: String,
    /// The operator's reason.
    reason: Option<String>,
    /// The name of the operator's token, or `reconciliation`.
    resolved_by: Option<String>,
    /// The time of the judgement.
    resolved_at: Option<DateTime<Utc>>,
    /// The time at which it was opened.
    created_at: DateTime<Utc>,
}

impl Case {
    /// Its IBANs are masked unless `whole`.
    #[must_use]
    pub fn of(row: cases::Row, whole: bool) -> Self {
        let shown = |value| if whole { value } else { masked(value) };
        let rows = row.report_rows.as_array().cloned().unwrap_or_default();
        Self {
            id: row.id,
            kind: row.kind,
            opening_id: row.opening_id,
            ours: shown(row.ours),
            theirs: shown(row.theirs),
            evidence: row.evidence.into_iter().map(|id| json!(id)).chain(rows).collect(),
            status: row.status,
            reason: row.reason,
            resolved_by: row.resolved_by,
            resolved_at: row.resolved_at,
            created_at: row.created_at,
        }
    }
}
