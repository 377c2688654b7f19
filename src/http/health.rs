//! Liveness, readiness and metrics for machines.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use chrono::TimeDelta;
use serde_json::json;
use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, PgConnection, PgPool, Postgres};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::AppState;
use super::heart::Heart;
use crate::clock::{MAX_SKEW, Time};
use crate::db::gauges::{self, Count, OpenMismatches};
use crate::db::{conclude, describe, opening_counts, refusal};
use crate::telemetry::metrics;

/// Time limit for reading from the database.
const PATIENCE: Duration = Duration::from_secs(2);
/// After this part of it, look for the reason why the pool has no connection.
const WONDERS_AFTER: Duration = Duration::from_secs(1);

/// The reason if the database does not answer.
const LATE: &str = "the database does not answer in time";

/// Label sets that a gauge has had: a count that disappeared must be reported as 0 instead of its last value.
type Seen = Arc<Mutex<HashSet<(&'static str, String, String)>>>;

/// `/livez`, `/readyz`, `/metrics`.
pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .layer(Extension(Seen::default()))
        .layer(Extension(Heart::default()))
        .with_state(Arc::new(state))
}

pub async fn live() -> &'static str {
    "ok"
}

/// Whether requests can be served durably: the database answers and accepts writes, and its clock agrees.
async fn ready(State(state): State<Arc<AppState>>, Extension(heart): Extension<Heart>) -> Response {
    let problems = problems(&state, &heart).await;
    if problems.is_empty() {
        return Json(json!({"ready": true})).into_response();
    }
    let body = Json(json!({"ready": false, "problems": problems}));
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "2")], body).into_response()
}

async fn problems(state: &AppState, heart: &Heart) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    let looked = match acquired(&state.cell.pool, deadline).await {
        Ok(mut connection) => {
            let result = timeout_at(deadline, look(&mut connection, state, heart)).await;
            conclude(connection, result)
        }
        Err(error) => Err(error),
    };
    match looked {
        Ok(problems) => problems.into_iter().map(ToOwned::to_owned).collect(),
        Err(error) => {
            let cause = describe(&error);
            tracing::warn!(error = cause, "not ready");
            vec![if Instant::now() < deadline { format!("the database is away: {cause}") } else { LATE.to_owned() }]
        }
    }
}

/// A connection of the pool, or the reason why none can be opened; the pool itself reports only a time-out.
async fn acquired(pool: &PgPool, deadline: Instant) -> sqlx::Result<PoolConnection<Postgres>> {
    let wondering = async {
        sleep_until(deadline - PATIENCE + WONDERS_AFTER).await;
        refusal(pool).await
    };
    tokio::select! {
        acquired = timeout_at(deadline, pool.acquire()) => acquired.unwrap_or(Err(sqlx::Error::PoolTimedOut)),
        Some(refusal) = wondering => Err(refusal),
    }
}

async fn look(connection: &mut PgConnection, state: &AppState, heart: &Heart) -> sqlx::Result<Vec<&'static str>> {
    let server = gauges::server(connection).await?;
    let skew = (state.shell.clock.now() - server.now).abs();
    let takes_no_writes = server.is_standby || server.read_only;
    let checks = [
        (server.is_standby, "the database is a standby"),
        (server.read_only, "the database is read-only"),
        (!server.fsync, "the database runs with fsync off"),
        (!server.synchronous_commit, "the database runs with synchronous_commit off"),
        (skew > MAX_SKEW, "our clock is over 5 s away from the database's"),
        (
            !takes_no_writes && !heart.beats(connection, state.shell.clock.now()).await,
            "the database does not take a write",
        ),
    ];
    Ok(checks.into_iter().filter(|(wrong, _)| *wrong).map(|(_, problem)| problem).collect())
}

/// Metrics in Prometheus' text format. While the database is down, gauges read from it keep their values.
async fn metrics(
    State(state): State<Arc<AppState>>,
    Extension(seen): Extension<Seen>,
    Extension(heart): Extension<Heart>,
) -> Response {
    state.webhook_activity.show(state.shell.clock.now());
    let gauging = tokio::time::timeout(PATIENCE, gauge(&state, &seen));
    let (problems, gauged) = tokio::join!(problems(&state, &heart), gauging);
    metrics::ready(problems.is_empty());
    match gauged {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(
                cause = describe(&error),
                "reading gauges from the database failed; metrics show old values"
            );
        }
        Err(_) => tracing::warn!("reading gauges from the database timed out; metrics show old values"),
    }
    state.metrics.run_upkeep();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], state.metrics.render()).into_response()
}

async fn gauge(state: &AppState, seen: &Seen) -> sqlx::Result<()> {
    let now = state.shell.clock.now();
    let mut connection = state.cell.pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    gauges::by_index(&mut transaction).await?;
    let age = |since: Option<Time>| since.map_or(TimeDelta::zero(), |since| (now - since).max(TimeDelta::zero()));
    for queue in gauges::queues(&mut transaction, now).await? {
        metrics::queue(&queue.name, queue.depth, age(queue.oldest));
    }
    let unshown = gauges::oldest_unshown(&mut transaction).await?;
    metrics::events_oldest_unshown(age(unshown));
    let openings = opening_counts::all(&mut transaction).await?;
    let dead = gauges::dead_letters(&mut transaction).await?;
    let mismatches = gauges::mismatches(&mut transaction).await?;
    let reports = gauges::newest_reports(&mut transaction).await?;
    transaction.rollback().await?;
    drop(connection);
    for Count { second: market, .. } in &openings {
        metrics::escalations_of(market);
    }
    set(seen, "openings", metrics::openings, openings);
    set(seen, "dead_letters", metrics::dead_letters, dead);
    show_mismatches(seen, mismatches, now);
    for (provider, kind, received_at) in reports {
        metrics::report_age(provider, kind, age(Some(received_at)));
    }
    Ok(())
}

fn show_mismatches(seen: &Seen, mismatches: Vec<OpenMismatches>, now: Time) {
    let mut oldest: BTreeMap<String, Time> = BTreeMap::new();
    for it in &mismatches {
        let since = oldest.entry(it.class.clone()).or_insert(it.oldest);
        *since = it.oldest.min(*since);
    }
    let count = |it: OpenMismatches| Count { first: it.class, second: it.state, count: it.count };
    set(seen, "mismatches", metrics::mismatches, mismatches.into_iter().map(count).collect());
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    for (_, class, _) in seen.iter().filter(|(name, ..)| *name == "mismatches") {
        let age = oldest.get(class).map_or(TimeDelta::zero(), |since| now - *since);
        metrics::mismatch_oldest(class, age.max(TimeDelta::zero()));
    }
}

fn set(seen: &Seen, metric: &'static str, gauge: fn(&str, &str, i64), counts: Vec<Count>) {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    for (_, first, second) in seen.iter().filter(|(name, ..)| *name == metric) {
        gauge(first, second, 0);
    }
    for Count { first, second, count } in counts {
        gauge(&first, &second, count);
        seen.insert((metric, first, second));
    }
}
