//! A subscriber: accepts signed events and records each.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use serde::Deserialize;

use super::calls;
use super::signature::{ID, SIGNATURE, TIMESTAMP};
use super::world::World;
use crate::files::now;
use crate::record::{Fault, Seen};

/// Maximum difference between signed time and ours, in seconds.
const TOLERANCE: i64 = 300;

#[derive(Deserialize)]
struct CloudEvent {
    id: String,
}

pub fn router() -> Router<Arc<World>> {
    Router::new().route("/events", routing::post(receive))
}

/// Only faults that are no acknowledgement are applied, because the event is recorded before: garbage with a 200 and a
/// compressed answer would acknowledge it.
async fn receive(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    let refuses = [Fault::ProviderError, Fault::ProviderHang, Fault::ProviderThrottle];
    let met = world.faults.meet().filter(|it| refuses.contains(&it.fault));
    if let Some(met) = met {
        calls::suffered(&world, "event", met.fault);
        return world.faults.suffer(met.fault).await;
    }
    let text = |name| headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let (id, timestamp) = (text(ID), text(TIMESTAMP));
    let in_time = timestamp.parse().is_ok_and(|it: i64| (now() / 1_000_000 - it).abs() <= TOLERANCE);
    if !in_time || !world.event_secret.verifies(id.as_bytes(), timestamp.as_bytes(), &body, text(SIGNATURE)) {
        world.state().counts.badly_signed += 1;
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Ok(event) = serde_json::from_slice::<CloudEvent>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    world.state().counts.delivered += 1;
    world.history.record(&Seen::Delivered { at: now(), webhook_id: id.to_owned(), event: event.id });
    StatusCode::NO_CONTENT.into_response()
}
