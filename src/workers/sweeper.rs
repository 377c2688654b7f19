//! The sweeper deletes expired idempotency keys, makes facts that matched no opening for too long dead letters, empties dead
//! letters about openings that were erased before they came, adds up changes of the opening counts and sums of the fee
//! ledger, gives events their positions, notices a new start of the database server, cancels work for a tracker that is no
//! longer configured, deletes sessions that have ended and lists of bulk runs that were never started, and moves finished
//! work to the archives.
//!
//! Invariant: each sweep has commits of its own, and after a failing sweep the next takes another connection, so that it holds up
//! none of the others. A crash leaves whole sweeps undone; the next tick does them.

use std::panic::AssertUnwindSafe;

use async_trait::async_trait;
use chrono::TimeDelta;
use futures::FutureExt as _;
use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, PgConnection, Postgres};

use crate::clock::Time;
use crate::context::{Context, Policies};
use crate::db::archive::{self, Moved};
use crate::db::sessions::{self, Oldest};
use crate::db::{
    WITHIN, bulk_runs, conclude, database_starts, events, fee_ledger, idempotency, inbox, opening_counts, outbox,
};
use crate::driver::{Counts, TickError, Worker};
use crate::faults::Step;
use crate::telemetry::metrics;

/// Rows per commit.
const BATCH: i64 = 500;
/// How long the list of a bulk run waits for its start.
const LIST_KEPT: TimeDelta = TimeDelta::days(1);
/// Changes of counts or sums per commit: every batch of the inbox adds a few.
const CHANGES: i64 = 10_000;

/// The names of the sweeps in logs and metrics.
pub const SWEEPS: [&str; 13] = [
    "idempotency_keys",
    "parked_facts",
    "late_letters",
    "opening_counts",
    "fee_sums",
    "event_positions",
    "database_starts",
    "tracker_work",
    "sessions",
    "bulk_lists",
    "archived_facts",
    "archived_keys",
    "archived_work",
];

pub struct Sweeper(pub Context);

/// The result of a tick.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Expired idempotency keys deleted.
    pub keys: u64,
    /// Parked facts that became dead letters.
    pub parked: u64,
    /// Dead letters erased.
    pub erased: u64,
    /// Changes of the opening counts added up.
    pub counted: u64,
    /// Rows of the fee ledger's sums replaced by their totals.
    pub summed: Moved,
    /// Tracker work cancelled because no tracker is configured.
    pub given_up: u64,
    /// Events given a position.
    pub placed: u64,
    /// Starts of the database server recorded.
    pub starts: u64,
    /// Sessions of the dashboard deleted.
    pub sessions: u64,
    /// Lists of bulk runs deleted that were never started.
    pub lists: u64,
    /// Rows archived.
    pub archived: Archived,
    /// The sweeps that failed.
    pub failed: Vec<&'static str>,
}

/// Rows archived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Archived {
    /// Facts copied and emptied in the inbox.
    pub facts: Moved,
    /// Keys of archived facts deleted from the inbox.
    pub keys: Moved,
    pub work: Moved,
}

impl Counts for Swept {
    fn found_work(&self) -> bool {
        self.may_be_more() || !self.failed.is_empty()
    }

    /// Failed sweeps are retried with the next tick.
    fn may_be_more(&self) -> bool {
        let Archived { facts, keys, work } = self.archived;
        // Count changes arrive constantly; only a full batch justifies another tick at once.
        self.keys + self.parked + self.erased + self.given_up + self.sessions + self.lists > 0
            || self.counted >= CHANGES.unsigned_abs()
            || self.summed.more
            || self.placed >= events::MAX_PLACED
            || [facts, keys, work].iter().any(|it| it.more || it.rows > 0)
    }

    fn record(&self) {
        for (reason, count) in [("no_matching_opening", self.parked), ("no_tracker", self.given_up)] {
            metrics::failures(reason, count);
        }
        let Archived { facts, keys, work } = self.archived;
        for (what, moved) in [("facts", facts), ("keys", keys), ("work", work)] {
            metrics::archived(what, moved.rows);
        }
        for sweep in &self.failed {
            metrics::sweep_failure(sweep);
        }
    }
}

#[async_trait]
impl Worker for Sweeper {
    type Counts = Swept;

    fn name(&self) -> &'static str {
        "sweeper"
    }

    async fn tick(&self) -> Result<Swept, TickError> {
        let clock = &self.0.shell.clock;
        let parked_ttl = &self.0.policies.parked_ttl;
        let now = clock.now();
        let mut round = Round { sweeper: self, connection: None, failed: Vec::new() };
        let keys = round.sweep("idempotency_keys", async |it| idempotency::expire(it, now, BATCH).await).await?;
        let since = now - *parked_ttl;
        let parked = round.sweep("parked_facts", async |it| inbox::expire_parked(it, since, now, BATCH).await).await?;
        let erased = round.sweep("late_letters", async |it| inbox::erase_late(it, now, BATCH).await).await?;
        let counted = round.sweep("opening_counts", async |it| opening_counts::add_up(it, CHANGES).await).await?;
        let summed = round.sweep("fee_sums", async |it| fee_ledger::add_up(it, CHANGES).await).await?;
        let placed = round.sweep("event_positions", async |it| events::place(it, now).await).await?;
        let starts = round.sweep("database_starts", async |it| database_starts::notice(it, now).await).await?;
        let given_up = round.sweep("tracker_work", async |it| self.give_up_tracker_work(it, now).await).await?;
        let Policies { session_idle, session_max, .. } = self.0.policies;
        let oldest = Oldest::at(now, session_idle, session_max);
        let sessions = round.sweep("sessions", async |it| sessions::expire(it, oldest, BATCH).await).await?;
        let prepared = now - LIST_KEPT;
        let lists = round.sweep("bulk_lists", async |it| bulk_runs::expire(it, prepared, BATCH).await).await?;
        let archived = self.archive(&mut round, now).await?;
        let failed = round.failed;
        Ok(Swept { keys, parked, erased, counted, summed, given_up, placed, starts, sessions, lists, archived, failed })
    }
}

/// A tick in progress.
struct Round<'a> {
    sweeper: &'a Sweeper,
    /// The connection of the sweep before, unless that failed.
    connection: Option<PoolConnection<Postgres>>,
    failed: Vec<&'static str>,
}

impl Round<'_> {
    /// Runs one sweep. An error is logged and counted, and the next sweep runs; only a database without a free connection ends
    /// the tick.
    async fn sweep<T: Default>(
        &mut self,
        name: &'static str,
        work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<T, TickError> {
        let faults = &self.sweeper.0.shell.faults;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.sweeper.0.cell.pool.acquire().await?,
        };
        let work = AssertUnwindSafe(faults.around(self.sweeper.name(), Step::Settle, work(&mut connection)));
        let work = async {
            match work.catch_unwind().await {
                Ok(done) => done.map_err(TickError::from),
                Err(_panic) => Err(TickError::Panicked),
            }
        };
        let result = tokio::time::timeout(WITHIN, work).await;
        if let Ok(Ok(done)) = result {
            self.connection = Some(connection);
            return Ok(done);
        }
        Ok(conclude(connection, result).unwrap_or_else(|error: TickError| {
            tracing::warn!(sweep = name, %error, "a sweep failed; it is retried with the next round");
            self.failed.push(name);
            T::default()
        }))
    }
}

impl Sweeper {
    async fn archive(&self, round: &mut Round<'_>, now: Time) -> Result<Archived, TickError> {
        let Policies { archive_after, inbox_keys_for, .. } = self.0.policies;
        let facts = round.sweep("archived_facts", async |it| {
            self.in_one_commit(it, async |it| archive::facts(it, archive_after, now).await).await
        });
        let facts = facts.await?;
        let keys = round.sweep("archived_keys", async |it| {
            self.in_one_commit(it, async |it| archive::keys(it, inbox_keys_for, now).await).await
        });
        let keys = keys.await?;
        let work = round.sweep("archived_work", async |it| {
            self.in_one_commit(it, async |it| archive::work(it, archive_after, now).await).await
        });
        Ok(Archived { facts, keys, work: work.await? })
    }

    /// Runs the step in one commit, so that a delete from one table and its copy in another take effect together.
    async fn in_one_commit(
        &self,
        connection: &mut PgConnection,
        step: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<Moved>,
    ) -> sqlx::Result<Moved> {
        let mut transaction = connection.begin().await?;
        let moved = step(&mut transaction).await?;
        self.0.shell.faults.around(self.name(), Step::Commit, transaction.commit()).await?;
        Ok(moved)
    }

    /// Cancels tracker work if no tracker is configured. A replica that has one may still send it (rolling restart), so
    /// it is kept as long as an outage of the tracker would be waited out.
    async fn give_up_tracker_work(&self, connection: &mut PgConnection, now: Time) -> sqlx::Result<u64> {
        if self.0.outside.tracker.is_some() {
            return Ok(0);
        }
        let given_up =
            outbox::give_up_tracker_work(connection, now - self.0.policies.retry.retry_for, now, BATCH).await?;
        if given_up > 0 {
            tracing::warn!(tickets = given_up, "no ticket tracker is configured; cancelled its old work");
        }
        Ok(given_up)
    }
}
