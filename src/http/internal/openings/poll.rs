//! `POST /v1/account-openings/{id}/poll`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::acts::Operator;
use crate::acts::poll::{self, PollRequest};
use crate::domain::OpeningId;
use crate::http::AppState;
use crate::http::internal::Accepted;
use crate::http::internal::fields::{self, Wrong};
use crate::http::internal::json::MaybeJsonObject;
use crate::http::internal::path::Id;
use crate::http::internal::reason::{self, ReasonText};
use crate::http::problem::ApiError;

/// A request to poll; optional.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the body, which is read field by field")]
pub struct Poll {
    /// The reason, for the record.
    #[schema(value_type = Option<ReasonText>)]
    reason: Option<String>,
    /// The version that the operator saw; 409 `wrong-state` if the opening has moved since.
    #[schema(schema_with = fields::version)]
    expected_version: Option<i64>,
}

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
    MaybeJsonObject(body): MaybeJsonObject,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    poll::run(&state.acts, &operator, OpeningId(id), read(&body)?).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted::new())))
}

fn read(body: &Map<String, Value>) -> Result<PollRequest, ApiError> {
    fields::refuse_unknown(&[("", body, &["reason", "expected_version"])])?;
    let mut wrong = Wrong::default();
    let reason = wrong.optional("", body, "reason", reason::reason).unwrap_or_default();
    let expected_version = wrong.version(body);
    wrong.or(Some(PollRequest { reason, expected_version }))
}
