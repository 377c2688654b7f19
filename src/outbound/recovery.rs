//! Recovery: work that waited for an outage to end becomes due at once.
//!
//! Each row waits out its own backoff, up to `BACKOFF_CAP`, though its system may answer again after a second. So when calls of a
//! gate pass again, this worker makes the work behind that gate due; all of it, where an operator forced the breaker closed. It
//! only moves times: the gates bound how many calls run at once, as ever.
//!
//! A gate remembers that it reopened until all of its work is due, also when the database fails meanwhile. A crash forgets it:
//! then each row waits out its own time.

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use sqlx::{PgConnection, PgPool};

use super::capacity::GatedWork;
use super::{Gate, Gates, Reopened};
use crate::clock::{Clock, Time};
use crate::db::{WITHIN, conclude, outbox};
use crate::driver::{Counts, TickError, Worker};
use crate::faults::{FaultPoint, Step};

/// Rows in one commit. Each commit reads from the head of the queue, past all rows that are due already.
const BATCH: u16 = 2_000;

/// Called with a system that answers again, and since when it had not.
pub type OnReturn = Arc<dyn Fn(String, Option<Time>) -> BoxFuture<'static, sqlx::Result<()>> + Send + Sync>;

pub struct Recovery {
    pub pool: PgPool,
    pub clock: Clock,
    pub gates: Gates,
    pub work: Arc<[GatedWork]>,
    pub on_return: OnReturn,
    pub faults: FaultPoint,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Gates that permit calls again.
    pub closed: usize,
    /// Rows that became due.
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
        let mut recovered = Recovered::default();
        for gate in self.gates.all() {
            let Some(reopened) = gate.take_reopened() else { continue };
            let mut unfinished = Unfinished { gate: &gate, reopened: Some(reopened) };
            let made_due = self.recover(&gate, reopened).await?;
            if made_due.complete {
                unfinished.reopened = None;
            }
            recovered.made_due += made_due.rows;
            recovered.closed += 1;
        }
        Ok(recovered)
    }
}

/// Gives a gate its reopening back, unless all of its work is due: also after an error or a panic.
struct Unfinished<'a> {
    gate: &'a Gate,
    reopened: Option<Reopened>,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(reopened) = self.reopened.take() {
            self.gate.put_back(reopened);
        }
    }
}

/// The rows that one commit made due.
#[derive(Default)]
struct MadeDue {
    rows: u64,
    complete: bool,
}

impl Recovery {
    async fn recover(&self, gate: &Gate, reopened: Reopened) -> sqlx::Result<MadeDue> {
        let mut connection = self.pool.acquire().await?;
        let making_due = self.make_due(&mut connection, gate, reopened.by_operator);
        let result = tokio::time::timeout(WITHIN, making_due).await;
        let made_due: MadeDue = conclude(connection, result)?;
        if made_due.complete {
            tracing::info!(
                system = gate.system(),
                operation = gate.operation(),
                "circuit breaker closed; waiting work is due now"
            );
            (self.on_return)(gate.system().to_owned(), reopened.away_since).await?;
        }
        Ok(made_due)
    }

    async fn make_due(&self, connection: &mut PgConnection, gate: &Gate, all: bool) -> sqlx::Result<MadeDue> {
        let mut made_due = MadeDue { rows: 0, complete: true };
        for work in self.work.iter().filter(|it| it.passes(gate)) {
            let (lane, now) = (work.lane.as_deref(), self.clock.now());
            let updating = outbox::make_due(connection, work.topic, lane, all, now, BATCH.into());
            let rows = self.faults.around(self.name(), Step::Settle, updating).await?;
            made_due.rows += rows;
            made_due.complete &= rows < BATCH.into();
            work.wake.notify_one();
        }
        Ok(made_due)
    }
}
