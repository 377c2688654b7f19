//! `POST /v1/cases/{id}/resolve`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::acts::Operator;
use crate::acts::resolve_case::{self, ResolveCaseRequest};
use crate::http::AppState;
use crate::http::internal::Accepted;
use crate::http::internal::fields::{self, Wrong};
use crate::http::internal::json::JsonObject;
use crate::http::internal::path::Id;
use crate::http::internal::reason::{self, EvidenceText, ReasonText};
use crate::http::problem::ApiError;

/// An operator's judgement of a case.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the body, which is read field by field")]
pub struct Judgement {
    /// The reason, for the record.
    #[schema(value_type = ReasonText)]
    reason: String,
    /// The evidence for the judgement.
    #[schema(value_type = Option<EvidenceText>)]
    evidence: Option<String>,
}

/// Closes a case with an operator's judgement.
#[utoipa::path(
    post,
    path = "/v1/cases/{id}/resolve",
    operation_id = "resolve_case",
    tag = "People",
    params(("id" = uuid::Uuid, Path, description = "The case's id")),
    request_body = Judgement,
    responses(
        (status = 202, description = "The case is resolved", body = Accepted),
        (status = 409, description = "`wrong-state`: the case was resolved by another person, or for another reason"),
    ),
)]
pub async fn resolve(
    State(state): State<Arc<AppState>>,
    operator: Operator,
    Id(id): Id,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    resolve_case::run(&state.acts, &operator, id, read(&body)?).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted::new())))
}

fn read(body: &Map<String, Value>) -> Result<ResolveCaseRequest, ApiError> {
    fields::refuse_unknown(&[("", body, &["reason", "evidence"])])?;
    let mut wrong = Wrong::default();
    let reason = wrong.required("", body, "reason", reason::reason);
    let evidence = wrong.optional("", body, "evidence", reason::evidence);
    wrong.or(reason.map(|reason| ResolveCaseRequest { reason, evidence }))
}
