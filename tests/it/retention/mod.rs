//! Settled facts and work leave inbox and outbox for the archives, in their time and not before. Nothing is lost on the way, and
//! readers see what they saw. (P1 to P4, P10)

mod copies;
mod crashes;
mod kept;
mod times;

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::TestApp;

const IBAN: &str = "BE68539007547034";
const OTHER_IBAN: &str = "BE71096123456769";
const MONTH: TimeDelta = TimeDelta::days(30);
const INSTANT: TimeDelta = TimeDelta::milliseconds(1);

/// How many rows are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
struct Where {
    /// Facts in the inbox as they came.
    whole: i64,
    /// Facts of which the inbox has but the key.
    slim: i64,
    /// Facts in the archive.
    archived: i64,
    /// Work in the outbox.
    work: i64,
    /// Work in the archive.
    archived_work: i64,
}

async fn rows(app: &TestApp) -> Where {
    let sql = "select (select count(*) from inbox where archived_at is null) as whole,
                      (select count(*) from inbox where archived_at is not null and body = '' and headers = '{}') as slim,
                      (select count(*) from inbox_archive) as archived,
                      (select count(*) from outbox) as work, (select count(*) from outbox_archive) as archived_work";
    sqlx::query_as(sql).fetch_one(&app.pool).await.unwrap()
}

/// The rows of a table as JSON, without some of their columns, in the order of their ids.
async fn contents(app: &TestApp, table: &str, without: &[&str]) -> Vec<Value> {
    let sql = format!("select to_jsonb(t) - $1::text[] from {table} t order by id");
    sqlx::query_scalar(AssertSqlSafe(sql)).bind(without).fetch_all(&app.pool).await.unwrap()
}

/// An opening that is completed by a webhook with this id; its id and tracking id.
async fn completed(app: &TestApp, message: &str, iban: &str) -> (String, String) {
    let (id, tracking_id) = app.open().waiting().await;
    app.webhook().id(message).completed(&tracking_id, iban).acknowledged().await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    (id, tracking_id)
}

/// Says of an opening that it is under way: the same under the same id every time, whenever it is sent, unless there is more.
async fn told(app: &TestApp, message: &str, tracking_id: &str, more: &str) {
    let body = json!({"type": "account_opening_request.status_changed", "more": more,
                      "data": {"account_opening_request_id": tracking_id, "status": "IN_PROGRESS",
                               "rejection_reason": more}});
    app.webhook().id(message).body(body.to_string()).acknowledged().await;
    app.state.ingest.forget_bursts();
    app.settle().await;
}

async fn timeline(app: &TestApp, id: &str) -> Vec<Value> {
    app.items(&format!("/v1/account-openings/{id}/timeline")).await
}

/// Acts as an operator; the answer's status.
async fn act(app: &TestApp, path: &str) -> u16 {
    let request = app.request_as("operator-token", Method::POST, path).json(&json!({"reason": "seen"}));
    request.send().await.unwrap().status().as_u16()
}

/// The id of the only dead letter with this cause.
async fn letter(app: &TestApp, cause: &str) -> String {
    let letters = app.items("/v1/dead-letters").await;
    let letters: Vec<_> = letters.iter().filter(|it| it["cause"] == cause).collect();
    assert_eq!(letters.len(), 1, "{cause}: {letters:?}");
    letters[0]["id"].as_str().unwrap().to_owned()
}
