//! Webhooks come first: while they keep coming, a report is read in small commits, and the worker rests after each.
//!
//! A slice of 10,000 rows or more occupies a core of Postgres for a part of a second, and its WAL delays every other commit. Without
//! webhooks nothing waits for it, and large slices cost less per row.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::Reconciler;
use crate::clock::last_id_of;
use crate::db::{WITHIN, conclude, inbox};

/// Webhooks per second from which on a report gives way.
const BUSY: u128 = 20;
/// The count of webhooks stops here: a higher count changes nothing.
const COUNTED: i64 = 1_000;
/// Rows in a commit while webhooks arrive.
const FEW: usize = 1_000;
/// The time before its work of which a new pace counts the webhooks.
const RECENTLY: Duration = Duration::from_secs(1);
/// The same as a part of other work: one in so many.
const SHARE: i64 = 10;
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
    /// A new pace. The first commit is a small one already where webhooks came in the last second: a large one would hold them up.
    pub(super) async fn pace(&self) -> sqlx::Result<Pace> {
        let before = chrono::TimeDelta::from_std(RECENTLY).unwrap_or_default();
        let came = self.webhooks_after(last_id_of(self.now() - before)).await?;
        Ok(Pace { since: self.context.shell.ids.next(), began: Instant::now(), is_busy: is_busy(came, RECENTLY) })
    }

    async fn webhooks_after(&self, id: Uuid) -> sqlx::Result<i64> {
        let mut connection = self.context.cell.pool.acquire().await?;
        let result = timeout(WITHIN, inbox::webhooks_after(&mut connection, id, COUNTED)).await;
        conclude(connection, result)
    }

    /// Counts the webhooks that came during a piece of work, to this replica or another, and rests if there were many.
    pub(super) async fn give_way(&self, pace: &mut Pace) -> sqlx::Result<()> {
        let took = pace.began.elapsed();
        pace.is_busy = is_busy(self.webhooks_after(pace.since).await?, took);
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
    /// So much of the work of a large statement as fits a small commit while webhooks arrive.
    pub(super) const fn share_of(&self, most: i64) -> i64 {
        if self.is_busy { most / SHARE } else { most }
    }

    /// The rows of the next commit; without webhooks `most`.
    pub(super) const fn rows(&self, most: usize) -> usize {
        if self.is_busy { FEW } else { most }
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
