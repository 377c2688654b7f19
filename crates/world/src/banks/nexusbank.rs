//! NexusBank: submissions, lookups, the list, and its events. The legacy call is in `accounts`.

mod accounts;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use chrono::DateTime;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Bank, News, Order};
use crate::calls::{self, Asking, Taken, refusal, written};
use crate::endpoint::{Api, Endpoint};
use crate::ledger::{Answer, Ledger};
use crate::life;
use crate::snapshot::{AccountRequest, Call, Status};
use crate::world::World;
use clock::Time;

/// The default and maximum number of items per page.
const PAGE: usize = 100;

pub(super) fn router(world: Arc<World>) -> Router<Arc<World>> {
    Router::new()
        .route("/v1/account-opening-requests", post(submit).get(list))
        .route("/v1/account-opening-requests/{id}", get(look_up))
        .route("/v1/accounts", post(accounts::open))
        .route_layer(from_fn_with_state(world, with_api_key))
}

async fn with_api_key(State(world): State<Arc<World>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if given.and_then(|given| given.strip_prefix("Bearer ")) == Some(&*world.api_key) {
        return next.run(request).await;
    }
    world.ledger().counts.calls_unauthorized += 1;
    calls::reply(&world, Err(refusal(StatusCode::UNAUTHORIZED, "unauthorized", "the API key is wrong"))).await
}

/// The body of both calls that ask for an account.
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
    reference: Option<String>,
}

impl Submission {
    fn check(&self, world: &World) -> Result<(), Answer> {
        let capitals = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_uppercase());
        let named = !self.reference.is_empty() && !self.profile_id.is_empty();
        let typed = ["company", "freelancer", "individual"].contains(&&*self.customer_type);
        if named && typed && capitals(&self.market, 2) && capitals(&self.currency, 3) {
            return Ok(());
        }
        world.ledger().counts.calls_refused += 1;
        let message = "reference, profile_id, customer_type, market (two capitals) and currency (three) are required";
        Err(refusal(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed", message))
    }

    fn order(&self, blocking: bool) -> Order {
        Order {
            bank: Bank::NexusBank,
            reference: self.reference.clone(),
            market: self.market.clone(),
            currency: self.currency.clone(),
            customer_type: self.customer_type.clone(),
            profile_id: self.profile_id.clone(),
            blocking,
            ..Order::default()
        }
    }
}

async fn submit(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    let mut made = None;
    let taken = calls::read::<Submission>(&world, &body).and_then(|(submission, body)| {
        submission.check(&world)?;
        let asking = Asking {
            endpoint: Endpoint::Submit,
            reference: &submission.reference,
            customer_reference: submission.customer.reference.as_deref(),
            headers: &headers,
            body: &body,
        };
        calls::take(&world, &asking, |ledger| {
            made = ledger.make_order(submission.order(false), world.clock.now());
            accepted(ledger, made)
        })
    });
    // Also if the answer is lost: the bank has the request and continues.
    let early = made.and_then(|at| life::begin(&world, at));
    if let Some(early) = early.filter(|_| world.sender.has_url()) {
        // After the time-out or a stop, the answer is sent without waiting for the webhook.
        let _ = tokio::time::timeout(crate::EARLY_HOLD, early.told()).await;
    }
    calls::reply(&world, taken).await
}

fn accepted(ledger: &Ledger, made: Option<usize>) -> Answer {
    let Some(request) = made.and_then(|at| ledger.request(at)) else {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "unknown_opening", "the ledger has no such opening");
    };
    let id = &request.account_opening_request_id;
    (
        StatusCode::ACCEPTED,
        json!({ "account_opening_request_id": id, "reference": request.reference, "status": "INITIATED" }),
    )
}

async fn look_up(State(world): State<Arc<World>>, Path(id): Path<String>) -> Response {
    let taken = {
        let mut ledger = world.ledger();
        match ledger.by_id(&id).and_then(|at| ledger.request(at)).filter(|it| !it.blocking).cloned() {
            None => Err(refusal(StatusCode::NOT_FOUND, "not_found", "no such account opening request")),
            Some(request) => {
                let answer = report(&ledger, &request);
                Ok(looked_up(&world, &mut ledger, &request.reference, answer))
            }
        }
    };
    calls::reply(&world, taken).await
}

/// Records a lookup and applies its fault.
fn looked_up(world: &World, ledger: &mut Ledger, reference: &str, answer: Value) -> Taken {
    let call = Call { at: world.clock.now(), endpoint: Endpoint::Lookup, key: None, fault: None };
    Taken::ended(ledger.arrive(call, reference, None), (StatusCode::OK, answer))
}

#[derive(Deserialize)]
struct Filter {
    reference: Option<String>,
    updated_since: Option<Time>,
    cursor: Option<String>,
    limit: Option<usize>,
}

async fn list(State(world): State<Arc<World>>, Query(filter): Query<Filter>) -> Response {
    let taken = {
        let mut ledger = world.ledger();
        ledger.counts.lists += u64::from(filter.reference.is_none());
        match &filter.reference {
            Some(reference) => {
                let requests = ledger.by_reference(reference).iter().filter_map(|at| ledger.request(*at));
                let items: Vec<Value> = requests.filter(|it| !it.blocking).map(|it| report(&ledger, it)).collect();
                let answer = json!({ "items": items, "next_cursor": null });
                // A lookup of an unknown reference must not use up an opening's plan.
                if ledger.knows(reference) {
                    Ok(looked_up(&world, &mut ledger, reference, answer))
                } else {
                    Ok(Taken::Answer((StatusCode::OK, answer)))
                }
            }
            None => listed(&ledger, &filter),
        }
    };
    calls::reply(&world, taken).await
}

/// A page of the list, or the current outage. A list is about no opening, so no plan has a fault for it.
fn listed(ledger: &Ledger, filter: &Filter) -> Result<Taken, Answer> {
    let outage = ledger.outages.get(&Api::Bank).copied();
    match outage.filter(|outage| outage.is_before()) {
        Some(outage) => Ok(Taken::Fault(outage)),
        None => page(ledger, filter).map(|answer| Taken::ended(outage, answer)),
    }
}

/// The requests in the order of their last change. A cursor is the position of the first request not shown yet.
fn page(ledger: &Ledger, filter: &Filter) -> Result<Answer, Answer> {
    let from = match (&filter.cursor, filter.updated_since) {
        (Some(cursor), _) => place(cursor),
        (None, Some(since)) => Some((since, 0)),
        (None, None) => None,
    };
    let message = "give reference, updated_since, or a cursor of mine";
    let from = from.ok_or_else(|| refusal(StatusCode::BAD_REQUEST, "invalid_query", message))?;
    let limit = filter.limit.unwrap_or(PAGE).clamp(1, PAGE);
    let mut rest = ledger.changed_since(Bank::NexusBank, from).filter(|(_, _, request)| !request.blocking);
    let items: Vec<Value> = rest.by_ref().take(limit).map(|(_, _, request)| report(ledger, request)).collect();
    let next = rest.next().map(|(time, at, _)| format!("{}-{at}", time.timestamp_micros()));
    Ok((StatusCode::OK, json!({ "items": items, "next_cursor": next })))
}

fn place(cursor: &str) -> Option<(Time, usize)> {
    let (micros, at) = cursor.split_once('-')?;
    Some((DateTime::from_timestamp_micros(micros.parse().ok()?)?, at.parse().ok()?))
}

/// The bank's record of a request, without fields meant for the judge.
fn report(ledger: &Ledger, request: &AccountRequest) -> Value {
    if request.status.is_decided() && ledger.is_silent(&request.reference) {
        return report(ledger, &request.clone().undecided());
    }
    json!({
        "account_opening_request_id": request.account_opening_request_id,
        "reference": request.reference,
        "status": request.status,
        "iban": request.iban,
        "bic": request.bic,
        "rejection_reason": request.rejection_reason,
        "updated_at": request.updated_at,
    })
}

/// The event about a status since a time. Only the final one contains the decision.
pub(super) fn news(request: &AccountRequest, status: Status, since: Time) -> News {
    let body = written(&json!({
        "type": "account_opening_request.status_changed",
        "timestamp": since,
        "data": {
            "account_opening_request_id": request.account_opening_request_id,
            "reference": request.reference,
            "status": status,
            "iban": request.iban,
            "bic": request.bic,
            "rejection_reason": request.rejection_reason.as_ref().filter(|_| status == Status::Rejected),
        }
    }));
    News { body, headers: Vec::new() }
}
