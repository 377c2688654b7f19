//! The public listener: webhooks.
//!
//! A request is checked in a fixed order (provider, method, size, type, signature), nothing of it is parsed before its
//! signature has been verified over the raw bytes, and it is answered after the commit that holds it. Business logic runs
//! after the answer.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use tower_http::catch_panic::CatchPanicLayer;

use super::{Edge, body, health};
use crate::db::inbox::Stored;
use crate::domain::Source;
use crate::ingest::{Message, Receipt};
use crate::provider::{Headers, Incoming, Parsed, Provider, VerifyError};

/// What remains of `ACK_TIMEOUT` for the answer to travel.
const ANSWER_TRAVELS: Duration = Duration::from_millis(250);

/// The routes of the public listener.
pub fn router(edge: Edge) -> Router {
    Router::new()
        .route("/webhooks/{provider}", any(receive))
        .route("/livez", get(health::live))
        .with_state(edge)
        // Without it a panic would close the connection without an answer. Providers come again after a 500.
        .layer(CatchPanicLayer::custom(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()))
}

/// What a request has until it must be answered.
fn patience(ack_timeout: Duration) -> Duration {
    ack_timeout.saturating_sub(ANSWER_TRAVELS).max(ack_timeout / 2)
}

/// How long a body may take: a body that takes longer leaves no time to store it. It is less than the patience with the
/// whole request, so that a client that is too slow is told that it is (408), and not that we are (503).
#[must_use]
pub fn body_within(ack_timeout: Duration) -> Duration {
    patience(ack_timeout).mul_f64(0.9)
}

/// What became of a request, for the metrics.
type Answer = (&'static str, Response);

async fn receive(State(edge): State<Edge>, name: Result<Path<String>, PathRejection>, request: Request) -> Response {
    let started = Instant::now();
    // A name that is no text is no provider's either.
    let Some(provider) = name.ok().and_then(|Path(name)| edge.providers.get(&name).cloned()) else {
        metrics::counter!("account_opening_webhooks_total", "provider" => "unknown", "outcome" => "unknown_provider")
            .increment(1);
        return StatusCode::NOT_FOUND.into_response();
    };
    let patience = patience(edge.settings.ack_timeout);
    let answer = tokio::time::timeout(patience, handle(&edge, provider.as_ref(), request)).await;
    let (outcome, response) = answer.unwrap_or_else(|_| ("timeout", unavailable()));
    let provider = provider.name();
    metrics::counter!("account_opening_webhooks_total", "provider" => provider, "outcome" => outcome).increment(1);
    metrics::histogram!("account_opening_webhook_ack_seconds").record(started.elapsed());
    tracing::debug!(provider, outcome, http.status = response.status().as_u16(), "webhook");
    response
}

async fn handle(edge: &Edge, provider: &dyn Provider, request: Request) -> Answer {
    // Judged as it arrives, however long its body takes.
    let received_at = edge.clock.now();
    let (head, body) = request.into_parts();
    if head.method != Method::POST {
        let allow = [("allow", "POST")];
        return ("method", (StatusCode::METHOD_NOT_ALLOWED, allow).into_response());
    }
    let body = match read(&head.headers, body, edge.settings.webhook_max_bytes).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    if !is_json(&head.headers) {
        return ("content_type", StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response());
    }
    let path = head.uri.path().to_owned();
    let incoming = Incoming { method: &head.method, path: &path, headers: &head.headers, body: &body, received_at };
    let verified = match provider.verify(&incoming) {
        Ok(verified) => verified,
        Err(error) => {
            tracing::warn!(provider = provider.name(), %error, bytes = body.len(), "webhook refused");
            return (refused(error), StatusCode::UNAUTHORIZED.into_response());
        }
    };
    let headers = Headers::kept(&head.headers);
    let parsed = provider.parse(&headers, &body);
    if let Parsed::Unreadable(cause) = &parsed {
        tracing::warn!(provider = provider.name(), cause, "a signed webhook cannot be read; kept as a dead letter");
    }
    let ack = provider.ack(&incoming);
    let message = Message {
        source: Source::Webhook,
        provider: provider.name().to_owned(),
        event_id: verified.event_id,
        headers,
        body: body.clone(),
        received_at,
        parsed,
    };
    let outcome = match edge.ingest.receive(message.clone()).await {
        Ok(receipt) => outcome(receipt, &message.parsed),
        Err(error) => {
            tracing::warn!(provider = provider.name(), %error, "webhook not taken");
            return ("unavailable", unavailable());
        }
    };
    (outcome, (ack.status, ack.headers, ack.body).into_response())
}

/// Reads the body, unless it says or shows that it is too large, or does not come.
async fn read(headers: &HeaderMap, body: Body, most: usize) -> Result<Vec<u8>, Answer> {
    let too_large = || ("too_large", StatusCode::PAYLOAD_TOO_LARGE.into_response());
    let declared = headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()).and_then(|it| it.parse::<u64>().ok());
    if declared.is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    to_bytes(body, most).await.map(Into::into).map_err(|error| match &error {
        error if body::is_too_large(error) => too_large(),
        error if body::is_too_slow(error) => ("too_slow", body::closing(StatusCode::REQUEST_TIMEOUT.into_response())),
        _ => ("broken_off", StatusCode::BAD_REQUEST.into_response()),
    })
}

/// JSON by its type, or no type at all.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return true };
    let Ok(text) = value.to_str() else { return false };
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

const fn refused(error: VerifyError) -> &'static str {
    match error {
        VerifyError::Missing => "signature_missing",
        VerifyError::Wrong => "signature_wrong",
        VerifyError::Stale => "signature_stale",
    }
}

fn outcome(receipt: Receipt, parsed: &Parsed) -> &'static str {
    match (receipt, parsed) {
        (Receipt::BurstDuplicate, _) => "burst_duplicate",
        (Receipt::Nothing, _) => "handshake",
        (Receipt::Stored(Stored::Duplicate), _) => "duplicate",
        (Receipt::Stored(Stored::Conflict), _) => "conflict",
        (Receipt::Stored(Stored::New), Parsed::Unreadable(_)) => "unreadable",
        (Receipt::Stored(Stored::New), Parsed::Ignored(_)) => "ignored",
        (Receipt::Stored(Stored::New), _) => "accepted",
    }
}

fn unavailable() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, HeaderValue::from_static("2"))]).into_response()
}
