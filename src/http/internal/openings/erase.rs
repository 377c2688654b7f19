//! `POST /v1/account-openings/{id}/erase`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::acts::Operator;
use crate::acts::erase::{self, EraseRequest};
use crate::domain::OpeningId;
use crate::http::AppState;
use crate::http::internal::Accepted;
use crate::http::internal::fields::{self, Wrong};
use crate::http::internal::json::JsonObject;
use crate::http::internal::path::Id;
use crate::http::internal::reason::{self, ReasonText};
use crate::http::problem::ApiError;

/// A request to erase personal data.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the body, which is read field by field")]
pub struct Erase {
    /// The reason, for the record.
    #[schema(value_type = ReasonText)]
    reason: String,
    /// The version that the operator saw; 409 `wrong-state` if the opening has moved since.
    #[schema(schema_with = fields::version)]
    expected_version: Option<i64>,
}

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
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    erase::run(&state.acts, &operator, OpeningId(id), read(&body)?).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted::new())))
}

fn read(body: &Map<String, Value>) -> Result<EraseRequest, ApiError> {
    fields::refuse_unknown(&[("", body, &["reason", "expected_version"])])?;
    let mut wrong = Wrong::default();
    let reason = wrong.required("", body, "reason", reason::reason);
    let expected_version = wrong.version(body);
    wrong.or(reason.map(|reason| EraseRequest { reason, expected_version }))
}
