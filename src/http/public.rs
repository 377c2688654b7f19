//! The public listener: webhooks.
//!
//! A request is checked in a fixed order: provider, method, size, type, signature. Nothing is parsed before the
//! signature of the raw bytes is verified, and the answer follows the commit. Business logic runs after the answer.
//! Refused requests are stored ([`crate::refused_webhooks`]), which changes neither order nor answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_LENGTH, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use tower_http::catch_panic::CatchPanicLayer;

use super::{AppState, body, health};
use crate::clock::Time;
use crate::db::inbox::Stored;
use crate::db::refused_webhooks::Cause;
use crate::inbox::{Message, Receipt};
use crate::provider::{Ack, Incoming, Parsed, Provider, Verified, VerifyError};
use crate::refused_webhooks;
use crate::telemetry::metrics;

/// The part of `ACK_TIMEOUT` reserved for sending the answer.
const ANSWER_TRAVELS: Duration = Duration::from_millis(250);

/// How long a refusal waits until its request is stored; it is sent in any case.
const KEPT_WITHIN: Duration = Duration::from_millis(250);
/// Time limit for the body of a request to an unknown provider: most arrive with their head.
const UNKNOWN_BODY: Duration = Duration::from_millis(500);

/// The routes of the public listener.
pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/webhooks/{provider}", any(receive))
        .route("/livez", get(health::live).post(unknown_provider))
        .fallback(unknown_provider)
        .with_state(Arc::new(state))
        // Without it a panic would close the connection without an answer. Providers retry after a 500.
        .layer(CatchPanicLayer::custom(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()))
}

/// Time until a request must be answered.
fn patience(ack_timeout: Duration) -> Duration {
    ack_timeout.saturating_sub(ANSWER_TRAVELS).max(ack_timeout / 2)
}

/// Time limit for a body; a slower one leaves no time to store it. Shorter than the limit of the whole request, so that
/// a slow client gets 408 instead of 503.
#[must_use]
pub fn body_within(ack_timeout: Duration) -> Duration {
    patience(ack_timeout).mul_f64(0.9)
}

/// The outcome of a request for metrics, and its answer.
type Answer = (&'static str, Response);

/// The reply to a request.
enum Reply {
    /// An answer; nothing else to do.
    Answer(Answer),
    /// A refusal; the request is stored first.
    Refused(Answer, Box<Refused>),
}

/// A refused request, as it is stored.
struct Refused {
    cause: Cause,
    head: Parts,
    body: Option<Vec<u8>>,
    received_at: Time,
}

async fn receive(
    State(state): State<Arc<AppState>>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let started = Instant::now();
    // A name that is not text is unknown, too.
    let Some(provider) = name.ok().and_then(|Path(name)| state.outside.providers.get(&name).cloned()) else {
        return unknown_provider(State(state), request).await;
    };
    let patience = patience(state.settings.ack_timeout);
    let told = tokio::time::timeout(patience, handle(&state, provider.as_ref(), request)).await;
    let (outcome, response) = match told {
        Ok(Reply::Answer(answer)) => answer,
        Ok(Reply::Refused(answer, refused)) => {
            keep(&state, Some(provider.as_ref()), *refused, patience.saturating_sub(started.elapsed())).await;
            answer
        }
        Err(_) => ("timeout", unavailable()),
    };
    let provider = provider.name();
    metrics::webhook(provider, outcome);
    metrics::webhook_answered(started.elapsed());
    tracing::debug!(provider, outcome, http.status = response.status().as_u16(), "webhook");
    response
}

/// Answers a request to an unknown provider. A misconfigured provider sends real webhooks there, so a POST is stored;
/// other methods are no webhooks.
async fn unknown_provider(State(state): State<Arc<AppState>>, request: Request) -> Response {
    let (provider, outcome) = ("unknown", Cause::UnknownProvider.as_str());
    metrics::webhook(provider, outcome);
    tracing::debug!(provider, outcome, http.status = StatusCode::NOT_FOUND.as_u16(), "webhook");
    if request.method() == Method::POST {
        keep_unaddressed(&state, request).await;
    }
    StatusCode::NOT_FOUND.into_response()
}

/// Stores such a POST, with its body if that arrives quickly. If the path ends in a provider's name, it is stored for
/// that provider and can be verified again.
async fn keep_unaddressed(state: &AppState, request: Request) {
    let (started, received_at) = (Instant::now(), state.shell.clock.now());
    let (head, body) = request.into_parts();
    let within = UNKNOWN_BODY.min(body_within(state.settings.ack_timeout));
    let read = tokio::time::timeout(within, read(&head.headers, body, state.settings.webhook_max_bytes)).await;
    let body = read.ok().and_then(Result::ok);
    let left = patience(state.settings.ack_timeout).saturating_sub(started.elapsed());
    let provider = state.outside.providers.get(refused_webhooks::addressee(head.uri.path())).map(AsRef::as_ref);
    keep(state, provider, Refused { cause: Cause::UnknownProvider, head, body, received_at }, left).await;
}

/// Stores a refused request. The refusal waits for it only briefly, and not beyond `left`.
async fn keep(state: &AppState, provider: Option<&dyn Provider>, refused: Refused, left: Duration) {
    let Refused { cause, head, body, received_at } = refused;
    let refused = refused_webhooks::Refused { cause, provider, head: &head, body, received_at };
    state.refused_webhooks.keep(refused, KEPT_WITHIN.min(left)).await;
}

async fn handle(state: &AppState, provider: &dyn Provider, request: Request) -> Reply {
    // The signed time is compared with the arrival, however long the body takes.
    let received_at = state.shell.clock.now();
    let (head, body) = request.into_parts();
    if head.method != Method::POST {
        let allow = [("allow", "POST")];
        return Reply::Answer(("method", (StatusCode::METHOD_NOT_ALLOWED, allow).into_response()));
    }
    let refuse = |cause: Cause, status: StatusCode, head, body| {
        Reply::Refused((cause.as_str(), status.into_response()), Box::new(Refused { cause, head, body, received_at }))
    };
    let body = match read(&head.headers, body, state.settings.webhook_max_bytes).await {
        Ok(body) => body,
        Err(Unread::TooLarge) => return refuse(Cause::TooLarge, StatusCode::PAYLOAD_TOO_LARGE, head, None),
        Err(Unread::TooSlow) => {
            return Reply::Answer(("too_slow", body::closing(StatusCode::REQUEST_TIMEOUT.into_response())));
        }
        Err(Unread::BrokenOff) => return Reply::Answer(("broken_off", StatusCode::BAD_REQUEST.into_response())),
    };
    let path = head.uri.path().to_owned();
    let incoming = Incoming { method: &head.method, path: &path, headers: &head.headers, body: &body, received_at };
    if provider.is_handshake(&incoming) {
        return Reply::Answer(("handshake", answer_with(provider.ack(&incoming))));
    }
    if !body::may_be_json(&head.headers) {
        return refuse(Cause::ContentType, StatusCode::UNSUPPORTED_MEDIA_TYPE, head, Some(body));
    }
    match provider.verify(&incoming) {
        Ok(verified) => Reply::Answer(take(state, provider, &incoming, verified).await),
        Err(error) => {
            tracing::warn!(provider = provider.name(), %error, bytes = body.len(), "webhook refused");
            refuse(cause(error), StatusCode::UNAUTHORIZED, head, Some(body))
        }
    }
}

/// Stores a verified message.
async fn take(state: &AppState, provider: &dyn Provider, incoming: &Incoming<'_>, verified: Verified) -> Answer {
    state.secret_uses.count(provider, verified.secret, incoming.received_at);
    let message = Message::read(provider, incoming, verified);
    let if_new = match &message.parsed {
        Parsed::Unreadable(cause) => {
            tracing::warn!(
                provider = provider.name(),
                cause,
                "a signed webhook is unreadable; stored as a dead letter"
            );
            "unreadable"
        }
        Parsed::Ignored(_) => "ignored",
        Parsed::Reports(_) | Parsed::Handshake => "accepted",
    };
    let ack = provider.ack(incoming);
    match state.ingest.receive(message).await {
        Ok(receipt) => (outcome(receipt, if_new), answer_with(ack)),
        Err(error) => {
            tracing::warn!(provider = provider.name(), %error, "webhook not stored; answered 503");
            ("unavailable", unavailable())
        }
    }
}

fn answer_with(Ack { status, headers, body }: Ack) -> Response {
    (status, headers, body).into_response()
}

/// Why the body could not be read.
enum Unread {
    TooLarge,
    TooSlow,
    BrokenOff,
}

/// Reads the body, unless it is announced or found too large, or does not arrive.
async fn read(headers: &HeaderMap, body: Body, most: usize) -> Result<Vec<u8>, Unread> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()).and_then(|it| it.parse::<u64>().ok());
    if declared.is_some_and(|length| length > most as u64) {
        return Err(Unread::TooLarge);
    }
    to_bytes(body, most).await.map(Into::into).map_err(|error| match &error {
        error if body::is_too_large(error) => Unread::TooLarge,
        error if body::is_too_slow(error) => Unread::TooSlow,
        _ => Unread::BrokenOff,
    })
}

const fn cause(error: VerifyError) -> Cause {
    match error {
        VerifyError::Missing => Cause::SignatureMissing,
        VerifyError::Wrong => Cause::SignatureWrong,
        VerifyError::Stale => Cause::SignatureStale,
    }
}

const fn outcome(receipt: Receipt, if_new: &'static str) -> &'static str {
    match receipt {
        Receipt::BurstDuplicate => "burst_duplicate",
        Receipt::Nothing => "handshake",
        Receipt::Stored(Stored::Duplicate | Stored::Repeat) => "duplicate",
        Receipt::Stored(Stored::Conflict) => "conflict",
        Receipt::Stored(Stored::New) => if_new,
    }
}

fn unavailable() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, HeaderValue::from_static("2"))]).into_response()
}
