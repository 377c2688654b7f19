//! Writes when each provider last sent a webhook, and reads the marks of other replicas.
//!
//! One small write every few seconds at any load; no webhook waits for it. A crash loses the marks since the last run.

use sqlx::Connection;

use crate::clock::MAX_SKEW;
use crate::context::Context;
use crate::db::{WITHIN, conclude, webhook_marks};
use crate::driver::TickError;
use crate::faults::Step;
use crate::shell::Shell;

const NAME: &str = "marks";

/// Exchanges marks with the database and returns how many of ours moved.
pub async fn exchange(context: &Context) -> Result<usize, TickError> {
    let Shell { faults, clock, .. } = &context.shell;
    let pool = &context.cell.pool;
    let webhook_activity = &context.webhook_activity;
    let now = clock.now();
    let mut moved = webhook_activity.unstored();
    // Our clock may have been set back after a webhook came.
    moved.retain(|it| it.last_received_at.max(it.waits_since) <= Some(now));
    let mut connection = pool.acquire().await?;
    let writing = async {
        let mut transaction = connection.begin().await?;
        let write = webhook_marks::advance(&mut transaction, &moved, now + MAX_SKEW * 2);
        faults.around(NAME, Step::Settle, write).await?;
        faults.around(NAME, Step::Commit, transaction.commit()).await?;
        webhook_marks::all(&mut connection).await
    };
    let result = tokio::time::timeout(WITHIN, writing).await;
    webhook_activity.learn(&conclude(connection, result)?, now + MAX_SKEW * 2);
    Ok(moved.len())
}
