//! Writes down which secrets verified webhooks, as counted in memory.
//!
//! Nothing waits for it; a failure leaves the counts in memory for the next tick, a crash loses a few seconds of them.

use async_trait::async_trait;
use sqlx::PgPool;

use super::Context;
use crate::db::{WITHIN, conclude, webhook_secrets};
use crate::driver::{Counts, TickError, Worker};
use crate::faults::{FaultPoint, Step};
use crate::provider::SecretUses;

/// The worker.
pub struct SecretUseKeeper(pub Context);

/// What a tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Secrets that were used since the tick before.
    pub secrets: u64,
}

impl Counts for Kept {
    /// Never: webhooks that came meanwhile wait for the next tick, or each would cost a write of its own.
    fn found_work(&self) -> bool {
        false
    }

    fn record(&self) {}
}

#[async_trait]
impl Worker for SecretUseKeeper {
    type Counts = Kept;

    fn name(&self) -> &'static str {
        "secret_uses"
    }

    async fn tick(&self) -> Result<Kept, TickError> {
        Ok(Kept { secrets: keep(&self.0.pool, &self.0.secret_uses, &self.0.faults).await? })
    }
}

/// Writes what was counted; how many secrets it was about.
///
/// # Errors
/// When the database is away: then it is counted still.
pub async fn keep(pool: &PgPool, uses: &SecretUses, faults: &FaultPoint) -> sqlx::Result<u64> {
    let taken = uses.take();
    let rows = taken.rows();
    if rows.is_empty() {
        return Ok(0);
    }
    let mut connection = pool.acquire().await?;
    let add = faults.around("secret_uses", Step::Settle, webhook_secrets::add(&mut connection, &rows));
    let result = tokio::time::timeout(WITHIN, add).await;
    conclude(connection, result)?;
    taken.written();
    Ok(rows.len() as u64)
}
