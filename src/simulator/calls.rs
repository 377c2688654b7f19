//! The way every call to the simulated systems takes: it meets its fault, makes its effect once, and is answered.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::endpoint::Endpoint;
use super::ledger::{Answer, Asked, Ledger};
use super::plan::Fault;
use super::snapshot::Call;
use super::world::World;

/// A call that makes something.
pub(super) struct Asking<'a> {
    pub(super) endpoint: Endpoint,
    pub(super) reference: &'a str,
    pub(super) customer_reference: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a Value,
}

/// Does what is asked, unless a fault or the key forbids; what is to be answered, by [`reply`].
pub(super) fn take(
    world: &World,
    asking: &Asking<'_>,
    make: impl FnOnce(&mut Ledger) -> Answer,
) -> Result<Taken, Answer> {
    let key = asking.headers.get("idempotency-key").and_then(|value| value.to_str().ok()).filter(|key| !key.is_empty());
    let mut ledger = world.ledger();
    let Some(key) = key else {
        ledger.counts.calls_refused += 1;
        return Err(refusal(StatusCode::BAD_REQUEST, "missing_idempotency_key", "Idempotency-Key is required"));
    };
    let call = Call { at: world.clock.now(), endpoint: asking.endpoint, key: Some(key.to_owned()), fault: None };
    let fault = ledger.arrive(call, asking.reference, asking.customer_reference);
    if let Some(fault) = fault.filter(|fault| fault.is_before()) {
        return Ok(Taken::Fault(fault));
    }
    // Parsed and written again: the order of the fields and the white space do not make another body.
    let digest = Sha256::digest(asking.body.to_string()).into();
    match ledger.once((asking.endpoint, key, digest), make) {
        Asked::Made(answer) | Asked::Replayed(answer) => Ok(fault.map_or(Taken::Answer(answer), Taken::Fault)),
        Asked::Conflict => {
            ledger.counts.calls_refused += 1;
            let message = "this Idempotency-Key was used for another body";
            Err(refusal(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", message))
        }
    }
}

/// How a call ends.
pub(super) enum Taken {
    /// Well.
    Answer(Answer),
    /// Badly, whatever was done.
    Fault(Fault),
}

/// Answers a call; a hanging one, much later.
pub(super) async fn reply(world: &World, taken: Result<Taken, Answer>) -> Response {
    match taken {
        Ok(Taken::Answer((status, body))) | Err((status, body)) => (status, Json(body)).into_response(),
        Ok(Taken::Fault(fault)) => suffer(world, fault).await,
    }
}

async fn suffer(world: &World, fault: Fault) -> Response {
    match fault {
        Fault::ErrorBefore { status } | Fault::ErrorAfter { status } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let (status, body) = refusal(status, "simulated_fault", "this is a rehearsal");
            (status, Json(body)).into_response()
        }
        Fault::HangBefore | Fault::HangAfter => {
            tokio::select! {
                () = world.stop.cancelled() => {}
                () = tokio::time::sleep(super::HANG) => {}
            }
            StatusCode::GATEWAY_TIMEOUT.into_response()
        }
        Fault::Throttle { retry_after_seconds } => {
            let (status, body) = refusal(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "slow down");
            (status, [(RETRY_AFTER, retry_after_seconds.to_string())], Json(body)).into_response()
        }
        Fault::Garbage => {
            (StatusCode::OK, [(CONTENT_TYPE, "text/html")], "<html><body>It works!</body></html>").into_response()
        }
    }
}

/// The body of a call: 400 if it is not JSON, 422 if a field is missing or wrong.
pub(super) fn read<T: DeserializeOwned>(world: &Arc<World>, body: &Bytes) -> Result<(T, Value), Answer> {
    let refuse = |status, code, error: serde_json::Error| {
        world.ledger().counts.calls_refused += 1;
        refusal(status, code, &error.to_string())
    };
    let value: Value =
        serde_json::from_slice(body).map_err(|error| refuse(StatusCode::BAD_REQUEST, "invalid_json", error))?;
    let typed =
        T::deserialize(&value).map_err(|error| refuse(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed", error))?;
    Ok((typed, value))
}

/// An answer that explains itself.
pub(super) fn refusal(status: StatusCode, code: &str, message: &str) -> Answer {
    (status, json!({ "code": code, "message": message }))
}

/// 201 and what was made.
pub(super) fn created(field: &str, made: Option<String>) -> Answer {
    match made {
        Some(id) => (StatusCode::CREATED, json!({ field: id })),
        None => refusal(StatusCode::INTERNAL_SERVER_ERROR, "unknown_opening", "the ledger has no such opening"),
    }
}
