//! Tickets at a tracker without an Idempotency-Key and with a search that lags behind. The relay makes each ticket once, despite any
//! fault on the way, and a late answer closes it. (P9, P14, P21) The simulator counts double tickets in every test.

mod gone;
mod lost;
mod order;
mod refused;
mod said;
mod unset;

use chrono::TimeDelta;
use serde_json::Value;
use world::{Call, Endpoint, IssueRecord, Verdict};

use crate::support::{TestApp, TestAppBuilder};

/// The default of `JIRA_INDEX_LAG`.
const INDEX_LAG: TimeDelta = TimeDelta::minutes(2);

/// A service with a tracker and a short deadline for hanging calls.
fn tracking() -> TestAppBuilder {
    TestApp::with().tracker().settings(|it| it.provider_timeout = "1s".to_owned())
}

/// An opening that the bank did not answer by the deadline; nothing is done yet about its ticket.
async fn silent(app: &TestApp) -> String {
    let (id, _) = app.open().waiting().await;
    app.pass(TimeDelta::hours(12));
    id
}

/// The bank answers after all, and tells us.
async fn answered_late(app: &TestApp, id: &str) {
    let decided = app.world.decide(id, &Verdict::complete()).unwrap();
    assert_eq!(decided.told().await, Some(200));
}

/// Enough time for all waiting work.
async fn a_quarter_of_an_hour(app: &TestApp) {
    app.pass_settling(TimeDelta::minutes(15), TimeDelta::seconds(10)).await;
}

/// The one issue that the tracker has.
fn only_issue(app: &TestApp) -> IssueRecord {
    let mut issues = app.world.issues();
    assert_eq!(issues.len(), 1, "{issues:?}");
    issues.remove(0)
}

fn creations(app: &TestApp) -> Vec<Call> {
    app.world.tracker_calls(Endpoint::CreateIssue)
}

/// A document's text.
fn text(document: &Value) -> String {
    let own = document["text"].as_str().unwrap_or_default().to_owned();
    let parts = document["content"].as_array().into_iter().flatten().map(text);
    std::iter::once(own).chain(parts).filter(|it| !it.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The work for the tracker that is not done: topic and status.
async fn undone(app: &TestApp) -> Vec<(String, String)> {
    sqlx::query_as("select topic, status from outbox where topic like '%_ticket' and status <> 'delivered' order by payload ->> 'revision'")
        .fetch_all(&app.pool)
        .await
        .unwrap()
}
