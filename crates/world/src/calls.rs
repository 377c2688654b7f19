//! The path of every call to a simulated system: apply its fault, have its effect once, answer it.

use std::io::Write;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::endpoint::Endpoint;
use super::ledger::{Answer, Asked, Ledger};
use super::plan::{Fault, HALF_A_CHARACTER, RefusalForm};
use super::snapshot::Call;
use super::world::World;

/// A call with an effect.
pub(super) struct Asking<'a> {
    pub(super) endpoint: Endpoint,
    pub(super) reference: &'a str,
    pub(super) customer_reference: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a Value,
}

/// Executes the call, unless a fault or the key forbids it; [`reply`] answers it.
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
    // Parsed and serialised again, so that field order and white space do not matter.
    let digest = Sha256::digest(asking.body.to_string()).into();
    match ledger.once((asking.endpoint, key, digest), make) {
        Asked::Made(answer) | Asked::Replayed(answer) => Ok(Taken::ended(fault, answer)),
        Asked::Conflict => {
            ledger.counts.calls_refused += 1;
            let message = "this Idempotency-Key was used for another body";
            Err(refusal(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", message))
        }
    }
}

/// The end of a call.
pub(super) enum Taken {
    Answer(Answer),
    /// The answer, compressed with gzip.
    Compressed(Answer),
    /// A fault, whether or not the effect happened.
    Fault(Fault),
}

impl Taken {
    /// The end of an executed call with its fault.
    pub(super) fn ended(fault: Option<Fault>, answer: Answer) -> Self {
        match fault {
            None => Self::Answer(answer),
            Some(Fault::Compressed) => Self::Compressed(answer),
            Some(fault) => Self::Fault(fault),
        }
    }
}

/// Answers a call; a hanging call only after a long delay.
pub(super) async fn reply(world: &World, taken: Result<Taken, Answer>) -> Response {
    match taken {
        Ok(Taken::Answer(answer)) | Err(answer) => plain(&answer),
        Ok(Taken::Compressed(answer)) => compressed(&answer),
        Ok(Taken::Fault(fault)) => suffer(world, fault).await,
    }
}

/// JSON as sent.
pub(super) fn written(body: &Value) -> String {
    body.to_string().replace(HALF_A_CHARACTER, "\\ud83d")
}

fn plain((status, body): &Answer) -> Response {
    (*status, [(CONTENT_TYPE, "application/json")], written(body)).into_response()
}

fn compressed((status, body): &Answer) -> Response {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let body = encoder.write_all(written(body).as_bytes()).and_then(|()| encoder.finish()).unwrap_or_default();
    (*status, [(CONTENT_TYPE, "application/json"), (CONTENT_ENCODING, "gzip")], body).into_response()
}

async fn suffer(world: &World, fault: Fault) -> Response {
    match fault {
        Fault::ErrorBefore { status } | Fault::ErrorAfter { status } => {
            plain(&refusal(status_of(status), "simulated_fault", "this is a rehearsal"))
        }
        Fault::Refuse { status, form } => plain(&(status_of(status), refused_in(form))),
        Fault::HangBefore | Fault::HangAfter => {
            tokio::select! {
                () = world.stop.cancelled() => {}
                () = tokio::time::sleep(super::HANG) => {}
            }
            StatusCode::GATEWAY_TIMEOUT.into_response()
        }
        Fault::Throttle { retry_after_seconds } => {
            let answer = plain(&refusal(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "slow down"));
            ([(RETRY_AFTER, retry_after_seconds.to_string())], answer).into_response()
        }
        Fault::Garbage | Fault::Compressed => {
            (StatusCode::OK, [(CONTENT_TYPE, "text/html")], "<html><body>It works!</body></html>").into_response()
        }
    }
}

pub(super) fn status_of(number: u16) -> StatusCode {
    StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn refused_in(form: RefusalForm) -> Value {
    let cut = format!("the name ends in {HALF_A_CHARACTER}");
    match form {
        RefusalForm::Gateway => json!({"message": "Bad request"}),
        RefusalForm::Framework => json!({"status": 400, "error": "Bad Request", "message": ""}),
        RefusalForm::Numbered => json!({"code": 1002, "message": "this is a rehearsal"}),
        RefusalForm::Cut => json!({"code": "name_invalid", "message": cut}),
    }
}

/// Parses the body of a call: 400 if it is not JSON, 422 if a field is missing or wrong.
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

/// A refusal with code and message.
pub(super) fn refusal(status: StatusCode, code: &str, message: &str) -> Answer {
    (status, json!({ "code": code, "message": message }))
}

/// 201 with the id of the created object.
pub(super) fn created(field: &str, made: Option<String>) -> Answer {
    match made {
        Some(id) => (StatusCode::CREATED, json!({ field: id })),
        None => refusal(StatusCode::INTERNAL_SERVER_ERROR, "unknown_opening", "the ledger has no such opening"),
    }
}
