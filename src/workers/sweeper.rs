//! The sweeper: expired idempotency keys go, facts that matched nothing for too long become dead letters, dead letters about an
//! opening that was erased before they came are emptied, facts that an older neighbour buried are dug up, timers that it wrote
//! are filled in, and changes of how many openings there are are added up.

use async_trait::async_trait;
use chrono::TimeDelta;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Context;
use super::driver::{Counts, TickError, Worker};
use super::inbox::is_readable;
use crate::clock::Time;
use crate::db::{WITHIN, conclude, idempotency, inbox, opening_counts, timers};
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
}

impl Counts for Swept {
    fn found_work(&self) -> bool {
        // Changes come all the time: only a full batch is a reason to go round again at once.
        self.keys + self.parked + self.erased + self.dug_up + self.timers > 0 || self.counted >= CHANGES.unsigned_abs()
    }

    fn record(&self) {
        metrics::counter!("account_opening_failures_total", "reason" => "no_matching_opening").increment(self.parked);
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
            Ok::<_, TickError>(Swept { keys, parked, erased, dug_up, timers, counted })
        };
        let result = tokio::time::timeout(WITHIN, sweeping).await;
        conclude(connection, result)
    }
}

impl Sweeper {
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
