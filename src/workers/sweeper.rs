//! The sweeper deletes expired idempotency keys, makes facts that matched no opening for too long dead letters, empties dead
//! letters about openings that were erased before they came, adds up changes of the opening counts, gives events their positions,
//! notices a new start of the database server, cancels work for a tracker that is no longer configured, and moves finished work
//! to the archives.
//!
//! Invariant: each sweep has a connection and commits of its own, so that a failing sweep holds up none of the others. A crash
//! leaves whole sweeps undone; the next tick does them.

use std::panic::AssertUnwindSafe;

use async_trait::async_trait;
use futures::FutureExt as _;
use sqlx::{Connection as _, PgConnection};

use super::Context;
use crate::clock::Time;
use crate::db::archive::{self, Moved};
use crate::db::{WITHIN, conclude, database_starts, events, idempotency, inbox, opening_counts, outbox};
use crate::driver::{Counts, TickError, Worker};
use crate::faults::Step;
use crate::telemetry::metrics;

/// Rows in one commit.
const BATCH: i64 = 500;
/// Changes of counts in one commit: a few come with every batch of the inbox.
const CHANGES: i64 = 10_000;

/// The sweeps, as logs and metrics name them.
pub const SWEEPS: [&str; 10] = [
    "idempotency_keys",
    "parked_facts",
    "late_letters",
    "opening_counts",
    "event_positions",
    "database_starts",
    "tracker_work",
    "archived_facts",
    "archived_keys",
    "archived_work",
];

/// The worker.
pub struct Sweeper(pub Context);

/// What a tick did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Idempotency keys that expired.
    pub keys: u64,
    /// Parked facts that became dead letters.
    pub parked: u64,
    /// Dead letters that were emptied.
    pub erased: u64,
    /// Changes of how many openings there are that were added up.
    pub counted: u64,
    /// Work for the tracker that was given up, since none is configured.
    pub given_up: u64,
    /// Events that were given a position.
    pub placed: u64,
    /// Starts of the database server that were noticed.
    pub starts: u64,
    /// What moved to the archives.
    pub archived: Archived,
    /// The sweeps that failed.
    pub failed: Vec<&'static str>,
}

/// What moved to the archives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Archived {
    /// Facts that were copied there and emptied in the inbox.
    pub facts: Moved,
    /// Facts of which the inbox had kept the key, and does no more.
    pub keys: Moved,
    /// Deliveries and commands.
    pub work: Moved,
}

impl Counts for Swept {
    fn found_work(&self) -> bool {
        self.may_be_more() || !self.failed.is_empty()
    }

    /// What failed is tried again in its own time.
    fn may_be_more(&self) -> bool {
        let Archived { facts, keys, work } = self.archived;
        // Changes come all the time: only a full batch is a reason to go round again at once.
        self.keys + self.parked + self.erased + self.given_up > 0
            || self.counted >= CHANGES.unsigned_abs()
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
        let Context { clock, parked_ttl, .. } = &self.0;
        let now = clock.now();
        let mut round = Round { sweeper: self, failed: Vec::new() };
        let keys = round.sweep("idempotency_keys", async |it| idempotency::expire(it, now, BATCH).await).await?;
        let since = now - *parked_ttl;
        let parked = round.sweep("parked_facts", async |it| inbox::expire_parked(it, since, now, BATCH).await).await?;
        let erased = round.sweep("late_letters", async |it| inbox::erase_late(it, now, BATCH).await).await?;
        let counted = round.sweep("opening_counts", async |it| opening_counts::add_up(it, CHANGES).await).await?;
        let placed = round.sweep("event_positions", async |it| events::place(it, now).await).await?;
        let starts = round.sweep("database_starts", async |it| database_starts::notice(it, now).await).await?;
        let given_up = round.sweep("tracker_work", async |it| self.give_up_tracker_work(it, now).await).await?;
        let archived = self.archive(&mut round, now).await?;
        let failed = round.failed;
        Ok(Swept { keys, parked, erased, counted, given_up, placed, starts, archived, failed })
    }
}

/// A tick under way.
struct Round<'a> {
    sweeper: &'a Sweeper,
    failed: Vec<&'static str>,
}

impl Round<'_> {
    /// Does one sweep on a connection of its own. Whatever that meets is logged and counted, and the next sweep goes on: only a
    /// database that gives no connection ends the tick.
    async fn sweep<T: Default>(
        &mut self,
        name: &'static str,
        work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<T, TickError> {
        let Context { pool, faults, .. } = &self.sweeper.0;
        let mut connection = pool.acquire().await?;
        let work = AssertUnwindSafe(faults.around(self.sweeper.name(), Step::Settle, work(&mut connection)));
        let work = async {
            match work.catch_unwind().await {
                Ok(done) => done.map_err(TickError::from),
                Err(_panic) => Err(TickError::Panicked),
            }
        };
        let result = tokio::time::timeout(WITHIN, work).await;
        Ok(conclude(connection, result).unwrap_or_else(|error: TickError| {
            tracing::warn!(sweep = name, %error, "a sweep failed; it is retried with the next round");
            self.failed.push(name);
            T::default()
        }))
    }
}

impl Sweeper {
    async fn archive(&self, round: &mut Round<'_>, now: Time) -> Result<Archived, TickError> {
        let Context { archive_after, inbox_keys_for, .. } = self.0;
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

    /// In a commit of its own, so that what is deleted from one table and what was copied to another stand or fall together.
    async fn in_one_commit(
        &self,
        connection: &mut PgConnection,
        step: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<Moved>,
    ) -> sqlx::Result<Moved> {
        let mut transaction = connection.begin().await?;
        let moved = step(&mut transaction).await?;
        self.0.faults.around(self.name(), Step::Commit, transaction.commit()).await?;
        Ok(moved)
    }

    /// Gives up work for the tracker where none is configured. A replica that has one may still do it (a rolling restart), so it
    /// waits for as long as an outage of the tracker is waited out.
    async fn give_up_tracker_work(&self, connection: &mut PgConnection, now: Time) -> sqlx::Result<u64> {
        if self.0.tracker.is_some() {
            return Ok(0);
        }
        let given_up = outbox::give_up_tracker_work(connection, now - self.0.retry.retry_for, now, BATCH).await?;
        if given_up > 0 {
            tracing::warn!(tickets = given_up, "no ticket tracker is configured; cancelled its old work");
        }
        Ok(given_up)
    }
}
