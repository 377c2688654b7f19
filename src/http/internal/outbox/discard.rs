//! `POST /v1/outbox/{id}/discard`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::acts::{Operator, discard_work};
use crate::http::AppState;
use crate::http::internal::Accepted;
use crate::http::internal::json::Body;
use crate::http::internal::path::Id;
use crate::http::internal::reason::Reason;
use crate::http::problem::ApiError;

/// Ends waiting work: it is not tried again.
///
/// A call in flight is not aborted, and its answer still counts. An opening whose command is discarded gets a ticket at
/// its deadline. A repeat changes nothing.
#[utoipa::path(
    post,
    path = "/v1/outbox/{id}/discard",
    operation_id = "discard_waiting_work",
    tag = "People",
    params(("id" = Uuid, Path, description = "The work's id")),
    request_body = Reason,
    responses(
        (status = 202, description = "It will not be tried again", body = Accepted),
        (status = 409, description = "`wrong-state`: the work no longer waits"),
    ),
)]
pub async fn discard(
    State(state): State<Arc<AppState>>,
    operator: Operator,
    Id(id): Id,
    Body(Reason { reason }): Body<Reason>,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    discard_work::run(&state.acts, &operator, id, reason).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted::new())))
}
