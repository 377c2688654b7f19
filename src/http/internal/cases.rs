//! `/v1/cases`: disagreements that an operator judges.

mod resolve;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::fields;
use super::page::{Listing, PageQuery, Params, listing, one_more};
use super::path::uuid;
use crate::db::cases;
use crate::domain::CaseKind;
use crate::domain::text::string_enum;
use crate::http::AppState;
use crate::http::problem::ApiError;

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
    /// The subject of the disagreement.
    #[schema(value_type = CaseKind)]
    kind: String,
    /// The opening that it is about.
    opening_id: Uuid,
    /// The values that the service holds.
    #[schema(value_type = Object)]
    ours: Value,
    /// The values of the other side.
    #[schema(value_type = Object)]
    theirs: Value,
    /// The contradicting facts: ids in the inbox.
    evidence: Vec<Uuid>,
    /// Whether an operator has judged it.
    #[schema(value_type = CaseStatus)]
    status: String,
    /// The operator's reason.
    reason: Option<String>,
    /// The operator who resolved it.
    resolved_by: Option<String>,
    /// The time of the judgement.
    resolved_at: Option<DateTime<Utc>>,
    /// The time at which it was opened.
    created_at: DateTime<Utc>,
}

impl From<cases::Row> for Case {
    fn from(row: cases::Row) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            opening_id: row.opening_id,
            ours: row.ours,
            theirs: row.theirs,
            evidence: row.evidence,
            status: row.status,
            reason: row.reason,
            resolved_by: row.resolved_by,
            resolved_at: row.resolved_at,
            created_at: row.created_at,
        }
    }
}

pub fn router() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(resolve::resolve))
}

/// Lists cases, newest first.
#[utoipa::path(
    get,
    path = "/v1/cases",
    operation_id = "list_cases",
    tag = "People",
    params(
        ("status" = Option<CaseStatus>, Query, description = "Cases in this status"),
        ("opening_id" = Option<Uuid>, Query, description = "Cases of this opening"),
        PageQuery<Uuid>,
    ),
    responses(
        (status = 200, description = "A page", body = Listing<Case>),
    ),
)]
pub async fn list(State(state): State<Arc<AppState>>, params: Params) -> Result<Json<Listing<Case>>, ApiError> {
    params.only(&["status", "opening_id"])?;
    let status: Option<CaseStatus> = params.read("status", fields::word)?;
    let opening = params.read("opening_id", |text| uuid(text).ok_or("must be an id".to_owned()))?;
    let page = params.page()?;
    let work = async move |connection: &mut PgConnection| {
        cases::list(connection, status.map(CaseStatus::as_str), opening, one_more(&page)).await
    };
    let rows = state.read(work).await?;
    Ok(Json(listing(rows, page.limit, |row| row.id, Case::from)))
}
