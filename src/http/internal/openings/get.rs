//! `GET /v1/account-openings/{id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::db::openings;
use crate::domain::OpeningId;
use crate::domain::resource::Resource;
use crate::http::AppState;
use crate::http::internal::path::Id;
use crate::http::problem::{ApiError, Kind};
use sqlx::PgConnection;

/// Reads an account opening by its id.
#[utoipa::path(
    get,
    path = "/v1/account-openings/{id}",
    operation_id = "get_account_opening",
    tag = "Account openings",
    params(("id" = uuid::Uuid, Path, description = "The opening's id")),
    responses(
        (status = 200, description = "The opening as it is now", body = Resource),
    ),
)]
pub async fn get(State(state): State<Arc<AppState>>, Id(id): Id) -> Result<Json<Resource>, ApiError> {
    let work = async move |connection: &mut PgConnection| openings::get(connection, OpeningId(id)).await;
    let opening = state.read(work).await?.ok_or(ApiError::new(Kind::NotFound))?;
    Ok(Json(Resource::from(&opening)))
}
