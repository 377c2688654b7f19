//! Recovery: when a breaker closes, what waited for it becomes due at once, and not only when its own wait is over. Where an
//! operator forces it closed, all of its work becomes due, whatever that waits for.
//!
//! It moves times and makes no calls: how much then runs at once is bounded by the gates as ever. A gate that closed is
//! remembered in the process until its work is due; a crash forgets it, and the work waits out its own time, which is at most
//! `BACKOFF_CAP`.

use async_trait::async_trait;
use sqlx::PgConnection;

use super::{Closing, Key, capacity};
use crate::clock::Time;
use crate::db::backfills::Cause;
use crate::db::{WITHIN, conclude, outbox};
use crate::domain::Topic;
use crate::faults::Step;
use crate::workers::driver::{Counts, TickError, Worker};
use crate::workers::{Context, catch_up};

/// Rows in one commit. Each looks from the head of the queue, past all that is due already.
const BATCH: u16 = 2_000;

/// The worker.
pub struct Recovery(pub Context);

/// What a tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Gates that had closed.
    pub closed: usize,
    /// Work that became due.
    pub made_due: u64,
}

impl Counts for Recovered {
    fn found_work(&self) -> bool {
        self.closed > 0
    }

    fn record(&self) {}
}

#[async_trait]
impl Worker for Recovery {
    type Counts = Recovered;

    fn name(&self) -> &'static str {
        "recovery"
    }

    async fn tick(&self) -> Result<Recovered, TickError> {
        let Context { pool, gates, .. } = &self.0;
        let mut closings = gates.take_closed();
        if closings.keys().is_empty() {
            return Ok(Recovered::default());
        }
        let mut recovered = Recovered { closed: closings.keys().len(), made_due: 0 };
        for key in closings.keys() {
            let mut connection = pool.acquire().await?;
            let recovering = self.recover(&mut connection, &key, closings.of(&key));
            let result = tokio::time::timeout(WITHIN, recovering).await;
            let made_due: MadeDue = conclude(connection, result)?;
            recovered.made_due += made_due.rows;
            if !made_due.may_be_more {
                closings.done(&key);
            }
        }
        Ok(recovered)
    }
}

/// What became due in one commit.
struct MadeDue {
    rows: u64,
    may_be_more: bool,
}

impl Recovery {
    async fn recover(&self, connection: &mut PgConnection, key: &Key, closing: Closing) -> sqlx::Result<MadeDue> {
        let made_due = self.make_all_due(connection, key, closing.by_operator).await?;
        if !made_due.may_be_more {
            self.is_back(connection, key, closing.away_since).await?;
        }
        Ok(made_due)
    }

    async fn make_all_due(&self, connection: &mut PgConnection, key: &Key, by_operator: bool) -> sqlx::Result<MadeDue> {
        let mut all = MadeDue { rows: 0, may_be_more: false };
        for topic in capacity::topics(&self.0, key) {
            let rows = self.make_due(connection, topic, key, by_operator).await?;
            all.rows += rows;
            all.may_be_more |= rows >= BATCH.into();
            self.0.wakers.relay(topic).notify_one();
        }
        Ok(all)
    }

    async fn make_due(
        &self,
        connection: &mut PgConnection,
        topic: Topic,
        (system, _): &Key,
        by_operator: bool,
    ) -> sqlx::Result<u64> {
        let subscribers = (topic == Topic::DeliverEvent).then(|| self.0.subscribers.behind(system));
        let now = self.0.clock.now();
        let make_due = outbox::make_due(connection, topic, subscribers.as_deref(), by_operator, now, BATCH.into());
        self.0.faults.around(self.name(), Step::Settle, make_due).await
    }

    /// All that waited for one operation of a system is due. What else there is to do for a system that is back is done here.
    async fn is_back(
        &self,
        connection: &mut PgConnection,
        (system, operation): &Key,
        away_since: Option<Time>,
    ) -> sqlx::Result<()> {
        tracing::info!(%system, operation, "lets calls through again");
        if self.0.providers.get(system).is_some() {
            // Timers that were not claimed while the poller paused.
            self.0.wakers.poller.notify_one();
            // What it decided meanwhile it may have told nobody.
            catch_up::request_for(connection, &self.0, system, Cause::Breaker, away_since).await?;
        }
        Ok(())
    }
}
