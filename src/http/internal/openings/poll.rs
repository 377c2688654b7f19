//! `POST /v1/account-openings/{id}/poll`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::acts::Operator;
use crate::acts::poll::{self, PollRequest};
use crate::acts::reason::ReasonText;
use crate::domain::OpeningId;
use crate::http::AppState;
use crate::http::internal::Accepted;
use crate::http::internal::fields::body;
use crate::http::internal::forms::ExpectedVersion;
use crate::http::internal::json::MaybeBody;
use crate::http::internal::path::Id;
use crate::http::problem::ApiError;

body!(
    /// A request to poll; optional.
    Poll {
        /// The reason, for the record.
        reason: Option<ReasonText>,
        /// The version that the operator saw; 409 `wrong-state` if the opening has moved since.
        expected_version: Option<ExpectedVersion>,
    }
);

/// Polls the provider now, even for an escalated opening.
#[utoipa::path(
    post,
    path = "/v1/account-openings/{id}/poll",
    operation_id = "poll_account_opening",
    tag = "Account openings",
    params(("id" = Uuid, Path, description = "The opening's id")),
    request_body = Option<Poll>,
    responses(
        (status = 202, description = "The provider will be asked", body = Accepted),
        (status = 409, description = "`wrong-state`: there is no tracking id yet, an answer has come already, or the opening \
            is not in the `expected_version`"),
    ),
)]
pub async fn poll(
    State(state): State<Arc<AppState>>,
    operator: Operator,
    Id(id): Id,
    MaybeBody(body): MaybeBody<Poll>,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    let request = PollRequest { reason: body.reason.unwrap_or_default(), expected_version: body.expected_version };
    poll::run(&state.acts, &operator, OpeningId(id), request).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted::new())))
}
