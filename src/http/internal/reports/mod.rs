//! `/v1/reports`: reports of providers, their rows, and what an operator decides about them.

mod decide;
mod pull;
mod read;
mod upload;

use std::sync::Arc;

use axum::Json;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::PgConnection;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::db::reports;
use crate::domain::text::{self, form, string_enum};
use crate::http::AppState;
use crate::http::problem::ApiError;
use crate::reconciliation::normalise::row::Kind;

string_enum!(
    /// How far a report is.
    ReportState {
        /// Stored; the worker has not begun.
        Received = "received",
        /// Being read and applied.
        Reading = "reading",
        /// It differs too much: nothing is applied until an operator decides.
        Held = "held",
        /// Read and applied.
        Finished = "finished",
        /// An operator ended it without effect.
        Discarded = "discarded",
        /// It cannot be read.
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
    /// `nexusbank`, `camt`, `pull`, or the name of a profile.
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
    /// The report that it was sent in place of.
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

/// The report as it is now, with its address.
async fn answer(state: &AppState, id: Uuid, status: StatusCode) -> Result<Response, ApiError> {
    let report = state.read(async move |connection: &mut PgConnection| reports::get(connection, id).await).await?;
    let report = Report::from(report.ok_or(ApiError::internal("a stored report is gone"))?);
    let mut response = (status, Json(report)).into_response();
    if let Ok(location) = HeaderValue::try_from(format!("/v1/reports/{id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

pub fn router() -> OpenApiRouter<Arc<AppState>> {
    let upload = OpenApiRouter::new().routes(routes!(upload::upload)).layer(DefaultBodyLimit::disable());
    OpenApiRouter::new()
        .merge(upload)
        .routes(routes!(pull::pull))
        .routes(routes!(read::list))
        .routes(routes!(read::get))
        .routes(routes!(read::rows))
        .routes(routes!(read::errors))
        .routes(routes!(read::raw))
        .routes(routes!(decide::release))
        .routes(routes!(decide::discard))
}
