//! `POST /v1/rejected-requests/{id}/reverify`.

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

/// Verifies a refused request again with the current secrets, judging its signed time as of receipt, and stores it in
/// the inbox.
#[utoipa::path(
    post,
    path = "/v1/rejected-requests/{id}/reverify",
    operation_id = "reverify_rejected_request",
    tag = "People",
    params(("id" = Uuid, Path, description = "The refused request's id")),
    request_body = Reason,
    responses(
        (status = 202, description = "The request is the provider's, and is in the inbox", body = Accepted),
        (status = 409, description = "`wrong-state`: the request is still refused or was verified already, its body was not kept, \
            or there is no such provider"),
    ),
)]
pub async fn reverify(
    State(state): State<Arc<AppState>>,
    operator: Operator,
    Id(id): Id,
    Body(Reason { reason }): Body<Reason>,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    acts::reverify::run(&state.acts, &operator, id, reason).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted::new())))
}
