//! Counts the facts that are due: beyond `INBOX_BACKLOG` the webhook listener takes nothing more until there are fewer.
//!
//! Without the bound, workers that do not keep up would let the inbox grow as long as the disk has room. Facts that come between
//! two counts go beyond the bound; below it nothing is refused.

use crate::context::Context;
use crate::db::{WITHIN, acquire, conclude, inbox};
use crate::driver::TickError;
use crate::faults::Step;
use crate::inbox::Backlog;
use crate::shell::Shell;

/// Counts once, as far as the bound and no further, from an index. Returns the count.
pub async fn check(context: &Context, backlog: &Backlog) -> Result<i64, TickError> {
    let Shell { clock, faults, .. } = &context.shell;
    let pool = &context.cell.pool;
    let bound = &context.policies.max_waiting;
    // `acquire` logs a database that refuses connections. This task needs one at least every few seconds, whatever the load.
    let mut connection = acquire(pool).await?;
    let count = faults.around("backlog", Step::Claim, inbox::due(&mut connection, clock.now(), *bound));
    let result = tokio::time::timeout(WITHIN, count).await;
    let due = conclude(connection, result)?;
    let is_full = due >= *bound;
    if backlog.set(is_full) {
        if is_full {
            tracing::error!(due, bound, "inbox backlog limit reached; answering webhooks 503");
        } else {
            tracing::info!(due, bound, "inbox backlog below its limit; taking webhooks again");
        }
    }
    Ok(due)
}
