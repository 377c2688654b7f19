//! The sweeper: expired idempotency keys go, facts that matched nothing for too long become dead letters, dead letters about an
//! opening that was erased before they came are emptied, facts that an older neighbour buried are dug up, timers that it wrote
//! are filled in, changes of how many openings there are are added up, events are given their positions, a new start of the
//! database server is noticed, and what is done with moves to the archives.

use async_trait::async_trait;
use chrono::TimeDelta;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::Context;
use super::driver::{Counts, TickError, Worker};
use super::inbox::is_readable;
use crate::clock::Time;
use crate::db::archive::{self, Moved};
use crate::db::{WITHIN, conclude, database_starts, events, idempotency, inbox, opening_counts, timers};
use crate::faults::Step;

/// Rows in one commit.
const BATCH: i64 = 500;
/// Changes of counts in one commit: a few come with every batch of the inbox.
const CHANGES: i64 = 10_000;

/// Two versions run beside each other for less than this.
const UPGRADE: TimeDelta = TimeDelta::days(7);

/// The worker.
pub struct Sweeper(pub Context);

/// What a tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Idempotency keys that expired.
    pub keys: u64,
    /// Parked facts that became dead letters.
    pub parked: u64,
    /// Dead letters that were emptied.
    pub erased: u64,
    /// Facts that an older version could not read.
    pub dug_up: u64,
    /// Timers that an older version wrote.
    pub timers: u64,
    /// Changes of how many openings there are that were added up.
    pub counted: u64,
    /// Events that were given a position.
    pub placed: u64,
    /// Starts of the database server that were noticed.
    pub starts: u64,
    /// What moved to the archives.
    pub archived: Archived,
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
        let Archived { facts, keys, work } = self.archived;
        // Changes come all the time: only a full batch is a reason to go round again at once.
        self.keys + self.parked + self.erased + self.dug_up + self.timers > 0
            || self.counted >= CHANGES.unsigned_abs()
            || self.placed >= events::MAX_PLACED
            || [facts, keys, work].iter().any(|it| it.more || it.rows > 0)
    }

    fn record(&self) {
        metrics::counter!("account_opening_failures_total", "reason" => "no_matching_opening").increment(self.parked);
        let Archived { facts, keys, work } = self.archived;
        for (what, moved) in [("facts", facts), ("keys", keys), ("work", work)] {
            metrics::counter!("account_opening_archived_total", "what" => what).increment(moved.rows);
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
        let Context { pool, clock, parked_ttl, faults, .. } = &self.0;
        let now = clock.now();
        let mut connection = pool.acquire().await?;
        let sweeping = async {
            let expire = idempotency::expire(&mut connection, now, BATCH);
            let keys = faults.around(self.name(), Step::Settle, expire).await?;
            let expire = inbox::expire_parked(&mut connection, now - *parked_ttl, now, BATCH);
            let parked = faults.around(self.name(), Step::Settle, expire).await?;
            let erase = inbox::erase_late(&mut connection, now, BATCH);
            let erased = faults.around(self.name(), Step::Settle, erase).await?;
            let dig = self.dig_up(&mut connection, now);
            let dug_up = faults.around(self.name(), Step::Settle, dig).await?;
            let fill_in = timers::fill_in(&mut connection, BATCH);
            let timers = faults.around(self.name(), Step::Settle, fill_in).await?;
            let add_up = opening_counts::add_up(&mut connection, CHANGES);
            let counted = faults.around(self.name(), Step::Settle, add_up).await?;
            let place = events::place(&mut connection, now);
            let placed = faults.around(self.name(), Step::Settle, place).await?;
            let notice = database_starts::notice(&mut connection, now);
            let starts = faults.around(self.name(), Step::Settle, notice).await?;
            let archived = self.archive(&mut connection, now).await?;
            Ok::<_, TickError>(Swept { keys, parked, erased, dug_up, timers, counted, placed, starts, archived })
        };
        let result = tokio::time::timeout(WITHIN, sweeping).await;
        conclude(connection, result)
    }
}

impl Sweeper {
    /// Each in a commit of its own, so that what is deleted from one table and what was copied to another stand or fall together.
    async fn archive(&self, connection: &mut PgConnection, now: Time) -> Result<Archived, TickError> {
        let Context { archive_after, inbox_keys_for, .. } = self.0;
        let facts = self
            .in_one_commit(connection, async |connection| archive::facts(connection, archive_after, now).await)
            .await;
        let keys = self
            .in_one_commit(connection, async |connection| archive::keys(connection, inbox_keys_for, now).await)
            .await;
        let work = self
            .in_one_commit(connection, async |connection| archive::work(connection, archive_after, now).await)
            .await;
        // One that fails holds up none of the others.
        Ok(Archived { facts: facts?, keys: keys?, work: work? })
    }

    async fn in_one_commit(
        &self,
        connection: &mut PgConnection,
        step: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<Moved>,
    ) -> Result<Moved, TickError> {
        let faults = &self.0.faults;
        let mut transaction = connection.begin().await?;
        let moved = faults.around(self.name(), Step::Settle, step(&mut transaction)).await?;
        faults.around(self.name(), Step::Commit, transaction.commit()).await?;
        Ok(moved)
    }

    async fn dig_up(&self, connection: &mut PgConnection, now: Time) -> sqlx::Result<u64> {
        let Context { providers, wakers, .. } = &self.0;
        let buried = inbox::buried(connection, now - UPGRADE, BATCH).await?;
        let ours: Vec<Uuid> = buried.iter().filter(|it| is_readable(providers, it)).map(|it| it.id).collect();
        let dug_up = inbox::dig_up(connection, &ours, now).await?;
        if dug_up > 0 {
            tracing::warn!(facts = dug_up, "facts that an older version could not read are decided after all");
            wakers.inbox.notify_one();
        }
        Ok(dug_up)
    }
}
