//! Webhooks come first: while they keep coming, a report is read in small commits, and the worker rests after each.
//!
//! A slice of 10,000 rows occupies a core of Postgres for a part of a second, and its WAL delays every other commit. Without
//! webhooks nothing waits for it, and large slices cost less per row.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::Reconciler;
use crate::db::{WITHIN, conclude, inbox};
use crate::reconciliation::reading::SLICE;

/// Webhooks per second from which on a report gives way.
const BUSY: u128 = 20;
/// The count of webhooks stops here: a higher count changes nothing.
const COUNTED: i64 = 1_000;
/// Rows in a commit while webhooks arrive.
const FEW: usize = 1_000;
/// A rest, in times of the work before it, and the longest: the lease of the report outlasts it.
const TIMES: u32 = 4;
const LONGEST: Duration = Duration::from_secs(5);

/// Rows per commit, and the rests between commits.
pub(super) struct Pace {
    /// Webhooks are counted from this id of the inbox on.
    since: Uuid,
    began: Instant,
    is_busy: bool,
}

impl Reconciler {
    pub(super) fn pace(&self) -> Pace {
        Pace { since: self.context.shell.ids.next(), began: Instant::now(), is_busy: false }
    }

    /// Counts the webhooks that came during a piece of work, to this replica or another, and rests if there were many.
    pub(super) async fn give_way(&self, pace: &mut Pace) -> sqlx::Result<()> {
        let took = pace.began.elapsed();
        let mut connection = self.context.cell.pool.acquire().await?;
        let count = inbox::webhooks_after(&mut connection, pace.since, COUNTED);
        let result = timeout(WITHIN, count).await;
        let came = conclude(connection, result)?;
        pace.is_busy = is_busy(came, took);
        if pace.is_busy {
            tokio::select! {
                () = sleep((took * TIMES).min(LONGEST)) => {}
                () = self.stop.cancelled() => {}
            }
        }
        pace.since = self.context.shell.ids.next();
        pace.began = Instant::now();
        Ok(())
    }
}

impl Pace {
    /// The rows of the next commit.
    pub(super) const fn rows(&self) -> usize {
        if self.is_busy { FEW } else { SLICE }
    }
}

fn is_busy(came: i64, took: Duration) -> bool {
    u128::try_from(came).unwrap_or_default() * 1_000 >= took.as_millis() * BUSY && came > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_gives_way_from_twenty_webhooks_a_second_on() {
        assert!(!is_busy(0, Duration::ZERO) && !is_busy(19, Duration::from_secs(1)));
        assert!(is_busy(20, Duration::from_secs(1)) && is_busy(2, Duration::from_millis(100)));
        assert!(!is_busy(1, Duration::from_millis(10)), "a single webhook is no stream of them");
    }
}
