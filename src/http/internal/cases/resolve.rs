//! `POST /v1/cases/{id}/resolve`: a person has judged a disagreement.
//!
//! Closing a case moves no opening: what the judgement asks for is done by an act of its own. The record is written in the
//! commit that closes it; doing it twice is doing it once.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use sqlx::Connection as _;
use utoipa::ToSchema;

use crate::db::cases::{self, Resolved};
use crate::db::operator_actions::{self, Action};
use crate::http::AppState;
use crate::http::internal::Accepted;
use crate::http::internal::auth::Operator;
use crate::http::internal::fields::{self, Wrong};
use crate::http::internal::json::JsonObject;
use crate::http::internal::path::Id;
use crate::http::internal::reason::{self, EvidenceText, ReasonText};
use crate::http::internal::work::{Connection, database};
use crate::http::problem::{ApiError, Kind};

/// How a case was judged.
#[derive(Clone, Debug, PartialEq, Eq, ToSchema)]
pub struct Judgement {
    /// For the record.
    #[schema(value_type = ReasonText)]
    reason: String,
    /// What it rests on.
    #[schema(value_type = Option<EvidenceText>)]
    evidence: Option<String>,
}

/// Closes a case.
#[utoipa::path(
    post,
    path = "/v1/cases/{id}/resolve",
    operation_id = "resolve_case",
    tag = "People",
    params(("id" = uuid::Uuid, Path, description = "Its id")),
    request_body = Judgement,
    responses(
        (status = 202, description = "It is resolved", body = Accepted),
        (status = 409, description = "`wrong-state`: it was resolved by somebody else, or for another reason"),
    ),
)]
pub async fn resolve(
    State(state): State<Arc<AppState>>,
    Operator(operator): Operator,
    Id(id): Id,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    let (judgement, who, clock) = (read(&body)?, operator.name, state.clock.clone());
    // The same in every try, so that one act is recorded once.
    let act = state.ids.next();
    let work = move |mut connection: Connection| {
        let (Judgement { reason, evidence }, who, at) = (judgement.clone(), who.to_string(), clock.now());
        async move {
            let mut transaction = connection.begin().await?;
            let resolved = cases::resolve(&mut transaction, id, &who, &reason, at).await?;
            if let Resolved::Now(opening) = resolved {
                let detail = evidence.map_or_else(|| json!({}), |evidence| json!({"evidence": evidence}));
                let (action, subject, opening_id) = ("resolve_case".to_owned(), id.to_string(), Some(opening));
                let action = Action { id: act, at, who, action, subject, opening_id, reason, detail };
                operator_actions::insert(&mut transaction, &action).await?;
            }
            transaction.commit().await?;
            Ok(resolved)
        }
    };
    match database(&state.pool, work).await? {
        Resolved::Now(opening) => tracing::info!(opening.id = %opening, case.id = %id, "an operator resolved a case"),
        Resolved::Already => {}
        Resolved::Otherwise => return Err(ApiError::because(Kind::WrongState, "it is resolved already")),
        Resolved::NotFound => return Err(ApiError::new(Kind::NotFound)),
    }
    Ok((StatusCode::ACCEPTED, Json(Accepted::new())))
}

fn read(body: &Map<String, Value>) -> Result<Judgement, ApiError> {
    fields::refuse_unknown(&[("", body, &["reason", "evidence"])])?;
    let mut wrong = Wrong::default();
    let reason = wrong.required("", body, "reason", reason::reason);
    let evidence = wrong.optional("", body, "evidence", reason::evidence);
    wrong.or(reason.map(|reason| Judgement { reason, evidence }))
}
