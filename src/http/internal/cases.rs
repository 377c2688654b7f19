//! `/v1/cases`: disagreements that an operator judges.

mod resolve;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::SeesWhole;
use super::forms;
use super::masking::masked;
use super::page::{Listing, PageQuery, Params, listing, one_more};
use super::path::{Id, uuid};
use crate::db::cases::{self, Filter};
use crate::domain::text::string_enum;
use crate::http::AppState;
use crate::http::problem::{ApiError, Kind};

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
    fn of(row: cases::Row, SeesWhole(whole): SeesWhole) -> Self {
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

pub fn router() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(resolve::resolve))
}

/// Lists cases, newest first.
#[utoipa::path(
    get,
    path = "/v1/cases",
    operation_id = "list_cases",
    tag = "People",
    params(
        ("status" = Option<CaseStatus>, Query, description = "Cases in this status"),
        ("kind" = Option<forms::Name>, Query, description = "Cases of this kind"),
        ("opening_id" = Option<Uuid>, Query, description = "Cases of this opening"),
        PageQuery<Uuid>,
    ),
    responses(
        (status = 200, description = "A page", body = Listing<Case>),
    ),
)]
pub async fn list(
    State(state): State<Arc<AppState>>,
    sees: SeesWhole,
    params: Params,
) -> Result<Json<Listing<Case>>, ApiError> {
    params.only(&["status", "kind", "opening_id"])?;
    let status: Option<CaseStatus> = params.read("status", forms::word)?;
    let kind = params.read("kind", forms::name)?;
    let opening = params.read("opening_id", |text| uuid(text).ok_or("must be an id".to_owned()))?;
    let page = params.page()?;
    let work = async move |connection: &mut PgConnection| {
        let filter = Filter { id: None, status: status.map(CaseStatus::as_str), kind: kind.as_deref(), opening };
        cases::list(connection, &filter, one_more(&page)).await
    };
    let rows = state.read(work).await?;
    Ok(Json(listing(rows, page.limit, |row| row.id, |row| Case::of(row, sees))))
}

/// Returns a case.
#[utoipa::path(
    get,
    path = "/v1/cases/{id}",
    operation_id = "get_case",
    tag = "People",
    params(("id" = Uuid, Path, description = "The case's id")),
    responses(
        (status = 200, description = "The case", body = Case),
    ),
)]
pub async fn get(State(state): State<Arc<AppState>>, sees: SeesWhole, Id(id): Id) -> Result<Json<Case>, ApiError> {
    let row = state.read(async move |connection: &mut PgConnection| cases::get(connection, id).await).await?;
    Ok(Json(Case::of(row.ok_or(ApiError::new(Kind::NotFound))?, sees)))
}
