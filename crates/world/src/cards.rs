//! The simulated card issuer.

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
    Router::new().route("/v1/virtual-cards", post(issue))
}

#[derive(Deserialize)]
struct NewCard {
    opening_id: String,
    iban: String,
    profile_id: String,
}

async fn issue(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    let taken = calls::read::<NewCard>(&world, &body).and_then(|(card, body)| {
        let asking = Asking {
            endpoint: Endpoint::IssueCard,
            reference: &card.opening_id,
            customer_reference: None,
            headers: &headers,
            body: &body,
        };
        calls::take(&world, &asking, |ledger| {
            calls::created("card_id", ledger.make_card(&card.opening_id, card.iban.clone(), card.profile_id.clone()))
        })
    });
    calls::reply(&world, taken).await
}
