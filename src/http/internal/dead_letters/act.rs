//! `POST /v1/dead-letters/{id}/redrive` and `/discard`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::acts::{self, Operator};
use crate::http::AppState;
use crate::http::internal::Accepted;
use crate::http::internal::json::Body;
use crate::http::internal::path::Id;
use crate::http::internal::reason::Reason;
use crate::http::problem::ApiError;

/// Makes a dead letter pending again: its attempts count from zero, and their log is kept.
#[utoipa::path(
    post,
    path = "/v1/dead-letters/{id}/redrive",
    operation_id = "redrive_dead_letter",
    tag = "People",
    params(("id" = Uuid, Path, description = "The dead letter's id")),
    request_body = Reason,
    responses(
        (status = 202, description = "It will be tried again", body = Accepted),
        (status = 409, description = "`wrong-state`: the letter is not dead any more, or its opening has no use for it"),
    ),
)]
pub async fn redrive(
    State(state): State<Arc<AppState>>,
    operator: Operator,
    Id(id): Id,
    Body(Reason { reason }): Body<Reason>,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    acts::redrive::run(&state.acts, &operator, id, reason).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted::new())))
}

/// Gives a dead letter up: it is not retried.
#[utoipa::path(
    post,
    path = "/v1/dead-letters/{id}/discard",
    operation_id = "discard_dead_letter",
    tag = "People",
    params(("id" = Uuid, Path, description = "The dead letter's id")),
    request_body = Reason,
    responses(
        (status = 202, description = "It will not be tried again", body = Accepted),
        (status = 409, description = "`wrong-state`: the letter is not dead any more"),
    ),
)]
pub async fn discard(
    State(state): State<Arc<AppState>>,
    operator: Operator,
    Id(id): Id,
    Body(Reason { reason }): Body<Reason>,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    acts::discard::run(&state.acts, &operator, id, reason).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted::new())))
}
