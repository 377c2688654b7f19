//! `POST /v1/cases/{id}/resolve`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::acts::Operator;
use crate::acts::reason::{EvidenceText, ReasonText};
use crate::acts::resolve_case::{self, ResolveCaseRequest};
use crate::http::AppState;
use crate::http::internal::Accepted;
use crate::http::internal::fields::body;
use crate::http::internal::json::Body;
use crate::http::internal::path::Id;
use crate::http::problem::ApiError;

body!(
    /// An operator's judgement of a case.
    Judgement {
        /// The reason, for the record.
        reason: ReasonText,
        /// The evidence for the judgement.
        evidence: Option<EvidenceText>,
    }
);

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
    Body(Judgement { reason, evidence }): Body<Judgement>,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    resolve_case::run(&state.acts, &operator, id, ResolveCaseRequest { reason, evidence }).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted::new())))
}
