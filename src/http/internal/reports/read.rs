//! `GET /v1/reports`, and below it rows, errors and the file.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;
use tokio::sync::mpsc;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Report, ReportKind, ReportState};
use crate::acts::{Operator, record_reading};
use crate::db::report_rows::{self, Row};
use crate::db::reports::{self, BadRow, Filter};
use crate::db::{self, describe};
use crate::http::AppState;
use crate::http::internal::forms;
use crate::http::internal::page::{Listing, PageQuery, Params, listing, one_more};
use crate::http::internal::path::Id;
use crate::http::problem::{ApiError, Kind};
use crate::reconciliation::classify::Class;
use crate::report_files::row;

/// Lists reports, newest first.
#[utoipa::path(
    get,
    path = "/v1/reports",
    operation_id = "list_reports",
    tag = "Reconciliation",
    params(
        ("provider" = Option<forms::Name>, Query, description = "Reports of this provider"),
        ("kind" = Option<ReportKind>, Query, description = "Reports of this kind"),
        ("state" = Option<ReportState>, Query, description = "Reports in this state"),
        PageQuery<Uuid>,
    ),
    responses(
        (status = 200, description = "A page", body = Listing<Report>),
    ),
)]
pub async fn list(State(state): State<Arc<AppState>>, params: Params) -> Result<Json<Listing<Report>>, ApiError> {
    let filter = filter(&params)?;
    let page = params.page()?;
    let limit = page.limit;
    let work = async move |connection: &mut PgConnection| reports::list(connection, &filter, one_more(&page)).await;
    let rows = state.read(work).await?;
    Ok(Json(listing(rows, limit, |row| row.id, Report::from)))
}

/// The filters of the list.
///
/// # Errors
/// As the route's.
pub fn filter(params: &Params) -> Result<Filter, ApiError> {
    params.only(&["provider", "kind", "state"])?;
    let kind: Option<row::Kind> = params.read("kind", forms::word)?;
    let in_state: Option<ReportState> = params.read("state", forms::word)?;
    Ok(Filter {
        id: None,
        provider: params.read("provider", forms::name)?,
        kind: kind.map(|it| it.to_string()),
        state: in_state.map(|it| it.to_string()),
    })
}

/// Returns a report.
#[utoipa::path(
    get,
    path = "/v1/reports/{id}",
    operation_id = "get_report",
    tag = "Reconciliation",
    params(("id" = Uuid, Path, description = "The report's id")),
    responses(
        (status = 200, description = "The report as it is now", body = Report),
    ),
)]
pub async fn get(State(state): State<Arc<AppState>>, Id(id): Id) -> Result<Json<Report>, ApiError> {
    Ok(Json(found(&state, id).await?.into()))
}

async fn found(state: &AppState, id: Uuid) -> Result<reports::Report, ApiError> {
    let report = state.read(async move |connection: &mut PgConnection| reports::get(connection, id).await).await?;
    report.ok_or(ApiError::new(Kind::NotFound))
}

/// A row of a report with its class.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReportRow {
    /// The physical line; the file's first is 1.
    line: i64,
    row_key: String,
    kind: String,
    /// The provider's tracking id.
    provider_reference: Option<String>,
    reference: Option<String>,
    status: Option<String>,
    /// Exact, as text.
    amount: Option<String>,
    currency: Option<String>,
    #[schema(value_type = Class)]
    class: String,
    /// The rule that gave the class.
    rule: String,
    opening_id: Option<Uuid>,
    /// Its values were erased with their opening.
    redacted: bool,
}

impl From<Row> for ReportRow {
    fn from(row: Row) -> Self {
        Self {
            line: row.line,
            row_key: row.row_key,
            kind: row.kind,
            provider_reference: row.provider_reference,
            reference: row.reference,
            status: row.status,
            amount: row.amount.map(|it| it.to_string()),
            currency: row.currency,
            class: row.class,
            rule: row.rule,
            opening_id: row.opening_id,
            redacted: row.redacted,
        }
    }
}

/// Lists the usable rows of a report, in the order of the file.
#[utoipa::path(
    get,
    path = "/v1/reports/{id}/rows",
    operation_id = "list_report_rows",
    tag = "Reconciliation",
    params(
        ("id" = Uuid, Path, description = "The report's id"),
        ("class" = Option<Class>, Query, description = "Rows of this class"),
        PageQuery<i64>,
    ),
    responses(
        (status = 200, description = "A page", body = Listing<ReportRow>),
    ),
)]
pub async fn rows(
    State(state): State<Arc<AppState>>,
    Id(id): Id,
    params: Params,
) -> Result<Json<Listing<ReportRow>>, ApiError> {
    params.only(&["class"])?;
    let class: Option<Class> = params.read("class", forms::word)?;
    let page = params.page()?;
    let limit = page.limit;
    found(&state, id).await?;
    let work = async move |connection: &mut PgConnection| match class {
        None => report_rows::list(connection, id, one_more(&page)).await,
        Some(class) => report_rows::list_of_class(connection, id, class.as_str(), one_more(&page)).await,
    };
    let rows = state.read(work).await?;
    Ok(Json(listing(rows, limit, |row| row.n, ReportRow::from)))
}

/// A row that could not be read.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReportError {
    /// The physical line; the file's first is 1.
    line: i64,
    /// The offset of its record.
    byte: i64,
    /// The column; null where the record as a whole is wrong.
    field: Option<String>,
    /// The kind of error, for programs.
    code: String,
    /// The value found, and the value expected.
    detail: String,
}

impl From<BadRow> for ReportError {
    fn from(row: BadRow) -> Self {
        Self { line: row.line, byte: row.byte, field: row.field, code: row.code, detail: row.detail }
    }
}

/// Lists the bad rows of a report, in the order of the file.
#[utoipa::path(
    get,
    path = "/v1/reports/{id}/errors",
    operation_id = "list_report_errors",
    tag = "Reconciliation",
    params(
        ("id" = Uuid, Path, description = "The report's id"),
        PageQuery<i64>,
    ),
    responses(
        (status = 200, description = "A page", body = Listing<ReportError>),
    ),
)]
pub async fn errors(
    State(state): State<Arc<AppState>>,
    Id(id): Id,
    params: Params,
) -> Result<Json<Listing<ReportError>>, ApiError> {
    params.only(&[])?;
    let page = params.page()?;
    let limit = page.limit;
    found(&state, id).await?;
    let work = async move |connection: &mut PgConnection| reports::errors(connection, id, one_more(&page)).await;
    let rows = state.read(work).await?;
    Ok(Json(listing(rows, limit, |row| row.n, ReportError::from)))
}

/// Returns the file as it was received, decoded. The reading is recorded.
#[utoipa::path(
    get,
    path = "/v1/reports/{id}/raw",
    operation_id = "get_report_raw",
    tag = "Reconciliation",
    params(("id" = Uuid, Path, description = "The report's id")),
    responses(
        (status = 200, description = "The bytes", body = Vec<u8>, content_type = "application/octet-stream"),
    ),
)]
pub async fn raw(State(state): State<Arc<AppState>>, operator: Operator, Id(id): Id) -> Result<Response, ApiError> {
    let report = found(&state, id).await?;
    record_reading::run(&state.acts, &operator, id, "read_report", json!({})).await?;
    let (pieces, sent) = mpsc::channel::<Result<Bytes, std::io::Error>>(2);
    let body = futures::stream::unfold(sent, |mut sent| async move { sent.recv().await.map(|piece| (piece, sent)) });
    let pool = state.cell.pool.clone();
    tokio::spawn(async move {
        for n in 0.. {
            let read = async move |connection: &mut PgConnection| reports::chunk(connection, id, n).await;
            let piece = match db::once(&pool, read).await {
                Ok(Some(piece)) => Ok(piece.into()),
                Ok(None) => return,
                Err(error) => Err(std::io::Error::other(describe(&error))),
            };
            let failed = piece.is_err();
            if pieces.send(piece).await.is_err() || failed {
                return;
            }
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, report.bytes.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{id}.txt\"")),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}
