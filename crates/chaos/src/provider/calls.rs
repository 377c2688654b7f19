//! The path of every call from the service: apply its fault, execute it, answer after a moment. A call is executed
//! completely even if the caller hangs up.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use rand::RngExt;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::wire;
use super::world::{Answer, World};
use crate::files::now;
use crate::record::{Did, Fault};

/// A request for an effect: its key and its body.
pub struct Asked<T> {
    pub key: String,
    pub digest: [u8; 32],
    pub body: T,
}

/// Parses a request for an effect.
pub fn read<T: serde::de::DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<Asked<T>, Answer> {
    let key = headers.get("idempotency-key").and_then(|it| it.to_str().ok()).filter(|it| !it.is_empty());
    let key = key.ok_or_else(|| refusal(StatusCode::BAD_REQUEST, "missing_idempotency_key"))?.to_owned();
    let digest = Sha256::digest(body).into();
    let body = serde_json::from_slice(body).map_err(|_| refusal(StatusCode::UNPROCESSABLE_ENTITY, "invalid"))?;
    Ok(Asked { key, digest, body })
}

pub fn refusal(status: StatusCode, code: &str) -> Answer {
    (status, json!({ "code": code, "message": code }))
}

/// Takes a call of an endpoint.
pub async fn take<F>(world: Arc<World>, endpoint: &'static str, work: F) -> Response
where
    F: Future<Output = Answer> + Send + 'static,
{
    let task = tokio::spawn(async move {
        let Some(met) = world.faults.meet() else { return on_time(&world, work, false).await };
        suffered(&world, endpoint, met.fault);
        if met.fault == Fault::ProviderGzip {
            return on_time(&world, work, true).await;
        }
        if met.after_effect {
            work.await;
        }
        world.faults.suffer(met.fault).await
    });
    task.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn on_time(world: &World, work: impl Future<Output = Answer>, compressed: bool) -> Response {
    let half = Duration::from_micros(world.state().rng.random_range(2_500..15_000));
    tokio::time::sleep(half).await;
    let (status, body) = work.await;
    tokio::time::sleep(half).await;
    wire::answer(status, &body, compressed)
}

/// Records that a call met a fault.
pub fn suffered(world: &World, endpoint: &'static str, fault: Fault) {
    world.state().counts.suffered += 1;
    world.ledger.record(&Did::Suffered { at: now(), endpoint: endpoint.to_owned(), fault });
}
