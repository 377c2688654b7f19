//! How many facts a batch takes: as many as one commit writes within a fixed time, on whatever machine this is.
//!
//! What a batch costs beside its rows (round trips, plans, constraints that are read anew by each statement) is shared by more
//! of them the larger it is; but their anchors are locked until it commits, and whoever waits for one of them waits so long.
//! Kept in memory: after a start it is found again within a few batches.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long a batch may take, from its claim to its commit.
const WITHIN: Duration = Duration::from_millis(100);
/// Where it begins.
const FIRST: u32 = 64;
const MIN: u32 = 16;
const MAX: u32 = 1_024;

/// The size of the next batch.
#[derive(Debug)]
pub struct Pace(AtomicU32);

impl Default for Pace {
    fn default() -> Self {
        Self(AtomicU32::new(FIRST))
    }
}

impl Pace {
    /// How many facts the next batch may take.
    pub fn limit(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Learns from a batch of at most `limit` that took `claimed` facts. One that was not full shows nothing of a larger one.
    pub fn learn(&self, limit: u32, claimed: u64, took: Duration) {
        let next = if took > WITHIN {
            let share = WITHIN.as_secs_f64() / took.as_secs_f64();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a small number")]
            let smaller = (f64::from(limit) * share) as u32;
            // One slow commit is not the machine: at most by half.
            smaller.max(limit / 2)
        } else if claimed >= u64::from(limit) && took < WITHIN / 2 {
            limit.saturating_mul(2)
        } else {
            return;
        };
        // Two batches at once may both learn: whoever comes first has its say.
        let next = next.clamp(MIN, MAX);
        let _ = self.0.compare_exchange(limit, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(batches: &[(u64, u64)]) -> u32 {
        let pace = Pace::default();
        for (claimed, milliseconds) in batches {
            pace.learn(pace.limit(), *claimed, Duration::from_millis(*milliseconds));
        }
        pace.limit()
    }

    #[test]
    fn it_grows_while_full_batches_are_quick_and_shrinks_when_they_are_slow() {
        assert_eq!(after(&[]), 64);
        assert_eq!(after(&[(64, 20), (128, 40)]), 256);
        assert_eq!(after(&[(64, 60)]), 64, "neither quick nor slow");
        assert_eq!(after(&[(63, 1)]), 64, "not full");
        assert_eq!(after(&[(64, 125)]), 51, "by as much as it was too slow");
        assert_eq!(after(&[(1, 5_000)]), 32, "by half at the most");
    }

    #[test]
    fn it_stays_within_its_bounds() {
        assert_eq!(after(&[(2_000, 1); 20]), MAX);
        assert_eq!(after(&[(1, 10_000); 20]), MIN);
    }
}
