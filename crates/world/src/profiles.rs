//! The simulated profile service.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use serde::Deserialize;

use super::calls::{self, Asking};
use super::endpoint::Endpoint;
use super::world::World;

pub(super) fn router() -> Router<Arc<World>> {
    Router::new().route("/v1/profiles", post(create))
}

/// The fields that identify the profile's owner; all others are ignored.
#[derive(Deserialize)]
struct Profile {
    #[serde(alias = "opening_id")]
    reference: String,
    customer: Option<Customer>,
}

#[derive(Deserialize)]
struct Customer {
    reference: Option<String>,
}

async fn create(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    let taken = calls::read::<Profile>(&world, &body).and_then(|(profile, body)| {
        let asking = Asking {
            endpoint: Endpoint::CreateProfile,
            reference: &profile.reference,
            customer_reference: profile.customer.as_ref().and_then(|customer| customer.reference.as_deref()),
            headers: &headers,
            body: &body,
        };
        calls::take(&world, &asking, |ledger| calls::created("profile_id", ledger.make_profile(&profile.reference)))
    });
    calls::reply(&world, taken).await
}
