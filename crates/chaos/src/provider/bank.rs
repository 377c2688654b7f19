//! The bank: takes account requests, and says how they stand.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::calls::{self, refusal};
use super::world::{Answer, Owner, Request, Word, World};
use super::{life, mint};
use crate::files::now;
use crate::record::Did;

#[derive(Deserialize)]
struct Submission {
    reference: String,
    market: String,
    customer_type: String,
    currency: String,
    profile_id: String,
    customer: Customer,
}

#[derive(Deserialize)]
struct Customer {
    reference: String,
}

#[derive(Deserialize)]
struct Filter {
    reference: Option<String>,
    updated_since: Option<DateTime<Utc>>,
    /// The place of the last request that was shown: when it changed, and its number.
    cursor: Option<String>,
}

/// The most requests on a page.
const PAGE: usize = 50;

pub fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/v1/account-opening-requests", routing::post(submit).get(list))
        .route("/v1/account-opening-requests/{id}", routing::get(look_up))
}

async fn submit(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    let asked = match calls::read::<Submission>(&headers, &body) {
        Ok(asked) => asked,
        Err((status, why)) => return (status, Json(why)).into_response(),
    };
    let at_bank = Arc::clone(&world);
    calls::take(world, "submit", async move {
        let make = accept(&at_bank, &asked.key, asked.body);
        at_bank.once("submit", &asked.key, asked.digest, make).await
    })
    .await
}

async fn accept(world: &Arc<World>, key: &str, asked: Submission) -> std::io::Result<Answer> {
    let owner = Owner {
        reference: asked.reference.clone(),
        opening: mint::number(&asked.customer.reference),
        market: asked.market,
        customer_type: asked.customer_type,
    };
    let terms = json!({"account_currency": asked.currency});
    let order = Order { key: key.to_owned(), owner, profile_id: asked.profile_id, terms };
    let at = take_in(world, order).await?;
    let tracking_id = world.state().requests[at].word.tracking_id.clone();
    let answer = json!({
        "account_opening_request_id": tracking_id, "reference": asked.reference, "status": "INITIATED",
    });
    Ok((StatusCode::ACCEPTED, answer))
}

/// A request to any bank for an account.
pub struct Order {
    /// The key that makes a repeat harmless; empty: there is none.
    pub key: String,
    pub owner: Owner,
    pub profile_id: String,
    pub terms: Value,
}

/// Takes a request: first in the ledger, then visible; its script runs from then on. Returns its place.
pub async fn take_in(world: &Arc<World>, order: Order) -> std::io::Result<usize> {
    let Order { key, owner, profile_id, terms } = order;
    let Owner { reference, opening, market, customer_type } = owner;
    let (tracking_id, place) = world.name("aor", &reference);
    let (at, profile) = (now(), profile_id.clone());
    let request = Did::Request { at, reference: reference.clone(), key, tracking_id: tracking_id.clone(), profile_id };
    world.ledger.record_durably(&request).await?;
    let script = world.scripts.of(opening);
    let said =
        Word { reference, tracking_id, market, status: "INITIATED", iban: None, bic: None, rejection_reason: None };
    let request = Request {
        word: said,
        opening,
        place,
        ending: script.ending,
        reason: script.reason,
        deciding: false,
        updated_at: at,
        created_at: at,
        decided_at: None,
        customer_type,
        currency: terms["account_currency"].as_str().unwrap_or("EUR").to_owned(),
        profile_id: profile,
        terms,
    };
    let row = world.state().insert(request);
    life::begin(world, row, script);
    Ok(row)
}

async fn look_up(State(world): State<Arc<World>>, Path(id): Path<String>) -> Response {
    let at_bank = Arc::clone(&world);
    calls::take(world, "lookup", async move {
        let state = at_bank.state();
        let found = state.by_id.get(&id).and_then(|at| state.requests.get(*at)).map(stands);
        found.map_or_else(|| refusal(StatusCode::NOT_FOUND, "not_found"), |it| (StatusCode::OK, it))
    })
    .await
}

async fn list(State(world): State<Arc<World>>, Query(filter): Query<Filter>) -> Response {
    let at_bank = Arc::clone(&world);
    calls::take(world, "list", async move {
        let state = at_bank.state();
        if let Some(reference) = filter.reference {
            let of_it = state.requests.iter().filter(|it| it.word.reference == reference);
            let items: Vec<Value> = of_it.map(stands).collect();
            return (StatusCode::OK, json!({ "items": items, "next_cursor": null }));
        }
        let after = match (&filter.cursor, filter.updated_since) {
            (Some(cursor), _) => place(cursor),
            // Before the first request of that time.
            (None, since) => since.map(|it| (it.timestamp_micros() - 1, usize::MAX)),
        };
        after.map_or_else(|| refusal(StatusCode::BAD_REQUEST, "invalid_query"), |it| page(&state.requests, it))
    })
    .await
}

/// The requests behind a place, in the order of their last change.
fn page(requests: &[Request], after: (i64, usize)) -> Answer {
    let places = requests.iter().enumerate().map(|(at, it)| (it.updated_at, at));
    let mut behind: Vec<(i64, usize)> = places.filter(|place| *place > after).collect();
    behind.sort_unstable();
    let last = behind.get(PAGE - 1).filter(|_| behind.len() > PAGE);
    let next = last.map(|(time, at)| format!("{time}-{at}"));
    let items: Vec<Value> = behind.iter().take(PAGE).map(|(_, at)| stands(&requests[*at])).collect();
    (StatusCode::OK, json!({ "items": items, "next_cursor": next }))
}

fn place(cursor: &str) -> Option<(i64, usize)> {
    let (time, at) = cursor.split_once('-')?;
    Some((time.parse().ok()?, at.parse().ok()?))
}

fn stands(request: &Request) -> Value {
    let word = &request.word;
    json!({
        "account_opening_request_id": word.tracking_id,
        "reference": word.reference,
        "status": word.status,
        "iban": word.iban,
        "bic": word.bic,
        "rejection_reason": word.rejection_reason,
        "updated_at": DateTime::from_timestamp_micros(request.updated_at),
    })
}

/// A message about a request.
pub fn message(word: &Word) -> Value {
    json!({
        "type": "account_opening_request.status_changed",
        "timestamp": DateTime::from_timestamp_micros(now()),
        "data": {
            "account_opening_request_id": word.tracking_id,
            "reference": word.reference,
            "status": word.status,
            "iban": word.iban,
            "bic": word.bic,
            "rejection_reason": word.rejection_reason,
        },
    })
}
