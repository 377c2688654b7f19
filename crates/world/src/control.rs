//! Control of a simulator in another process, for `curl`: everything under `/_sim/`, without a key.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::calls::refusal;
use super::endpoint::{Api, Endpoint};
use super::plan::{Fault, Plan, Verdict};
use super::snapshot::{AccountRequest, Counts, LedgerSnapshot};
use super::webhooks::RawWebhook;
use super::world::World;
use super::{DecideError, acts, tracker};

pub(super) fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/_sim/ledger", get(ledger))
        .route("/_sim/ledger/{reference}", get(opening))
        .route("/_sim/counts", get(counts))
        .route("/_sim/decide", post(decide))
        .route("/_sim/outage", post(outage))
        .route("/_sim/plan", post(plan))
        .route("/_sim/fail", post(fail))
        .route("/_sim/revoke-tokens", post(revoke_tokens))
        .route("/_sim/issues", get(tracker::shown))
        .route("/_sim/webhook", post(webhook))
        .route("/_sim/deliver-to", post(deliver_to))
}

async fn ledger(State(world): State<Arc<World>>) -> Json<LedgerSnapshot> {
    Json(world.ledger().snapshot())
}

async fn opening(State(world): State<Arc<World>>, Path(reference): Path<String>) -> Response {
    match world.ledger().opening(&reference) {
        Some(opening) => Json(opening).into_response(),
        None => refuse(StatusCode::NOT_FOUND, "not_found", &DecideError::Unknown.to_string()),
    }
}

async fn counts(State(world): State<Arc<World>>) -> Json<Counts> {
    Json(world.ledger().counts)
}

/// `{"reference":"…","verdict":{"complete":{}}}` or `{"reject":{"reason":"…"}}`; the reference is the opening's or the bank's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToDecide {
    reference: String,
    verdict: Verdict,
}

async fn decide(State(world): State<Arc<World>>, Json(act): Json<ToDecide>) -> Result<Json<AccountRequest>, Response> {
    match acts::decide(&world, &act.reference, &act.verdict) {
        Ok(decided) => Ok(Json(decided.request)),
        Err(error @ DecideError::Unknown) => Err(refuse(StatusCode::NOT_FOUND, "not_found", &error.to_string())),
        Err(error @ DecideError::Decided) => Err(refuse(StatusCode::CONFLICT, "decided", &error.to_string())),
    }
}

/// `{"api":"bank","fault":{"error_before":{"status":503}}}`; `"fault":null` ends it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outage {
    api: Api,
    fault: Option<Fault>,
}

async fn outage(State(world): State<Arc<World>>, Json(act): Json<Outage>) -> StatusCode {
    acts::outage(&world, act.api, act.fault);
    StatusCode::NO_CONTENT
}

/// `{"customer_reference":"cus_1","plan":{"decision":"by_hand","submit":["hang_after"]}}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    customer_reference: String,
    plan: Plan,
}

async fn plan(State(world): State<Arc<World>>, Json(act): Json<Script>) -> StatusCode {
    world.ledger().set_plan(act.customer_reference, act.plan);
    StatusCode::NO_CONTENT
}

/// `{"endpoint":"create_issue","faults":["hang_after"]}`: of the ticket tracker.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Failures {
    endpoint: Endpoint,
    faults: Vec<Fault>,
}

async fn fail(State(world): State<Arc<World>>, Json(act): Json<Failures>) -> StatusCode {
    world.ledger().tracker.fail_next(act.endpoint, act.faults);
    StatusCode::NO_CONTENT
}

/// The next call with any access token is answered 401.
async fn revoke_tokens(State(world): State<Arc<World>>) -> StatusCode {
    world.tokens().revoke();
    StatusCode::NO_CONTENT
}

async fn webhook(State(world): State<Arc<World>>, Json(webhook): Json<RawWebhook>) -> Response {
    match world.send(&webhook).await {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => refuse(StatusCode::BAD_GATEWAY, "not_sent", &error.to_string()),
    }
}

/// `{"url":"http://127.0.0.1:8080/webhooks/…"}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeliverTo {
    url: String,
}

async fn deliver_to(State(world): State<Arc<World>>, Json(act): Json<DeliverTo>) -> Response {
    world.sender.deliver_to(act.url.clone());
    Json(json!({ "url": act.url })).into_response()
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    let (status, body) = refusal(status, code, message);
    (status, Json(body)).into_response()
}
