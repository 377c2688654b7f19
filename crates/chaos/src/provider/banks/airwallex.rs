//! Airwallex: a used `request_id` is refused although the account exists, and is found by its `nick_name`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::{Router, routing};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::bank::{Order, take_in};
use super::super::calls;
use super::super::world::{Answer, Request, Word, World};
use super::{of_opening, refused, stamp, submitted, text, tokens, written};

pub fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/api/v1/authentication/login", routing::post(tokens::airwallex))
        .route("/api/v1/global_accounts/create", routing::post(submit))
        .route("/api/v1/global_accounts", routing::get(list))
        .route("/api/v1/global_accounts/{id}", routing::get(look_up))
}

fn error(status: StatusCode, code: &str) -> Answer {
    (status, json!({"code": code, "message": code, "source": ""}))
}

async fn submit(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    if !tokens::is_authorized(&world, &headers) {
        return tokens::unauthorized();
    }
    let terms: Value = serde_json::from_slice(&body).unwrap_or_default();
    let reference = text(&terms, "request_id").to_owned();
    // No profile is named: an opening has one.
    let found =
        world.state().owners.iter().find(|(_, it)| it.reference == reference).map(|(id, it)| (id.clone(), it.clone()));
    let Some((profile_id, owner)) = found else {
        let (status, body) = error(StatusCode::BAD_REQUEST, "invalid_argument");
        return refused(status, body);
    };
    submitted(world, async move |world| {
        if of_opening(&world.state().requests, &owner.reference).next().is_some() {
            return Ok(error(StatusCode::BAD_REQUEST, "duplicate_request"));
        }
        let at = take_in(&world, Order { profile_id, terms, key: reference, owner }).await?;
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
        found.map_or_else(|| error(StatusCode::NOT_FOUND, "resource_not_found"), |it| (StatusCode::OK, it))
    })
    .await
}

#[derive(Deserialize)]
struct Filter {
    nick_name: Option<String>,
    from_created_at: Option<DateTime<Utc>>,
    page: Option<usize>,
    page_size: Option<usize>,
}

async fn list(State(world): State<Arc<World>>, headers: HeaderMap, Query(filter): Query<Filter>) -> Response {
    if !tokens::is_authorized(&world, &headers) {
        return tokens::unauthorized();
    }
    let at_bank = Arc::clone(&world);
    calls::take(world, "list", async move {
        let state = at_bank.state();
        let since = filter.from_created_at.map(|it| it.timestamp_micros());
        let is_asked = |it: &&Request| {
            filter.nick_name.as_deref().is_none_or(|name| name == text(&it.terms, "nick_name"))
                && since.is_none_or(|since| it.created_at >= since)
        };
        let (from, size) = (filter.page.unwrap_or(0), filter.page_size.unwrap_or(10).min(100));
        let mut all = state.requests.iter().filter(is_asked).skip(from);
        let items: Vec<Value> = all.by_ref().take(size).map(stands).collect();
        let after = all.next().map(|_| (from + size).to_string());
        (StatusCode::OK, json!({"items": items, "page_after": after, "page_before": null}))
    })
    .await
}

fn status(word: &str) -> &str {
    match word {
        "INITIATED" | "IN_PROGRESS" => "PROCESSING",
        "COMPLETED" => "ACTIVE",
        "REJECTED" => "FAILED",
        other => other,
    }
}

fn account(word: &Word) -> Value {
    json!({
        "id": word.tracking_id,
        "account_name": "for people",
        "country_code": word.market,
        "nick_name": word.reference,
        "request_id": word.reference,
        "status": status(word.status),
        "iban": word.iban,
        "swift_code": word.bic,
        "failure_reason": word.rejection_reason,
    })
}

fn stands(request: &Request) -> Value {
    let mut account = account(&request.word);
    account["created_at"] = json!(written(request.created_at));
    account
}

pub fn message(id: &str, word: &Word) -> Value {
    let name = match word.status {
        "COMPLETED" => "global_account.active",
        "REJECTED" => "global_account.failed",
        _ => "global_account.processing",
    };
    json!({
        "id": id,
        "name": name,
        "account_id": "acct_chaos",
        "data": account(word),
        "created_at": stamp(),
        "version": "2025-06-16",
    })
}
