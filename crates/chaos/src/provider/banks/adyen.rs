//! Adyen: the account number comes with the answer, and a balance account has one: a repeat is refused with 422.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Router, routing};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::bank::{Order, take_in};
use super::super::script::Ending;
use super::super::world::{Answer, Request, Word, World};
use super::super::{calls, life};
use super::{asked, of_opening, refused, stamp, submitted, text};

pub fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/bcl/v2/paymentInstruments", routing::post(submit))
        .route("/bcl/v2/paymentInstruments/{id}", routing::get(look_up))
        .route("/bcl/v2/balanceAccounts/{id}/paymentInstruments", routing::get(list))
}

fn error(status: StatusCode, code: &str) -> Answer {
    let kind = "https://docs.adyen.com/errors/general/invalid-field-value";
    (status, json!({"type": kind, "title": code, "status": status.as_u16(), "detail": "for people", "errorCode": code}))
}

async fn submit(State(world): State<Arc<World>>, body: Bytes) -> Response {
    let Some((terms, owner)) = asked(&world, &body, "balanceAccountId") else {
        let (status, body) = error(StatusCode::UNPROCESSABLE_ENTITY, "30_111");
        return refused(status, body);
    };
    submitted(world, async move |world| {
        if of_opening(&world.state().requests, &owner.reference).next().is_some() {
            return Ok(error(StatusCode::UNPROCESSABLE_ENTITY, "30_031"));
        }
        let profile_id = text(&terms, "balanceAccountId").to_owned();
        let at = take_in(&world, Order { profile_id, terms, key: owner.reference.clone(), owner }).await?;
        if world.state().requests[at].ending == Ending::Completed {
            life::decide(&world, at).await;
        }
        Ok((StatusCode::OK, stands(&world.state().requests[at])))
    })
    .await
}

async fn look_up(State(world): State<Arc<World>>, Path(id): Path<String>) -> Response {
    let at_bank = Arc::clone(&world);
    calls::take(world, "lookup", async move {
        let state = at_bank.state();
        let found = state.by_id.get(&id).and_then(|at| state.requests.get(*at)).map(stands);
        found.map_or_else(|| error(StatusCode::NOT_FOUND, "30_011"), |it| (StatusCode::OK, it))
    })
    .await
}

#[derive(Deserialize)]
struct Page {
    offset: Option<usize>,
    limit: Option<usize>,
}

async fn list(State(world): State<Arc<World>>, Path(id): Path<String>, Query(page): Query<Page>) -> Response {
    let at_bank = Arc::clone(&world);
    calls::take(world, "list", async move {
        let state = at_bank.state();
        let mut all = state.requests.iter().filter(|it| it.profile_id == id).skip(page.offset.unwrap_or(0));
        let items: Vec<Value> = all.by_ref().take(page.limit.unwrap_or(10)).map(stands).collect();
        let has_next = all.next().is_some();
        (StatusCode::OK, json!({"hasNext": has_next, "hasPrevious": false, "paymentInstruments": items}))
    })
    .await
}

fn instrument(word: &Word, balance_account: &str) -> Value {
    let status = match word.status {
        "INITIATED" | "IN_PROGRESS" => "inactive",
        "COMPLETED" => "active",
        "REJECTED" => "closed",
        _ => "suspended",
    };
    json!({
        "id": word.tracking_id,
        "type": "bankAccount",
        "balanceAccountId": balance_account,
        "issuingCountryCode": word.market,
        "reference": word.reference,
        "status": status,
        "statusReason": word.rejection_reason,
        "bankAccount": word.iban.as_ref().map(|iban| json!({"type": "iban", "iban": iban})),
    })
}

fn stands(request: &Request) -> Value {
    instrument(&request.word, &request.profile_id)
}

pub fn message(word: &Word) -> Value {
    json!({
        "data": {"balancePlatform": "CHAOS", "paymentInstrument": instrument(word, "for people")},
        "environment": "test",
        "timestamp": stamp(),
        "type": "balancePlatform.paymentInstrument.updated",
    })
}
