//! `/v1/mismatches`: the findings of reconciliation, and how each ended.

use std::collections::HashMap;
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

use super::auth::SeesWhole;
use super::forms;
use super::page::{Listing, PageQuery, Params, listing, one_more};
use super::path::{Id, uuid};
use crate::db::mismatches::{self, Filter, Listed, Said};
use crate::http::AppState;
use crate::http::problem::{ApiError, Kind};
use crate::reconciliation::classify::{Class, MismatchState};
use crate::reconciliation::masking::{masked, masked_differences};

/// A row of a report that says a mismatch.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SaidBy {
    /// The report.
    id: Uuid,
    /// The line in it; 0 where a row is missing.
    line: i64,
}

/// A finding about one subject and aspect, however many files say it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Mismatch {
    id: Uuid,
    provider: String,
    #[schema(value_type = Class)]
    class: String,
    #[schema(value_type = MismatchState)]
    state: String,
    /// When a waiting one becomes a case.
    due_at: Option<DateTime<Utc>>,
    opening_id: Option<Uuid>,
    market: Option<String>,
    /// An opening's id, else the provider's key.
    subject: String,
    /// Which side of the subject: `answer`, `presence`, `attributes`, …
    aspect: String,
    /// IBANs are masked for readers.
    #[schema(value_type = Object)]
    ours: Value,
    #[schema(value_type = Object)]
    theirs: Value,
    /// `[{"field","ours","theirs","delta"}]`
    #[schema(value_type = Vec<Object>)]
    differences: Value,
    /// `{"class","because","action"}`
    #[schema(value_type = Object)]
    suggested: Value,
    case_id: Option<Uuid>,
    reports: Vec<SaidBy>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Mismatch {
    fn of(row: Listed, said: &HashMap<Uuid, Vec<SaidBy>>, SeesWhole(whole): SeesWhole) -> Self {
        let shown = |value| if whole { value } else { masked(value) };
        Self {
            reports: said.get(&row.id).cloned().unwrap_or_default(),
            id: row.id,
            provider: row.provider,
            class: row.class,
            state: row.state,
            due_at: row.due_at,
            opening_id: row.opening_id,
            market: row.market,
            subject: row.subject,
            aspect: row.aspect,
            ours: shown(row.ours),
            theirs: shown(row.theirs),
            differences: if whole { row.differences } else { masked_differences(row.differences) },
            suggested: row.suggested,
            case_id: row.case_id,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

pub fn router() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get))
}

/// Lists mismatches, newest first.
#[utoipa::path(
    get,
    path = "/v1/mismatches",
    operation_id = "list_mismatches",
    tag = "Reconciliation",
    params(
        ("class" = Option<Class>, Query, description = "Mismatches of this class"),
        ("state" = Option<MismatchState>, Query, description = "Mismatches in this state"),
        ("provider" = Option<forms::Name>, Query, description = "Mismatches with this provider"),
        ("market" = Option<forms::Name>, Query, description = "Mismatches in this market"),
        ("opening_id" = Option<Uuid>, Query, description = "Mismatches of this opening"),
        ("report" = Option<Uuid>, Query, description = "Mismatches that this report says"),
        PageQuery<Uuid>,
    ),
    responses(
        (status = 200, description = "A page", body = Listing<Mismatch>),
    ),
)]
pub async fn list(
    State(state): State<Arc<AppState>>,
    sees: SeesWhole,
    params: Params,
) -> Result<Json<Listing<Mismatch>>, ApiError> {
    let filter = filter(&params)?;
    let page = params.page()?;
    let limit = page.limit;
    let work = async move |connection: &mut PgConnection| {
        let rows = mismatches::list(connection, &filter, one_more(&page)).await?;
        let said = said(connection, &rows).await?;
        Ok((rows, said))
    };
    let (rows, said) = state.read(work).await?;
    Ok(Json(listing(rows, limit, |row| row.id, |row| Mismatch::of(row, &said, sees))))
}

/// The filters of the list.
///
/// # Errors
/// As the route's.
pub fn filter(params: &Params) -> Result<Filter, ApiError> {
    params.only(&["class", "state", "provider", "market", "opening_id", "report"])?;
    let class: Option<Class> = params.read("class", forms::word)?;
    let in_state: Option<MismatchState> = params.read("state", forms::word)?;
    let id = |text: &str| uuid(text).ok_or("must be an id".to_owned());
    Ok(Filter {
        id: None,
        class: class.map(|it| it.to_string()),
        state: in_state.map(|it| it.to_string()),
        provider: params.read("provider", forms::name)?,
        market: params.read("market", forms::name)?,
        opening_id: params.read("opening_id", id)?,
        report: params.read("report", id)?,
    })
}

async fn said(connection: &mut PgConnection, rows: &[Listed]) -> sqlx::Result<HashMap<Uuid, Vec<SaidBy>>> {
    let ids: Vec<Uuid> = rows.iter().map(|it| it.id).collect();
    let mut by_mismatch: HashMap<Uuid, Vec<SaidBy>> = HashMap::new();
    for Said { mismatch_id, report_id, line } in mismatches::said(connection, &ids).await? {
        by_mismatch.entry(mismatch_id).or_default().push(SaidBy { id: report_id, line });
    }
    Ok(by_mismatch)
}

/// Returns a mismatch.
#[utoipa::path(
    get,
    path = "/v1/mismatches/{id}",
    operation_id = "get_mismatch",
    tag = "Reconciliation",
    params(("id" = Uuid, Path, description = "The mismatch's id")),
    responses(
        (status = 200, description = "The mismatch as it is now", body = Mismatch),
    ),
)]
pub async fn get(State(state): State<Arc<AppState>>, sees: SeesWhole, Id(id): Id) -> Result<Json<Mismatch>, ApiError> {
    let work = async move |connection: &mut PgConnection| {
        let Some(row) = mismatches::get(connection, id).await? else { return Ok(None) };
        let said = said(connection, std::slice::from_ref(&row)).await?;
        Ok(Some((row, said)))
    };
    let (row, said) = state.read(work).await?.ok_or(ApiError::new(Kind::NotFound))?;
    Ok(Json(Mismatch::of(row, &said, sees)))
}
