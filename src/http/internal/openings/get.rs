//! `GET /v1/account-openings/{id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::db::openings;
use crate::domain::OpeningId;
use crate::domain::resource::Resource;
use crate::http::AppState;
use crate::http::internal::path::Id;
use crate::http::internal::work::{Connection, database};
use crate::http::problem::{ApiError, Kind};

/// Reads an account opening.
#[utoipa::path(
    get,
    path = "/v1/account-openings/{id}",
    operation_id = "get_account_opening",
    tag = "Account openings",
    params(("id" = uuid::Uuid, Path, description = "Its id")),
    responses(
        (status = 200, description = "As it is now", body = Resource),
    ),
)]
pub async fn get(State(state): State<Arc<AppState>>, Id(id): Id) -> Result<Json<Resource>, ApiError> {
    let work = move |mut connection: Connection| async move { openings::get(&mut connection, OpeningId(id)).await };
    let opening = database(&state.pool, work).await?.ok_or(ApiError::new(Kind::NotFound))?;
    Ok(Json(Resource::from(&opening)))
}
