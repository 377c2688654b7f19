//! Airwallex' global accounts: fat events, and a `request_id` that is refused when it is used again, although the account exists.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Bank, CLIENT_ID, CLIENT_SECRET, News, Order, WEBHOOK_SECRET, read, refuse, reply, shown, text, tokens};
use crate::ledger::{Answer, Ledger};
use crate::life;
use crate::plan::{Decision, Plan, Verdict};
use crate::snapshot::{AccountRequest, Status};
use crate::world::World;
use clock::Time;

const BANK: Bank = Bank::Airwallex;
/// The account of the credentials.
const ACCOUNT: &str = "acct_world";

pub(super) const MARKETS: &[(&str, &str)] = &[("DE", "EUR"), ("NL", "EUR"), ("GB", "GBP"), ("EE", "EUR")];

pub(super) fn settings(base_url: &str) -> Vec<(&'static str, String)> {
    vec![
        ("AIRWALLEX_BASE_URL", base_url.to_owned()),
        ("AIRWALLEX_CLIENT_ID", CLIENT_ID.to_owned()),
        ("AIRWALLEX_API_KEY", CLIENT_SECRET.to_owned()),
        ("AIRWALLEX_WEBHOOK_SECRETS", WEBHOOK_SECRET.to_owned()),
        // The world limits no rate.
        ("AIRWALLEX_CONCURRENCY", "64".to_owned()),
        ("AIRWALLEX_POLL_BUDGET", "60000".to_owned()),
    ]
}

pub(crate) fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/api/v1/authentication/login", post(tokens::airwallex))
        .route("/api/v1/global_accounts/create", post(submit))
        .route("/api/v1/global_accounts", get(list))
        .route("/api/v1/global_accounts/{id}", get(look_up))
}

fn refusal(world: &World, headers: &HeaderMap) -> Option<Answer> {
    if !tokens::is_authorized(world, BANK, headers) {
        return Some(BANK.error(StatusCode::UNAUTHORIZED, "credentials_expired", "the token has expired"));
    }
    let is_pinned = headers.get("x-api-version").is_some_and(|it| it.as_bytes() >= b"2025-04-25".as_slice());
    (!is_pinned).then(|| refuse(BANK, world, "invalid_argument", "x-api-version is not pinned"))
}

async fn submit(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(refusal) = refusal(&world, &headers) {
        return reply(&world, Err(refusal)).await;
    }
    let mut made = None;
    let taken = order(&world, &body).map(|order| {
        let reference = order.reference.clone();
        BANK.submitted(&world, (&reference, Some(&reference)), |ledger| {
            if !ledger.by_reference(&reference).is_empty() {
                let message = "The request ID has been used previously";
                return BANK.error(StatusCode::BAD_REQUEST, "duplicate_request", message);
            }
            let now = world.clock.now();
            made = ledger.make_order(order, now);
            if let Some((at, verdict)) = made.and_then(|at| Some((at, at_once(&ledger.plan(at)?)?))) {
                ledger.decide(at, &verdict, now);
            }
            (StatusCode::CREATED, made.map_or(Value::Null, |at| answer_about(ledger, at)))
        })
    });
    if let Some(at) = made {
        life::begin_decided(&world, at);
    }
    reply(&world, taken).await
}

/// An account may be active in the answer already: where its news would be early.
fn at_once(plan: &Plan) -> Option<Verdict> {
    match &plan.decision {
        Decision::By(verdict) if plan.webhooks.early => Some(verdict.clone()),
        _ => None,
    }
}

fn order(world: &World, body: &[u8]) -> Result<Order, Answer> {
    let terms = read(BANK, world, body)?;
    let (reference, market) = (text(&terms, "request_id").to_owned(), text(&terms, "country_code").to_owned());
    let currency = terms["required_features"][0]["currency"].as_str().unwrap_or_default().to_owned();
    if reference.is_empty() || market.len() != 2 || currency.len() != 3 {
        let message = "request_id, country_code and required_features are required";
        return Err(refuse(BANK, world, "field_required", message));
    }
    let order = Order { bank: BANK, reference, market, currency, terms, ..Order::default() };
    Ok(Order { customer_type: "company".to_owned(), ..order })
}

const fn word(status: Status) -> &'static str {
    match status {
        Status::Initiated | Status::InProgress => "PROCESSING",
        Status::OnHold => "ON_HOLD",
        Status::Completed => "ACTIVE",
        Status::Rejected => "FAILED",
    }
}

fn account(request: &AccountRequest, order: &Order, status: Status) -> Value {
    json!({
        "id": request.account_opening_request_id,
        "account_name": "for people",
        "country_code": order.market,
        "nick_name": order.terms["nick_name"],
        "request_id": request.reference,
        "required_features": order.terms["required_features"],
        "status": word(status),
        "iban": request.iban,
        "swift_code": request.bic,
        "failure_reason": request.rejection_reason,
    })
}

fn answer_about(ledger: &Ledger, at: usize) -> Value {
    let (Some(request), Some(order)) = (ledger.request(at), ledger.order(at)) else { return Value::Null };
    let request = shown(ledger, request);
    account(&request, order, request.status)
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
        None => Err(BANK.error(StatusCode::NOT_FOUND, "resource_not_found", "no such account")),
    };
    reply(&world, taken).await
}

#[derive(Deserialize)]
struct Filter {
    nick_name: Option<String>,
    from_created_at: Option<Time>,
    page: Option<String>,
    page_size: Option<usize>,
}

async fn list(State(world): State<Arc<World>>, headers: HeaderMap, Query(filter): Query<Filter>) -> Response {
    if let Some(refusal) = refusal(&world, &headers) {
        return reply(&world, Err(refusal)).await;
    }
    let size = filter.page_size.unwrap_or(10).clamp(1, 100);
    let from: usize = filter.page.as_deref().and_then(|it| it.parse().ok()).unwrap_or(0);
    let answer = {
        let mut ledger = world.ledger();
        ledger.counts.lists += u64::from(filter.nick_name.is_none());
        let matches = |at: &usize| {
            let (Some(request), Some(order)) = (ledger.request(*at), ledger.order(*at)) else { return false };
            let is_named = filter.nick_name.as_deref().is_none_or(|it| it == text(&order.terms, "nick_name"));
            is_named && filter.from_created_at.is_none_or(|since| request.created_at >= since)
        };
        let all: Vec<usize> = ledger.orders_of(BANK).filter(matches).collect();
        let items: Vec<Value> = all.iter().skip(from).take(size).map(|at| answer_about(&ledger, *at)).collect();
        let after = (from + size < all.len()).then(|| (from + size).to_string());
        (StatusCode::OK, json!({"items": items, "page_after": after, "page_before": null}))
    };
    let taken = BANK.listed(&world, answer);
    reply(&world, Ok(taken)).await
}

/// An event: only about a decision.
pub(crate) fn news(request: &AccountRequest, order: &Order, status: Status) -> Option<News> {
    let name = match status {
        Status::Completed => "global_account.active",
        Status::Rejected => "global_account.failed",
        Status::Initiated | Status::InProgress | Status::OnHold => return None,
    };
    let body = json!({
        // The same in each repeat of the event.
        "id": format!("evt_{}_{}", request.account_opening_request_id, word(status)),
        "name": name,
        "account_id": ACCOUNT,
        "data": account(request, order, status),
        "created_at": request.updated_at.format("%Y-%m-%dT%H:%M:%S+0000").to_string(),
        "version": "2025-06-16",
    });
    Some(News { body: crate::calls::written(&body), headers: Vec::new() })
}
