//! The simulated ticket tracker with Jira Cloud's REST v3 API: equally strict, without idempotency keys, and with a
//! search that lags behind.

mod book;

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

pub(super) use self::book::Book;
pub use self::book::{IssueRecord, IssueStatus};
use super::calls::{self, Taken};
use super::endpoint::{Api, Endpoint};
use super::ledger::{Answer, Ledger};
use super::plan::Fault;
use super::world::World;
use clock::Time;

pub(super) fn router(world: Arc<World>) -> Router<Arc<World>> {
    Router::new()
        .route("/rest/api/3/issue", post(create))
        .route("/rest/api/3/search", get(gone).post(gone))
        .route("/rest/api/3/search/jql", get(search_by_query).post(search))
        .route("/rest/api/3/issue/{key}", get(read))
        .route("/rest/api/3/issue/{key}/comment", get(comments).post(comment))
        .route("/rest/api/3/issue/{key}/transitions", get(transitions).post(transition))
        .route_layer(from_fn_with_state(world, with_basic_auth))
}

async fn with_basic_auth(State(world): State<Arc<World>>, request: Request, next: Next) -> Response {
    let expected = format!("{}:{}", world.tracker.email, world.tracker.api_token);
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if given == Some(&*format!("Basic {}", STANDARD.encode(expected))) {
        return next.run(request).await;
    }
    world.ledger().counts.calls_unauthorized += 1;
    calls::reply(&world, Err(refusal(StatusCode::UNAUTHORIZED, "You are not authenticated."))).await
}

async fn create(State(world): State<Arc<World>>, body: Bytes) -> Response {
    act(&world, Endpoint::CreateIssue, &body, |ledger, body, now| {
        let made = ledger.tracker.make(&body["fields"], now)?;
        ledger.counts.issues += 1;
        ledger.counts.double_effects += u64::from(made.is_double);
        let (id, key) = (made.id.to_string(), made.key);
        Ok((StatusCode::CREATED, json!({"id": id, "key": key, "self": format!("/rest/api/3/issue/{id}")})))
    })
    .await
}

/// Jira removed the old search in 2025.
async fn gone(State(world): State<Arc<World>>) -> Response {
    let message = "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API.";
    calls::reply(&world, Err(refusal(StatusCode::GONE, message))).await
}

async fn search(State(world): State<Arc<World>>, body: Bytes) -> Response {
    act(&world, Endpoint::SearchIssues, &body, |ledger, body, now| found(&world, ledger, body, now)).await
}

async fn search_by_query(
    State(world): State<Arc<World>>,
    Query(mut query): Query<HashMap<String, String>>,
) -> Response {
    let mut body = json!({"jql": query.remove("jql").unwrap_or_default()});
    if let Some(fields) = query.remove("fields") {
        body["fields"] = fields.split(',').collect();
    }
    let body = Bytes::from(body.to_string());
    act(&world, Endpoint::SearchIssues, &body, |ledger, body, now| found(&world, ledger, body, now)).await
}

/// Without `fields` the search returns only ids, as Jira does.
fn found(world: &World, ledger: &Ledger, body: &Value, now: Time) -> Result<Answer, Answer> {
    let jql = body["jql"].as_str().unwrap_or_default();
    let unbounded = || refusal(StatusCode::BAD_REQUEST, "Error in the JQL Query.");
    let (project, label) = asked(jql).ok_or_else(unbounded)?;
    let most = usize::try_from(body["maxResults"].as_u64().unwrap_or(50)).unwrap_or(usize::MAX);
    let with_fields = body["fields"].as_array().is_some_and(|it| !it.is_empty());
    let issues = ledger.tracker.find(project, label, now - world.tracker.lag).take(most).map(|issue| {
        let fields = json!({"created": issue.created_at});
        let id = issue.id.to_string();
        if with_fields { json!({"id": id, "key": issue.key, "fields": fields}) } else { json!({"id": id}) }
    });
    Ok((StatusCode::OK, json!({"issues": issues.collect::<Vec<_>>(), "isLast": true})))
}

/// Parses `project = "…" AND labels = "…"`, in this order, optionally followed by an order.
fn asked(jql: &str) -> Option<(&str, &str)> {
    let (project, label) = jql.split(" ORDER BY ").next()?.split_once(" AND ")?;
    Some((quoted(project, "project")?, quoted(label, "labels")?))
}

/// The quoted value of a field.
fn quoted<'a>(clause: &'a str, field: &str) -> Option<&'a str> {
    let value = clause.trim().strip_prefix(field)?.trim_start().strip_prefix('=')?.trim();
    value.strip_prefix('"')?.strip_suffix('"').filter(|it| !it.is_empty())
}

async fn read(State(world): State<Arc<World>>, Path(key): Path<String>) -> Response {
    act(&world, Endpoint::ReadIssue, &Bytes::new(), |ledger, _, _| {
        let issue = ledger.tracker.get(&key)?;
        let fields = json!({
            "summary": issue.summary,
            "description": issue.description,
            "labels": issue.labels,
            "status": issue.status.shown(),
            "created": issue.created_at,
        });
        Ok((StatusCode::OK, json!({"id": issue.id.to_string(), "key": issue.key, "fields": fields})))
    })
    .await
}

/// Newest first if requested, else oldest first.
async fn comments(
    State(world): State<Arc<World>>,
    Path(key): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let most = query.get("maxResults").and_then(|it| it.parse().ok()).unwrap_or(50);
    let newest_first = query.get("orderBy").is_some_and(|it| it == "-created");
    act(&world, Endpoint::ReadIssue, &Bytes::new(), |ledger, _, _| {
        let issue = ledger.tracker.get(&key)?;
        let mut comments: Vec<Value> = issue.comments.iter().map(|body| json!({"body": body})).collect();
        if newest_first {
            comments.reverse();
        }
        comments.truncate(most);
        Ok((StatusCode::OK, json!({"comments": comments, "total": issue.comments.len()})))
    })
    .await
}

async fn comment(State(world): State<Arc<World>>, Path(key): Path<String>, body: Bytes) -> Response {
    act(&world, Endpoint::CommentIssue, &body, |ledger, body, _| {
        let number = ledger.tracker.comment(&key, &body["body"])?;
        Ok((StatusCode::CREATED, json!({"id": number.to_string()})))
    })
    .await
}

async fn transitions(State(world): State<Arc<World>>, Path(key): Path<String>) -> Response {
    act(&world, Endpoint::ReadIssue, &Bytes::new(), |ledger, _, _| {
        ledger.tracker.get(&key)?;
        let ways = IssueStatus::ALL.map(|to| json!({"id": to.way(), "name": to.name(), "to": to.shown()}));
        Ok((StatusCode::OK, json!({"transitions": ways})))
    })
    .await
}

async fn transition(State(world): State<Arc<World>>, Path(key): Path<String>, body: Bytes) -> Response {
    act(&world, Endpoint::MoveIssue, &body, |ledger, body, now| {
        let way = body["transition"]["id"].as_str().unwrap_or_default();
        ledger.tracker.move_by(&key, way, now)?;
        Ok((StatusCode::NO_CONTENT, Value::Null))
    })
    .await
}

/// The path of every call to the tracker: apply its fault, execute it, answer it.
async fn act(
    world: &World,
    endpoint: Endpoint,
    body: &Bytes,
    make: impl FnOnce(&mut Ledger, &Value, Time) -> Result<Answer, Answer>,
) -> Response {
    let taken = take(world, endpoint, body, make);
    if taken.is_err() {
        world.ledger().counts.calls_refused += 1;
    }
    match taken {
        // A 204 has no body.
        Ok(Taken::Answer((StatusCode::NO_CONTENT, _))) => {
            let mut response = Response::new(axum::body::Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        // The tracker's own error has the tracker's format.
        Ok(Taken::Fault(Fault::ErrorBefore { status } | Fault::ErrorAfter { status })) => {
            let answer = refusal(calls::status_of(status), "This is a rehearsal.");
            calls::reply(world, Ok(Taken::Answer(answer))).await
        }
        taken => calls::reply(world, taken).await,
    }
}

fn take(
    world: &World,
    endpoint: Endpoint,
    body: &Bytes,
    make: impl FnOnce(&mut Ledger, &Value, Time) -> Result<Answer, Answer>,
) -> Result<Taken, Answer> {
    let malformed = |_| refusal(StatusCode::BAD_REQUEST, "There was an error parsing JSON.");
    let body: Value = if body.is_empty() { Value::Null } else { serde_json::from_slice(body).map_err(malformed)? };
    let now = world.clock.now();
    let mut ledger = world.ledger();
    let outage = ledger.outages.get(&Api::Tracker).copied();
    let fault = ledger.tracker.arrive(endpoint, now, outage);
    ledger.counts.faults += u64::from(fault.is_some());
    if let Some(fault) = fault.filter(|fault| fault.is_before()) {
        return Ok(Taken::Fault(fault));
    }
    let answer = make(&mut ledger, &body, now)?;
    Ok(Taken::ended(fault, answer))
}

/// A refusal in the tracker's format.
fn refusal(status: StatusCode, message: &str) -> Answer {
    (status, json!({"errorMessages": [message], "errors": {}}))
}

/// A refusal about a field.
fn wrong_field(field: &str, message: &str) -> Answer {
    (StatusCode::BAD_REQUEST, json!({"errorMessages": [], "errors": {field: message}}))
}

/// The tracker's issues, for people.
pub(super) async fn shown(State(world): State<Arc<World>>) -> Json<Vec<IssueRecord>> {
    Json(world.ledger().tracker.issues().to_vec())
}
