//! `POST /v1/reports/{id}/release` and `/discard`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::acts::Operator;
use crate::acts::decide_report::{self, Verdict};
use crate::http::AppState;
use crate::http::internal::Accepted;
use crate::http::internal::json::Body;
use crate::http::internal::path::Id;
use crate::http::internal::reason::Reason;
use crate::http::problem::ApiError;

type Answer = Result<(StatusCode, Json<Accepted>), ApiError>;

/// Lets a held report have its effects.
#[utoipa::path(
    post,
    path = "/v1/reports/{id}/release",
    operation_id = "release_report",
    tag = "Reconciliation",
    params(("id" = uuid::Uuid, Path, description = "The report's id")),
    request_body = Reason,
    responses(
        (status = 202, description = "The report is released", body = Accepted),
        (status = 409, description = "`wrong-state`: the report is not held"),
    ),
)]
pub async fn release(state: State<Arc<AppState>>, operator: Operator, id: Id, body: Body<Reason>) -> Answer {
    decide(state, operator, id, body, Verdict::Release).await
}

/// Ends a report without effect.
#[utoipa::path(
    post,
    path = "/v1/reports/{id}/discard",
    operation_id = "discard_report",
    tag = "Reconciliation",
    params(("id" = uuid::Uuid, Path, description = "The report's id")),
    request_body = Reason,
    responses(
        (status = 202, description = "The report is discarded", body = Accepted),
        (status = 409, description = "`wrong-state`: the report has had its effects"),
    ),
)]
pub async fn discard(state: State<Arc<AppState>>, operator: Operator, id: Id, body: Body<Reason>) -> Answer {
    decide(state, operator, id, body, Verdict::Discard).await
}

async fn decide(
    State(state): State<Arc<AppState>>,
    operator: Operator,
    Id(id): Id,
    Body(Reason { reason }): Body<Reason>,
    verdict: Verdict,
) -> Answer {
    decide_report::run(&state.acts, &operator, id, verdict, reason).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted::new())))
}
