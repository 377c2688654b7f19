//! Backfills: what a provider decided while the service was away is learnt from its list, through the inbox like any fact.

mod asked;
mod pages;
mod polls;
mod process;
mod silence;
mod starts;

use account_opening::app::Parts;
use account_opening::clock::Time;
use account_opening::context::Context;
use account_opening::db::backfills::Cause;
use account_opening::domain::chain::HistoryKey;
use account_opening::driver::{TickError, tick};
use account_opening::workers::backfill::{Backfill, Backfilled, request_for};
use serde_json::Value;
use uuid::Uuid;
use world::{Endpoint, Plan, Verdict, Webhooks};

use crate::support::{KEY, TestApp};

/// Where the backfills of the bank are listed.
const BACKFILLS: &str = "/v1/providers/nexusbank/backfills";

/// The workers of a process that has just started on the app's database: it remembers nothing.
fn started(app: &TestApp) -> Context {
    let settings = (*app.state.settings).clone();
    Parts::new(settings, app.state.cell.pool.clone(), HistoryKey::new(&KEY), app.clock.clone()).unwrap().context
}

/// Ends the app's process, as far as its memory goes, and starts another.
fn restart(app: &mut TestApp) {
    app.context = started(app);
}

/// One step of a backfill.
async fn step(context: &Context) -> Result<Backfilled, TickError> {
    tick(&Backfill(context.clone())).await
}

/// Has a provider's list pulled, as the service does by itself.
async fn ask_for(
    context: &Context,
    provider: &str,
    cause: Cause,
    away_since: Option<Time>,
) -> sqlx::Result<Option<Uuid>> {
    let mut connection = context.cell.pool.acquire().await?;
    request_for(&mut connection, context, provider, cause, away_since).await
}

/// Openings that wait for a bank that sends no webhooks.
async fn waiting(app: &TestApp, openings: usize) -> Vec<String> {
    let silent = Plan { webhooks: Webhooks { dropped: true, ..Webhooks::default() }, ..Plan::by_hand() };
    let mut ids = Vec::new();
    for _ in 0..openings {
        ids.push(app.open().plan(silent.clone()).start().await);
    }
    app.settle().await;
    ids
}

/// The bank completes them.
fn complete(app: &TestApp, ids: &[String]) {
    for id in ids {
        app.world.decide(id, &Verdict::complete()).unwrap();
    }
}

/// The openings that are completed.
async fn completed(app: &TestApp) -> usize {
    app.items("/v1/account-openings?state=completed").await.len()
}

/// How often the bank was asked about a single request.
fn lookups(app: &TestApp) -> u64 {
    app.world.ledger().openings.values().map(|it| it.calls(Endpoint::Lookup)).sum()
}

/// The backfills so far, newest first.
async fn backfills(app: &TestApp) -> Vec<Value> {
    app.items(BACKFILLS).await
}
