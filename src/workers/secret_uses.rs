//! Writes which secrets verified webhooks, as counted in memory.
//!
//! No webhook waits for it. A failure leaves the counts in memory for the next run, a crash loses a few seconds of them.

use sqlx::PgPool;

use crate::db::{WITHIN, conclude, webhook_secrets};
use crate::faults::{FaultPoint, Step};
use crate::provider::SecretUses;

/// Writes the counts and returns of how many secrets.
pub async fn write(pool: &PgPool, uses: &SecretUses, faults: &FaultPoint) -> sqlx::Result<u64> {
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
