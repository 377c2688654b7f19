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

/// A dead letter with everything that is known about it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WholeDeadLetter {
    /// Its id.
    id: Uuid,
    /// Which queue it stands in.
    #[schema(value_type = Queue)]
    queue: String,
    /// The source of a fact, or the topic of a command.
    #[schema(example = "submit_request")]
    kind: String,
    /// Why it is dead.
    cause: Option<String>,
    /// `[{"at", "class", "cause"}]`, oldest first; acts of people have `by` too.
    #[schema(value_type = Vec<Object>)]
    attempts: Value,
    /// How many of its attempts counted.
    attempts_count: i32,
    /// The opening that it is about, where that is known.
    opening_id: Option<Uuid>,
    /// When it came or was written.
    at: DateTime<Utc>,
    /// `dead`, or what became of it since somebody acted.
    #[schema(example = "dead")]
    status: String,
    /// What was sent, or was to be: JSON if it is, else text.
    payload: Value,
    /// The same, byte for byte.
    payload_base64: String,
    /// As they came, without credentials; none of the outbox.
    #[schema(value_type = Option<Object>)]
    headers: Option<Value>,
    /// When payload and headers were emptied, with the personal data of its opening.
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

/// Reads a dead letter, or one that was.
#[utoipa::path(
    get,
    path = "/v1/dead-letters/{id}",
    operation_id = "get_dead_letter",
    tag = "People",
    params(("id" = Uuid, Path, description = "Its id")),
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
