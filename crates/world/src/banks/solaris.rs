//! Solaris' account opening requests: thin events, no reference of ours, no idempotency. A second request of a customer for the
//! same product is a second effect, which the bank rejects by its limit of accounts.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Bank, CLIENT_ID, CLIENT_SECRET, News, Order, WEBHOOK_SECRET, read, refuse, reply, shown, text, tokens};
use crate::calls::Taken;
use crate::ledger::{Answer, Ledger};
use crate::life;
use crate::plan::Verdict;
use crate::snapshot::{AccountRequest, Status};
use crate::world::World;

const BANK: Bank = Bank::Solaris;
/// The reason by which the second request of a customer is rejected.
const ONE_ACCOUNT: &str = "active_accounts_count_below_set_limit";
const MAX_PAGE: usize = 1_000;
const COUNTRIES: [(&str, &str); 4] = [("GERMANY", "DE"), ("FRANCE", "FR"), ("ITALY", "IT"), ("SPAIN", "ES")];
const FIELDS: [&str; 6] =
    ["customer_id", "customer_type", "product_name", "account_type", "account_bic", "account_currency"];

pub(super) const MARKETS: &[(&str, &str)] = &[("DE", "EUR"), ("FR", "EUR"), ("IT", "EUR"), ("ES", "EUR")];

pub(super) fn settings(base_url: &str) -> Vec<(&'static str, String)> {
    vec![
        ("SOLARIS_BASE_URL", base_url.to_owned()),
        ("SOLARIS_TOKEN_URL", format!("{base_url}/oauth2/token")),
        ("SOLARIS_CLIENT_ID", CLIENT_ID.to_owned()),
        ("SOLARIS_CLIENT_SECRET", CLIENT_SECRET.to_owned()),
        ("SOLARIS_BICS", "DE=SOBKDEB2XXX,FR=SOBKFRP2XXX,IT=SOBKITM2XXX,ES=SOBKESM2XXX".to_owned()),
        ("SOLARIS_WEBHOOK_SECRETS", WEBHOOK_SECRET.to_owned()),
    ]
}

pub(crate) fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/oauth2/token", post(tokens::solaris))
        .route("/v1/accounts/opening_requests", post(submit).get(list))
        .route("/v1/accounts/opening_requests/{id}", get(look_up))
        .route("/v1/webhooks", post(subscribe))
}

fn unauthorized() -> Answer {
    BANK.error(StatusCode::UNAUTHORIZED, "invalid_token", "the token is unknown or has expired")
}

async fn submit(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    if !tokens::is_authorized(&world, BANK, &headers) {
        return reply(&world, Err(unauthorized())).await;
    }
    let mut made = None;
    let taken = order(&world, &body).map(|order| {
        let reference = order.reference.clone();
        BANK.submitted(&world, (&reference, None), |ledger| {
            made = ledger.make_order(order, world.clock.now());
            (StatusCode::CREATED, made.map_or(Value::Null, |at| answer_about(ledger, at)))
        })
    });
    if let Some(at) = made {
        begin(&world, at);
    }
    reply(&world, taken).await
}

/// A customer's second request is rejected; the first lives by its plan.
fn begin(world: &Arc<World>, at: usize) {
    let is_second = {
        let ledger = world.ledger();
        let reference = ledger.request(at).map(|it| it.reference.clone()).unwrap_or_default();
        ledger.by_reference(&reference).first() != Some(&at)
    };
    if is_second {
        life::decide(world, at, &Verdict::reject(ONE_ACCOUNT));
    } else {
        life::begin(world, at);
    }
}

fn order(world: &World, body: &[u8]) -> Result<Order, Answer> {
    let terms = read(BANK, world, body)?;
    if let Some(missing) =
        FIELDS.iter().find(|field| text(&terms, field).trim() != text(&terms, field) || text(&terms, field).is_empty())
    {
        return Err(refuse(BANK, world, "invalid_model", &format!("{missing} is missing")));
    }
    let product = text(&terms, "product_name");
    let market = COUNTRIES.iter().find(|(country, _)| product.ends_with(country)).map(|(_, market)| *market);
    let kind = [("CONSUMER", "individual"), ("FREELANCER", "freelancer"), ("BUSINESS", "company")];
    let kind = kind.iter().find(|(word, _)| product.contains(word)).map(|(_, kind)| *kind);
    let (Some(market), Some(kind)) = (market, kind) else {
        return Err(refuse(BANK, world, "validation_error", "product_name is unknown"));
    };
    let customer = text(&terms, "customer_id").to_owned();
    let reference = world.ledger().of_profile(&customer);
    let reference = reference.ok_or_else(|| refuse(BANK, world, "invalid_model", "customer_id is unknown"))?;
    Ok(Order {
        bank: BANK,
        reference,
        market: market.to_owned(),
        currency: text(&terms, "account_currency").to_owned(),
        customer_type: kind.to_owned(),
        profile_id: customer,
        bic: Some(text(&terms, "account_bic").to_owned()),
        terms,
        blocking: false,
    })
}

fn answer_about(ledger: &Ledger, at: usize) -> Value {
    let (Some(request), Some(order)) = (ledger.request(at), ledger.order(at)) else { return Value::Null };
    let request = shown(ledger, request);
    let rejection = request.rejection_reason.as_ref();
    let mut answer = order.terms.clone();
    answer["id"] = json!(request.account_opening_request_id);
    answer["status"] = json!(request.status);
    answer["rejection_reason"] =
        rejection.map_or(Value::Null, |it| json!({"failed_validation": it, "details": "for people"}));
    answer["account_id"] =
        request.iban.as_ref().map_or(Value::Null, |_| json!(format!("{}acc", request.account_opening_request_id)));
    answer["iban"] = json!(request.iban);
    answer["created_at"] = json!(written(request.created_at));
    answer["updated_at"] = json!(written(request.updated_at));
    answer
}

fn written(time: clock::Time) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.3f+00:00").to_string()
}

async fn look_up(State(world): State<Arc<World>>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    if !tokens::is_authorized(&world, BANK, &headers) {
        return reply(&world, Err(unauthorized())).await;
    }
    let found = {
        let ledger = world.ledger();
        let at = ledger.by_id(&id).filter(|at| ledger.order(*at).is_some_and(|it| it.bank == BANK));
        at.and_then(|at| Some((ledger.request(at)?.reference.clone(), answer_about(&ledger, at))))
    };
    let taken = match found {
        Some((reference, answer)) => Ok(BANK.looked_up(&world, &reference, (StatusCode::OK, answer))),
        None => Err(BANK.error(StatusCode::NOT_FOUND, "model_not_found", "no such opening request")),
    };
    reply(&world, taken).await
}

#[derive(Deserialize)]
struct Pages {
    #[serde(rename = "page[number]")]
    number: Option<usize>,
    #[serde(rename = "page[size]")]
    size: Option<usize>,
}

async fn list(State(world): State<Arc<World>>, headers: HeaderMap, Query(pages): Query<Pages>) -> Response {
    if !tokens::is_authorized(&world, BANK, &headers) {
        return reply(&world, Err(unauthorized())).await;
    }
    let (number, size) = (pages.number.unwrap_or(1).max(1), pages.size.unwrap_or(10).clamp(1, MAX_PAGE));
    let answer = {
        let ledger = world.ledger();
        let all = ledger.orders_of(BANK).skip((number - 1) * size).take(size);
        Value::Array(all.map(|at| answer_about(&ledger, at)).collect())
    };
    let taken: Taken = BANK.listed(&world, (StatusCode::OK, answer));
    reply(&world, Ok(taken)).await
}

/// The header with the type of an event.
const EVENT_TYPE: &str = "solaris-webhook-event-type";

/// A subscription: the receiver must first answer an empty request, before there is a secret.
async fn subscribe(State(world): State<Arc<World>>, headers: HeaderMap, Json(asked): Json<Value>) -> Response {
    if !tokens::is_authorized(&world, BANK, &headers) {
        return reply(&world, Err(unauthorized())).await;
    }
    let accepted = world.sender.handshake(text(&asked, "url"), (EVENT_TYPE, "WEBHOOK-SUBSCRIPTION")).await;
    let (status, body) = if accepted {
        let answer = json!({"id": "world-subscription", "event_type": asked["event_type"], "url": asked["url"],
                            "secret": super::WEBHOOK_SECRET});
        (StatusCode::CREATED, answer)
    } else {
        BANK.error(StatusCode::BAD_REQUEST, "invalid_webhook_url", "the URL did not answer 2xx")
    };
    (status, Json(body)).into_response()
}

/// An event: never with the account, which the receiver must look up.
pub(crate) fn news(request: &AccountRequest, order: &Order, status: Status) -> News {
    let error = request.rejection_reason.as_ref().filter(|_| status == Status::Rejected);
    let body = json!({
        "account_opening_request_id": request.account_opening_request_id,
        "customer_id": order.profile_id,
        "status": status,
        "account_id": request.iban.as_ref().map(|_| format!("{}acc", request.account_opening_request_id)),
        "updated_at": written(request.updated_at),
        "error": error.map(|code| json!({"code": code, "detail": "for people"})),
    });
    let kind = (EVENT_TYPE.to_owned(), "ACCOUNT_OPENING_REQUEST".to_owned());
    News { body: crate::calls::written(&body), headers: vec![kind] }
}
