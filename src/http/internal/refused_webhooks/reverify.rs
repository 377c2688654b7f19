//! `POST /v1/rejected-requests/{id}/reverify`: what was refused by mistake is taken in after all.
//!
//! It is taken in first, then marked and recorded in one commit. A crash in between leaves it unmarked; doing it again finds it
//! in the inbox.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use sqlx::Connection as _;
use tokio::time::timeout;

use crate::db::operator_actions::{self, Action};
use crate::db::refused_webhooks::{self, Believed, Candidate, StillRefused, Whole};
use crate::http::AppState;
use crate::http::internal::Accepted;
use crate::http::internal::auth::{Operator, Principal};
use crate::http::internal::json::JsonObject;
use crate::http::internal::path::Id;
use crate::http::internal::reason::{self, Reason};
use crate::http::internal::work::{Connection, database};
use crate::http::problem::{ApiError, Kind};
use crate::ingest::Unavailable;
use crate::provider::VerifyError;
use crate::refused_webhooks::{Again, look_again};

/// The longest that taking requests in may take.
pub(super) const TAKEN_WITHIN: Duration = Duration::from_secs(4);

/// Verifies a refused request again, with the secrets of today and its time judged as at receipt, and takes it in.
#[utoipa::path(
    post,
    path = "/v1/rejected-requests/{id}/reverify",
    operation_id = "reverify_rejected_request",
    tag = "People",
    params(("id" = Uuid, Path, description = "Its id")),
    request_body = Reason,
    responses(
        (status = 202, description = "It is the provider's, and is in the inbox", body = Accepted),
        (status = 409, description = "`wrong-state`: it is still refused, was verified already, its body was not kept, or \
            there is no such provider"),
    ),
)]
pub async fn reverify(
    State(state): State<Arc<AppState>>,
    Operator(operator): Operator,
    Id(id): Id,
    JsonObject(body): JsonObject,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    let reason = reason::read(&body)?;
    let work = move |mut connection: Connection| async move { refused_webhooks::get(&mut connection, id).await };
    let whole = database(&state.pool, work).await?.ok_or(ApiError::new(Kind::NotFound))?;
    let looking = look_again(candidate(whole)?, &state.providers, &state.ingest, &state.secret_uses);
    let looked = timeout(TAKEN_WITHIN, looking).await.unwrap_or(Err(Unavailable("it took too long")));
    match looked.map_err(|error| ApiError::unavailable(error.to_string()))? {
        Again::UnknownProvider => Err(wrong_state("there is no such provider")),
        Again::Refused(error, _) => Err(wrong_state(still(error))),
        Again::Believed(believed) => {
            let detail = json!({"event_id": believed.event_id, "outcome": believed.outcome});
            let action = action(&state, &operator, id.to_string(), reason, detail);
            mark(&state, vec![believed], Vec::new(), action).await?;
            tracing::info!(refused_webhook.id = %id, "a refused request was verified after all");
            Ok((StatusCode::ACCEPTED, Json(Accepted::new())))
        }
    }
}

/// What there is to look at again, if it is worth it.
fn candidate(whole: Whole) -> Result<Candidate, ApiError> {
    let Whole { row, headers, body } = whole;
    if row.verified_at.is_some() {
        return Err(wrong_state("it was verified already"));
    }
    let body = body.ok_or(wrong_state("its body was not kept"))?;
    let refused_webhooks::Row { id, provider, received_at, method, path, .. } = row;
    Ok(Candidate { id, provider, received_at, method, path, headers, body })
}

fn wrong_state(why: &'static str) -> ApiError {
    ApiError::because(Kind::WrongState, why)
}

const fn still(error: VerifyError) -> &'static str {
    match error {
        VerifyError::Missing => "still refused: its signature is missing",
        VerifyError::Wrong => "still refused: its signature does not match",
        VerifyError::Stale => "still refused: its signed time was out of tolerance when it came",
    }
}

/// An act on refused requests, for the record. Made before the work, so that a repeat of the work records it once.
pub(super) fn action(state: &AppState, operator: &Principal, subject: String, reason: String, detail: Value) -> Action {
    Action {
        id: state.ids.next(),
        at: state.clock.now(),
        who: operator.name.to_string(),
        action: "reverify_rejected_requests".to_owned(),
        subject,
        opening_id: None,
        reason,
        detail,
    }
}

/// Marks what came of looking again and records whose act it was, in one commit.
pub(super) async fn mark(
    state: &AppState,
    believed: Vec<Believed>,
    still: Vec<StillRefused>,
    action: Action,
) -> Result<(), ApiError> {
    let found = Arc::new((believed, still, action));
    let work = move |mut connection: Connection| {
        let found = Arc::clone(&found);
        async move {
            let (believed, still, action) = &*found;
            let mut transaction = connection.begin().await?;
            refused_webhooks::mark(&mut transaction, believed, still, action.id, action.at).await?;
            operator_actions::insert(&mut transaction, action).await?;
            transaction.commit().await
        }
    };
    database(&state.pool, work).await
}
