//! `/v1/cases`: disagreements that an operator judges.

pub mod resolve;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use sqlx::PgConnection;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::SeesWhole;
use super::forms;
use super::page::{Listing, PageQuery, Params, listing, one_more};
use super::path::{Id, uuid};
use crate::db::cases::{self, Filter};
use crate::http::AppState;
use crate::http::problem::{ApiError, Kind};
use crate::reconciliation::resource::{Case, CaseStatus};

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
    let (filter, page) = (filter(&params)?, params.page()?);
    let work = async move |connection: &mut PgConnection| cases::list(connection, &filter, one_more(&page)).await;
    let rows = state.read(work).await?;
    Ok(Json(listing(rows, page.limit, |row| row.id, |row| Case::of(row, sees.0))))
}

/// The filter of a list's parameters.
///
/// # Errors
/// Unknown or wrong parameters.
pub fn filter(params: &Params) -> Result<Filter, ApiError> {
    params.only(&["status", "kind", "opening_id"])?;
    let status: Option<CaseStatus> = params.read("status", forms::word)?;
    Ok(Filter {
        id: None,
        status: status.map(CaseStatus::as_str),
        kind: params.read("kind", forms::name)?,
        opening: params.read("opening_id", |text| uuid(text).ok_or("must be an id".to_owned()))?,
    })
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
    Ok(Json(Case::of(row.ok_or(ApiError::new(Kind::NotFound))?, sees.0)))
}
