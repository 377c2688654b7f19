//! Writes down when providers were last heard of, and learns what other replicas heard.
//!
//! It is one small write every few seconds, whatever the load: no webhook waits for it, and no row is written by each batch.
//! A crash loses the seconds since the last one.

use async_trait::async_trait;
use sqlx::Connection;

use super::Context;
use crate::clock::MAX_SKEW;
use crate::db::{WITHIN, conclude, webhook_marks};
use crate::driver::{Counts, TickError, Worker};
use crate::faults::Step;

/// The worker.
pub struct Marks(pub Context);

/// What a tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marked {
    /// Marks that moved.
    pub moved: usize,
}

impl Counts for Marked {
    /// What moved is written; what moves next is written in its own time.
    fn found_work(&self) -> bool {
        false
    }

    fn record(&self) {}
}

#[async_trait]
impl Worker for Marks {
    type Counts = Marked;

    fn name(&self) -> &'static str {
        "marks"
    }

    async fn tick(&self) -> Result<Marked, TickError> {
        let Context { pool, heard, faults, clock, .. } = &self.0;
        let now = clock.now();
        let mut moved = heard.unstored();
        // Heard before our own clock was set back.
        moved.retain(|it| it.last_received_at.max(it.waits_since) <= Some(now));
        let mut connection = pool.acquire().await?;
        let writing = async {
            let mut transaction = connection.begin().await?;
            let write = webhook_marks::advance(&mut transaction, &moved, now + MAX_SKEW * 2);
            faults.around(self.name(), Step::Settle, write).await?;
            faults.around(self.name(), Step::Commit, transaction.commit()).await?;
            webhook_marks::all(&mut connection).await
        };
        let result = tokio::time::timeout(WITHIN, writing).await;
        heard.learn(&conclude(connection, result)?, now + MAX_SKEW * 2);
        Ok(Marked { moved: moved.len() })
    }
}
