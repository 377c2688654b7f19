//! `POST /v1/account-openings/{id}/erase`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::acts::Operator;
use crate::acts::erase::{self, EraseRequest};
use crate::acts::reason::ReasonText;
use crate::domain::OpeningId;
use crate::http::AppState;
use crate::http::internal::Accepted;
use crate::http::internal::fields::body;
use crate::http::internal::forms::ExpectedVersion;
use crate::http::internal::json::Body;
use crate::http::internal::path::Id;
use crate::http::problem::ApiError;

body!(
    /// A request to erase personal data.
    Erase {
        /// The reason, for the record.
        reason: ReasonText,
        /// The version that the operator saw; 409 `wrong-state` if the opening has moved since.
        expected_version: Option<ExpectedVersion>,
    }
);

/// Erases the personal data of an ended account opening.
///
/// This cannot be undone. A repeat also erases messages about the opening that arrived, or were recognised, since.
#[utoipa::path(
    post,
    path = "/v1/account-openings/{id}/erase",
    operation_id = "erase_account_opening",
    tag = "Account openings",
    params(("id" = Uuid, Path, description = "The opening's id")),
    request_body = Erase,
    responses(
        (status = 202, description = "The personal data is erased", body = Accepted),
        (status = 409, description = "`wrong-state`: the opening has not ended, or is not in the `expected_version`"),
    ),
)]
pub async fn erase(
    State(state): State<Arc<AppState>>,
    operator: Operator,
    Id(id): Id,
    Body(Erase { reason, expected_version }): Body<Erase>,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    erase::run(&state.acts, &operator, OpeningId(id), EraseRequest { reason, expected_version }).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted::new())))
}
