//! `GET /v1/dead-letters/{id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Queue;
use crate::db::dead_letters::{self, Letter, Whole};
use crate::http::AppState;
use crate::http::internal::path::Id;
use crate::http::problem::{ApiError, Kind};

/// A dead letter with all its data.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WholeDeadLetter {
    /// The dead letter's id.
    id: Uuid,
    /// The queue: inbox or outbox.
    #[schema(value_type = Queue)]
    queue: String,
    /// The source of a fact, or the topic of outbox work.
    #[schema(example = "submit_request")]
    kind: String,
    /// The cause of death.
    cause: Option<String>,
    /// `[{"at", "class", "cause"}]`, oldest first; operators' acts also have `by`.
    #[schema(value_type = Vec<Object>)]
    attempts: Value,
    /// The number of attempts that counted.
    attempts_count: i32,
    /// The opening that it is about, if known.
    opening_id: Option<Uuid>,
    /// The time of its receipt or creation.
    at: DateTime<Utc>,
    /// `dead`, or its status after an operator acted.
    #[schema(example = "dead")]
    status: String,
    /// The received body or the payload to send: JSON if possible, else text.
    payload: Value,
    /// The payload byte for byte, in base64.
    payload_base64: String,
    /// The received headers without credentials; inbox only.
    #[schema(value_type = Option<Object>)]
    headers: Option<Value>,
    /// The time at which payload and headers were erased with the opening's personal data.
    erased_at: Option<DateTime<Utc>>,
}

impl From<Whole> for WholeDeadLetter {
    fn from(whole: Whole) -> Self {
        let Whole { letter, status, payload, headers, attempt_log, erased_at } = whole;
        let Letter { id, queue, kind, cause, attempts, opening_id, at } = letter;
        Self {
            id,
            queue,
            kind,
            cause,
            attempts: attempt_log,
            attempts_count: attempts,
            opening_id,
            at,
            status,
            payload: readable(&payload),
            payload_base64: STANDARD.encode(&payload),
            headers,
            erased_at,
        }
    }
}

fn readable(payload: &[u8]) -> Value {
    serde_json::from_slice(payload).unwrap_or_else(|_| String::from_utf8_lossy(payload).into_owned().into())
}

/// Reads a current or former dead letter.
#[utoipa::path(
    get,
    path = "/v1/dead-letters/{id}",
    operation_id = "get_dead_letter",
    tag = "People",
    params(("id" = Uuid, Path, description = "The dead letter's id")),
    responses(
        (status = 200, description = "With payload and attempts", body = WholeDeadLetter),
    ),
)]
pub async fn get(State(state): State<Arc<AppState>>, Id(id): Id) -> Result<Json<WholeDeadLetter>, ApiError> {
    let work = async move |connection: &mut PgConnection| dead_letters::get(connection, id).await;
    let whole = state.read(work).await?.ok_or(ApiError::new(Kind::NotFound))?;
    Ok(Json(whole.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_that_is_no_json_is_shown_as_text() {
        assert_eq!(readable(br#"{"a":1}"#), serde_json::json!({"a": 1}));
        assert_eq!(readable(b"not json"), "not json");
        assert_eq!(readable(b"\xff"), "\u{fffd}");
        assert!(readable("[".repeat(100_000).as_bytes()).is_string());
    }
}
