//! Adyen's balance platform: the account number comes with the answer. A balance account has one number, so a repeat is refused
//! with 422, also under another key.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Bank, CLIENT_SECRET, HMAC_KEY, News, Order, read, refuse, reply, shown, text};
use crate::ledger::{Answer, Ledger};
use crate::life;
use crate::plan::{Decision, Plan, Verdict};
use crate::snapshot::{AccountRequest, Status};
use crate::world::World;

const BANK: Bank = Bank::Adyen;

pub(super) const MARKETS: &[(&str, &str)] = &[("NL", "EUR"), ("DE", "EUR"), ("FR", "EUR")];

pub(super) fn settings(base_url: &str) -> Vec<(&'static str, String)> {
    vec![
        ("ADYEN_BASE_URL", format!("{base_url}/bcl/v2")),
        ("ADYEN_API_KEY", CLIENT_SECRET.to_owned()),
        ("ADYEN_HMAC_KEYS", HMAC_KEY.to_owned()),
        ("ADYEN_BICS", "NL=ADYBNL2A,DE=ADYBDEB2,FR=ADYBFRPP".to_owned()),
        ("ADYEN_ENVIRONMENT", "test".to_owned()),
    ]
}

pub(crate) fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/bcl/v2/paymentInstruments", post(submit))
        .route("/bcl/v2/paymentInstruments/{id}", get(look_up))
        .route("/bcl/v2/balanceAccounts/{id}/paymentInstruments", get(list))
}

fn refusal(world: &World, headers: &HeaderMap) -> Option<Answer> {
    let is_known = headers.get("x-api-key").is_some_and(|it| it.as_bytes() == CLIENT_SECRET.as_bytes());
    if !is_known {
        world.ledger().counts.calls_unauthorized += 1;
    }
    (!is_known).then(|| BANK.error(StatusCode::UNAUTHORIZED, "00_401", "the API key is wrong"))
}

async fn submit(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(refusal) = refusal(&world, &headers) {
        return reply(&world, Err(refusal)).await;
    }
    let key = headers.get("idempotency-key").and_then(|it| it.to_str().ok());
    let mut made = None;
    let taken = order(&world, &body).map(|order| {
        let reference = order.reference.clone();
        BANK.submitted(&world, (&reference, key), |ledger| {
            if !ledger.by_reference(&reference).is_empty() {
                let message = "the balance account already has a business account number";
                return BANK.error(StatusCode::UNPROCESSABLE_ENTITY, "30_031", message);
            }
            let now = world.clock.now();
            made = ledger.make_order(order, now);
            if let Some((at, verdict)) = made.and_then(|at| Some((at, at_once(&ledger.plan(at)?)?))) {
                ledger.decide(at, &verdict, now);
            }
            (StatusCode::OK, made.map_or(Value::Null, |at| answer_about(ledger, at)))
        })
    });
    if let Some(at) = made {
        life::begin_decided(&world, at);
    }
    reply(&world, taken).await
}

/// An account number is there with the answer; only a refusal, and what a person decides, comes later.
fn at_once(plan: &Plan) -> Option<Verdict> {
    match &plan.decision {
        Decision::By(verdict @ Verdict::Complete { .. }) => Some(verdict.clone()),
        _ => None,
    }
}

fn order(world: &World, body: &[u8]) -> Result<Order, Answer> {
    let terms = read(BANK, world, body)?;
    let (reference, market) = (text(&terms, "reference").to_owned(), text(&terms, "issuingCountryCode").to_owned());
    let profile_id = text(&terms, "balanceAccountId").to_owned();
    if text(&terms, "type") != "bankAccount" || profile_id.is_empty() || market.len() != 2 {
        return Err(refuse(BANK, world, "30_002", "type, balanceAccountId and issuingCountryCode are required"));
    }
    let owner = world.ledger().of_profile(&profile_id);
    let owner = owner.ok_or_else(|| refuse(BANK, world, "30_111", "the balance account is unknown"))?;
    let reference = if reference.is_empty() { owner } else { reference };
    let order = Order { bank: BANK, reference, market, profile_id, terms, ..Order::default() };
    Ok(Order { currency: "EUR".to_owned(), customer_type: "company".to_owned(), ..order })
}

const fn word(status: Status) -> &'static str {
    match status {
        Status::Initiated | Status::InProgress => "inactive",
        Status::OnHold => "suspended",
        Status::Completed => "active",
        Status::Rejected => "closed",
    }
}

fn instrument(request: &AccountRequest, order: &Order, status: Status) -> Value {
    json!({
        "id": request.account_opening_request_id,
        "type": "bankAccount",
        "balanceAccountId": order.profile_id,
        "issuingCountryCode": order.market,
        "reference": order.reference,
        "status": word(status),
        "statusReason": request.rejection_reason,
        "bankAccount": request.iban.as_ref().map(|iban| json!({"formFactor": "physical", "type": "iban", "iban": iban})),
    })
}

fn answer_about(ledger: &Ledger, at: usize) -> Value {
    let (Some(request), Some(order)) = (ledger.request(at), ledger.order(at)) else { return Value::Null };
    let request = shown(ledger, request);
    instrument(&request, order, request.status)
}

async fn look_up(State(world): State<Arc<World>>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    if let Some(refusal) = refusal(&world, &headers) {
        return reply(&world, Err(refusal)).await;
    }
    let found = {
        let ledger = world.ledger();
        let at = ledger.by_id(&id).filter(|at| ledger.order(*at).is_some_and(|it| it.bank == BANK));
        at.and_then(|at| Some((ledger.request(at)?.reference.clone(), answer_about(&ledger, at))))
    };
    let taken = match found {
        Some((reference, answer)) => Ok(BANK.looked_up(&world, &reference, (StatusCode::OK, answer))),
        None => Err(BANK.error(StatusCode::NOT_FOUND, "30_011", "no such payment instrument")),
    };
    reply(&world, taken).await
}

#[derive(Deserialize)]
struct Pages {
    offset: Option<usize>,
    limit: Option<usize>,
}

async fn list(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(pages): Query<Pages>,
) -> Response {
    if let Some(refusal) = refusal(&world, &headers) {
        return reply(&world, Err(refusal)).await;
    }
    let (offset, limit) = (pages.offset.unwrap_or(0), pages.limit.unwrap_or(10).clamp(1, 100));
    let answer = {
        let ledger = world.ledger();
        let is_of = |at: &usize| ledger.order(*at).is_some_and(|it| it.profile_id == id);
        let all: Vec<usize> = ledger.orders_of(BANK).filter(is_of).collect();
        let items: Vec<Value> = all.iter().skip(offset).take(limit).map(|at| answer_about(&ledger, *at)).collect();
        let has_next = offset + limit < all.len();
        (StatusCode::OK, json!({"hasNext": has_next, "hasPrevious": offset > 0, "paymentInstruments": items}))
    };
    let taken = BANK.listed(&world, answer);
    reply(&world, Ok(taken)).await
}

/// An event.
pub(crate) fn news(request: &AccountRequest, order: &Order, status: Status) -> News {
    let body = json!({
        "data": {"balancePlatform": "WORLD", "paymentInstrument": instrument(request, order, status)},
        "environment": "test",
        "timestamp": request.updated_at,
        "type": "balancePlatform.paymentInstrument.updated",
    });
    News { body: crate::calls::written(&body), headers: Vec::new() }
}
