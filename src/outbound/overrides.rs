//! What operators have made breakers do, taken over from the database: on every replica, and again after a start.
//!
//! It only reads, and finds no work. While the database is away, what was read last holds. What was read before a decision
//! that is made here meanwhile undoes nothing of it: it is dropped.

use async_trait::async_trait;

use super::Gate;
use crate::db::{WITHIN, breakers, conclude};
use crate::faults::Step;
use crate::workers::Context;
use crate::workers::driver::{Counts, TickError, Worker};

/// The worker.
pub struct BreakerOverrides(pub Context);

/// What a tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// Breakers that do something else than before.
    pub changed: usize,
}

impl Counts for TakenOver {
    /// There is never more behind it.
    fn found_work(&self) -> bool {
        false
    }

    fn record(&self) {}
}

#[async_trait]
impl Worker for BreakerOverrides {
    type Counts = TakenOver;

    fn name(&self) -> &'static str {
        "breakers"
    }

    async fn tick(&self) -> Result<TakenOver, TickError> {
        let Context { pool, gates, faults, .. } = &self.0;
        let generation = gates.generation();
        let mut connection = pool.acquire().await?;
        let reading = faults.around(self.name(), Step::Claim, breakers::all(&mut connection));
        let result = tokio::time::timeout(WITHIN, reading).await;
        let rows = conclude(connection, result)?;
        let read = |gate: &Gate| {
            let row = rows.iter().find(|row| row.is_of(gate.system(), gate.operation()));
            row.and_then(breakers::Row::forced)
        };
        Ok(TakenOver { changed: gates.take_over(generation, read) })
    }
}
