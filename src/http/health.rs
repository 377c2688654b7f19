//! For machines: is it alive, is it ready, how is it doing.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Instant, timeout_at};

use super::Edge;
use super::heart::Heart;
use crate::clock::MAX_SKEW;
use crate::db::gauges::{self, Count};
use crate::db::{conclude, describe, opening_counts};

/// The longest that a look at the database may take here.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is said of a database that says nothing.
const LATE: &str = "the database does not answer in time";

/// Labels that a gauge has had: one whose count became none must say 0, not what it last was.
type Seen = Arc<Mutex<HashSet<(&'static str, String, String)>>>;

/// `/livez`, `/readyz`, `/metrics`.
pub fn router(edge: Edge) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .layer(Extension(Seen::default()))
        .layer(Extension(Heart::default()))
        .with_state(edge)
}

/// The process answers.
pub async fn live() -> &'static str {
    "ok"
}

/// Requests can be served, durably: the database answers, takes a write, and its clock is ours.
async fn ready(State(edge): State<Edge>, Extension(heart): Extension<Heart>) -> Response {
    let problems = known_problems(edge, heart).await;
    if problems.is_empty() {
        return Json(json!({"ready": true})).into_response();
    }
    let body = Json(json!({"ready": false, "problems": problems}));
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "2")], body).into_response()
}

/// In a task of its own: a machine that hangs up leaves neither the connection nor the heart in the middle of something.
async fn known_problems(edge: Edge, heart: Heart) -> Vec<&'static str> {
    let problems = tokio::spawn(async move { problems(&edge, &heart).await }).await;
    problems.unwrap_or_else(|_| vec!["looking at the database failed"])
}

async fn problems(edge: &Edge, heart: &Heart) -> Vec<&'static str> {
    let deadline = Instant::now() + PATIENCE;
    let looked = match timeout_at(deadline, edge.pool.acquire()).await {
        Ok(Ok(mut connection)) => {
            let result = timeout_at(deadline, look(&mut connection, edge, heart)).await;
            conclude(connection, result)
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Ok(vec![LATE]),
    };
    match looked {
        Ok(problems) => problems,
        Err(error) => {
            tracing::warn!(error = describe(&error), "not ready");
            vec![if Instant::now() < deadline { "the database is away" } else { LATE }]
        }
    }
}

async fn look(connection: &mut PgConnection, edge: &Edge, heart: &Heart) -> sqlx::Result<Vec<&'static str>> {
    let server = gauges::server(connection).await?;
    let skew = (edge.clock.now() - server.now).abs();
    let takes_no_writes = server.is_standby || server.read_only;
    let checks = [
        (server.is_standby, "the database is a standby"),
        (server.read_only, "the database is read-only"),
        (!server.fsync, "the database runs with fsync off"),
        (!server.synchronous_commit, "the database runs with synchronous_commit off"),
        (skew > MAX_SKEW, "our clock is over 5 s away from the database's"),
        (!takes_no_writes && !heart.beats(connection, edge.clock.now()).await, "the database does not take a write"),
    ];
    Ok(checks.into_iter().filter(|(wrong, _)| *wrong).map(|(_, problem)| problem).collect())
}

/// Prometheus text. While the database is away, everything but what is counted there.
async fn metrics(
    State(edge): State<Edge>,
    Extension(seen): Extension<Seen>,
    Extension(heart): Extension<Heart>,
) -> Response {
    edge.heard.show(edge.clock.now());
    let gauging = tokio::time::timeout(PATIENCE, gauge(&edge, &seen));
    let (problems, gauged) = tokio::join!(known_problems(edge.clone(), heart), gauging);
    metrics::gauge!("account_opening_ready").set(if problems.is_empty() { 1.0 } else { 0.0 });
    match gauged {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(cause = describe(&error), "gauges of the database are not current"),
        Err(_) => tracing::warn!("gauges of the database are not current: no answer in time"),
    }
    edge.metrics.run_upkeep();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], edge.metrics.render()).into_response()
}

async fn gauge(edge: &Edge, seen: &Seen) -> sqlx::Result<()> {
    let now = edge.clock.now();
    let mut connection = edge.pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    gauges::by_index(&mut transaction).await?;
    for queue in gauges::queues(&mut transaction, now).await? {
        let age = queue.oldest.map_or(0.0, |oldest| (now - oldest).as_seconds_f64().max(0.0));
        let name = queue.name;
        #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
        let depth = queue.depth as f64;
        metrics::gauge!("account_opening_queue_depth", "queue" => name.clone()).set(depth);
        metrics::gauge!("account_opening_queue_oldest_seconds", "queue" => name).set(age);
    }
    let openings = opening_counts::all(&mut transaction).await?;
    let unshown = gauges::oldest_unshown_event(&mut transaction).await?;
    let dead = gauges::dead_letters(&mut transaction).await?;
    transaction.rollback().await?;
    drop(connection);
    let unshown = unshown.map_or(0.0, |oldest| (now - oldest).as_seconds_f64().max(0.0));
    metrics::gauge!("account_opening_events_oldest_unshown_seconds").set(unshown);
    for Count { second: market, .. } in &openings {
        // From zero on, in every process: the first escalation of a market must be an increase.
        metrics::counter!("account_opening_escalations_total", "market" => market.clone()).increment(0);
    }
    set(seen, "account_opening_openings", ["state", "market"], openings);
    set(seen, "account_opening_dead_letters", ["queue", "cause"], dead);
    Ok(())
}

fn set(seen: &Seen, metric: &'static str, labels: [&'static str; 2], counts: Vec<Count>) {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let gauge = |first: &str, second: &str, value: f64| {
        let labels = [(labels[0], first.to_owned()), (labels[1], second.to_owned())];
        metrics::gauge!(metric, &labels).set(value);
    };
    for (_, first, second) in seen.iter().filter(|(name, ..)| *name == metric) {
        gauge(first, second, 0.0);
    }
    for Count { first, second, count } in counts {
        #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
        gauge(&first, &second, count as f64);
        seen.insert((metric, first, second));
    }
}
