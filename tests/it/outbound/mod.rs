//! Breakers and permits before the calls to other systems (P16): how many calls reach a system that is out of order, counted at
//! the other side. Then what becomes of the work meanwhile and after it, and an operator's hand on it.

mod hanging_provider;
mod held;
mod operators;
mod polls;

use chrono::TimeDelta;
use serde_json::{Value, json};
use world::{Api, Endpoint, Fault};

use crate::support::TestApp;

/// `BREAKER_OPEN_FOR` of the default settings.
const OPEN_FOR: TimeDelta = TimeDelta::seconds(30);

/// A service that soon gives up a call that hangs, in real time, with so many probes.
async fn impatient(probes: usize) -> TestApp {
    let settings = TestApp::with().settings(|it| {
        it.provider_timeout = "500ms".to_owned();
        it.breaker_probes = probes.to_string();
    });
    settings.start().await
}

/// How many calls of these kinds have come to the other side.
fn calls(app: &TestApp, endpoints: &[Endpoint]) -> u64 {
    let ledger = app.world.ledger();
    ledger.openings.values().map(|it| endpoints.iter().map(|endpoint| it.calls(*endpoint)).sum::<u64>()).sum()
}

/// How many calls have come to the bank.
fn bank_calls(app: &TestApp) -> u64 {
    calls(app, &[Endpoint::Submit, Endpoint::Lookup])
}

fn hangs(app: &TestApp, api: Api) {
    app.world.outage(api, Some(Fault::HangBefore));
}

/// The outbox rows of a topic, oldest first.
async fn rows(app: &TestApp, topic: &str) -> Vec<Value> {
    let rows =
        sqlx::query_scalar("select to_jsonb(outbox) from outbox where topic = $1 order by opening_id, id").bind(topic);
    rows.fetch_all(&app.pool).await.unwrap()
}

/// P15, P16: no attempt is used up and nothing is dead.
async fn nothing_is_used_up(app: &TestApp) {
    let attempts: i64 =
        sqlx::query_scalar("select coalesce(sum(attempts), 0) from outbox").fetch_one(&app.pool).await.unwrap();
    assert_eq!(attempts, 0);
    assert!(app.items("/v1/dead-letters").await.is_empty() && app.items("/v1/tickets").await.is_empty());
}

/// An operator's word on a breaker; the answer's status and body.
async fn force(app: &TestApp, breaker: &str, forced: Option<&str>) -> (u16, Value) {
    let body = json!({"forced": forced, "reason": "a rehearsal"});
    let request = app.request_as("operator-token", reqwest::Method::PUT, &format!("/v1/breakers/{breaker}"));
    let response = request.json(&body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// A breaker as the list shows it.
async fn shown(app: &TestApp, provider: &str, operation: &str) -> Value {
    let items = app.items("/v1/breakers").await;
    items.into_iter().find(|it| it["provider"] == provider && it["operation"] == operation).unwrap()
}
