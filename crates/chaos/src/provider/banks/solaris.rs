//! Solaris: no key makes a repeat harmless, nothing carries our reference, and messages bring no account.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::{Router, routing};
use serde_json::{Value, json};

use super::super::bank::{Order, take_in};
use super::super::calls;
use super::super::world::{Answer, Request, Word, World};
use super::{asked, refused, stamp, submitted, text, tokens, written};

const REQUESTS: &str = "/v1/accounts/opening_requests";

pub fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/oauth2/token", routing::post(tokens::solaris))
        .route(REQUESTS, routing::post(submit).get(list))
        .route("/v1/accounts/opening_requests/{id}", routing::get(look_up))
}

fn error(status: StatusCode, code: &str) -> Answer {
    let errors = [json!({"id": "x", "status": status.as_u16(), "code": code, "title": code, "detail": "for people"})];
    (status, json!({ "errors": errors }))
}

async fn submit(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    if !tokens::is_authorized(&world, &headers) {
        return tokens::unauthorized();
    }
    let Some((terms, owner)) = asked(&world, &body, "customer_id") else {
        let (status, body) = error(StatusCode::BAD_REQUEST, "invalid_model");
        return refused(status, body);
    };
    submitted(world, async move |world| {
        let profile_id = text(&terms, "customer_id").to_owned();
        let order = Order { profile_id, terms, key: String::new(), owner };
        let at = take_in(&world, order).await?;
        Ok((StatusCode::CREATED, stands(&world.state().requests[at])))
    })
    .await
}

async fn look_up(State(world): State<Arc<World>>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    if !tokens::is_authorized(&world, &headers) {
        return tokens::unauthorized();
    }
    let at_bank = Arc::clone(&world);
    calls::take(world, "lookup", async move {
        let state = at_bank.state();
        let found = state.by_id.get(&id).and_then(|at| state.requests.get(*at)).map(stands);
        found.map_or_else(|| error(StatusCode::NOT_FOUND, "model_not_found"), |it| (StatusCode::OK, it))
    })
    .await
}

/// All requests of all customers, by the number of a page.
async fn list(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    if !tokens::is_authorized(&world, &headers) {
        return tokens::unauthorized();
    }
    let number = |name: &str, otherwise: usize| {
        query.iter().find(|it| it.0 == name).and_then(|it| it.1.parse().ok()).unwrap_or(otherwise)
    };
    let (page, size) = (number("page[number]", 1).max(1), number("page[size]", 10).min(1_000));
    let at_bank = Arc::clone(&world);
    calls::take(world, "list", async move {
        let state = at_bank.state();
        let items: Vec<Value> = state.requests.iter().skip((page - 1) * size).take(size).map(stands).collect();
        (StatusCode::OK, Value::Array(items))
    })
    .await
}

fn stands(request: &Request) -> Value {
    let word = &request.word;
    let mut answer = request.terms.clone();
    answer["id"] = json!(word.tracking_id);
    answer["status"] = json!(word.status);
    answer["iban"] = json!(word.iban);
    answer["rejection_reason"] = word
        .rejection_reason
        .as_ref()
        .map_or(Value::Null, |it| json!({"failed_validation": it, "details": "for people"}));
    answer["created_at"] = json!(written(request.created_at));
    answer["updated_at"] = json!(written(request.updated_at));
    answer
}

pub fn message(word: &Word) -> Value {
    let error = word.rejection_reason.as_ref().map(|it| json!({"code": it, "detail": "for people"}));
    json!({
        "account_opening_request_id": word.tracking_id,
        "customer_id": "for people",
        "status": word.status,
        "account_id": null,
        "updated_at": stamp(),
        "error": error,
    })
}
