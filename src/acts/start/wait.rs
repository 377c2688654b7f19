//! The wait of a caller on the synchronous flow: until the opening is decided, for at most `SYNC_WAIT`.
//!
//! Opening and key are committed before the wait, so nothing depends on it: the key says until when a caller waits. The waiting
//! caller settles the key with its answer, or a repeat does once that time has passed. Every later repeat is given the same
//! answer. A crash of the waiting process leaves that to the repeat.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::{Instant, sleep};

use super::{ACCEPTED, CREATED, OK};
use crate::acts::Acts;
use crate::clock::Time;
use crate::db::idempotency::{self, Answer, Key};
use crate::db::{self, describe, openings};
use crate::domain::resource::Resource;
use crate::domain::{Opening, OpeningId, Status};

/// How often a waiting request reads its opening: another replica may decide it, so only the database tells.
const LOOK: Duration = Duration::from_millis(100);

/// Waits for the decision. A service that stops keeps no caller waiting.
pub(super) async fn wait(acts: &Acts, id: OpeningId, until: Time) {
    tokio::select! {
        () = decided(acts, id) => {}
        () = time_is_up(acts, until) => {}
        () = acts.stopping.cancelled() => {}
    }
}

async fn decided(acts: &Acts, id: OpeningId) {
    loop {
        sleep(LOOK).await;
        match read(acts, id).await {
            Ok(Some(opening)) if opening.state_name().status() != Status::InProgress => return,
            Ok(_) => {}
            Err(error) => tracing::debug!(cause = describe(&error), "a waiting request cannot read its opening yet"),
        }
    }
}

/// Reads in a task of its own: the end of the wait drops this future, and a dropped read would cost its connection.
async fn read(acts: &Acts, id: OpeningId) -> sqlx::Result<Option<Opening>> {
    let Ok(permit) = Arc::clone(&acts.waiting_reads).acquire_owned().await else { return Ok(None) };
    let pool = acts.cell.pool.clone();
    let reading = tokio::spawn(async move {
        let _permit = permit;
        db::once(&pool, async move |connection: &mut PgConnection| openings::get(connection, id).await).await
    });
    reading.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}

/// By the clock, which repeats go by; and by the time that passes, should the clock be set back.
async fn time_is_up(acts: &Acts, until: Time) {
    let latest = Instant::now() + acts.settings.sync_wait;
    loop {
        let by_clock = (until - acts.shell.clock.now()).to_std().unwrap_or_default();
        let left = by_clock.min(latest.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return;
        }
        sleep(left.min(LOOK)).await;
    }
}

/// Settles the key with the opening as it is now, or finds the answer that settled it before.
pub(super) async fn conclude(
    connection: &mut PgConnection,
    key: Key<'_>,
    held: &Answer,
    now: Time,
) -> sqlx::Result<Answer> {
    let id = OpeningId(held.opening_id);
    let Some(opening) = openings::get(connection, id).await? else { return Ok(held.clone()) };
    let (status, body) = answer_of(&opening);
    idempotency::settle(connection, key, id.0, (status, &body)).await?;
    let stands = idempotency::get(connection, key, now).await?;
    // A key that has expired meanwhile may belong to another opening.
    let ours = stands.filter(|it| it.opening_id == id.0 && it.waits_until.is_none());
    Ok(ours.unwrap_or_else(|| Answer { status, body, waits_until: None, ..held.clone() }))
}

fn answer_of(opening: &Opening) -> (i32, String) {
    let status = match opening.state_name().status() {
        Status::Succeeded => CREATED,
        Status::Rejected | Status::Failed => OK,
        Status::InProgress => ACCEPTED,
    };
    (status, serde_json::to_string(&Resource::from(opening)).unwrap_or_default())
}
