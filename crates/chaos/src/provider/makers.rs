//! The profile service and the card issuer.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use serde::Deserialize;
use serde_json::json;

use super::world::{Answer, Owner, World};
use super::{calls, mint};
use crate::files::now;
use crate::record::Did;

#[derive(Deserialize)]
struct Profile {
    reference: String,
    market: String,
    customer_type: String,
    customer: Customer,
}

#[derive(Deserialize)]
struct Customer {
    reference: String,
}

#[derive(Deserialize)]
struct Card {
    opening_id: String,
    iban: String,
    profile_id: String,
}

pub fn router() -> Router<Arc<World>> {
    Router::new().route("/v1/profiles", routing::post(profile)).route("/v1/virtual-cards", routing::post(card))
}

async fn profile(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    let asked = match calls::read::<Profile>(&headers, &body) {
        Ok(asked) => asked,
        Err((status, why)) => return (status, Json(why)).into_response(),
    };
    let maker = Arc::clone(&world);
    calls::take(world, "profile", async move {
        let make = make_profile(&maker, &asked.key, asked.body);
        maker.once("profile", &asked.key, asked.digest, make).await
    })
    .await
}

async fn make_profile(world: &World, key: &str, asked: Profile) -> std::io::Result<Answer> {
    let (profile_id, _) = world.name("prf", &asked.reference);
    let answer = json!({ "profile_id": profile_id });
    let owner = Owner {
        reference: asked.reference.clone(),
        opening: mint::number(&asked.customer.reference),
        market: asked.market,
        customer_type: asked.customer_type,
    };
    let id = profile_id.clone();
    let made = Did::Profile { at: now(), reference: asked.reference, key: key.to_owned(), profile_id };
    world.ledger.record_durably(&made).await?;
    let mut state = world.state();
    state.counts.profiles += 1;
    state.owners.insert(id, owner);
    Ok((StatusCode::CREATED, answer))
}

async fn card(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    let asked = match calls::read::<Card>(&headers, &body) {
        Ok(asked) => asked,
        Err((status, why)) => return (status, Json(why)).into_response(),
    };
    let issuer = Arc::clone(&world);
    calls::take(world, "card", async move {
        let make = issue_card(&issuer, &asked.key, asked.body);
        issuer.once("card", &asked.key, asked.digest, make).await
    })
    .await
}

async fn issue_card(world: &World, key: &str, asked: Card) -> std::io::Result<Answer> {
    let (card_id, _) = world.name("crd", &asked.opening_id);
    let answer = json!({ "card_id": card_id });
    let made = Did::Card {
        at: now(),
        reference: asked.opening_id,
        key: key.to_owned(),
        card_id,
        iban: asked.iban,
        profile_id: asked.profile_id,
    };
    world.ledger.record_durably(&made).await?;
    world.state().counts.cards += 1;
    Ok((StatusCode::CREATED, answer))
}
