//! The size of a batch of facts: as many as one commit writes within a fixed time, on any machine.
//!
//! A larger batch shares its fixed costs (round trips, plans, constraints that each statement reads anew) among more facts. But
//! the batch locks their anchors until it commits, and other work on the same openings waits. The size is kept in memory: after a
//! start it is found again within a few batches.

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

    /// Learns from a batch of at most `limit` facts. A quick batch that left nothing due says nothing about a larger one.
    pub fn learn(&self, limit: u32, was_full: bool, took: Duration) {
        let next = if took > WITHIN {
            let share = WITHIN.as_secs_f64() / took.as_secs_f64();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a small number")]
            let smaller = (f64::from(limit) * share) as u32;
            // One slow commit is not the machine: at most by half.
            smaller.max(limit / 2)
        } else if was_full && took < WITHIN / 2 {
            limit.saturating_mul(2)
        } else {
            return;
        };
        // Of two batches that learn at once the first decides.
        let next = next.clamp(MIN, MAX);
        let _ = self.0.compare_exchange(limit, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(batches: &[(bool, u64)]) -> u32 {
        let pace = Pace::default();
        for (was_full, milliseconds) in batches {
            pace.learn(pace.limit(), *was_full, Duration::from_millis(*milliseconds));
        }
        pace.limit()
    }

    #[test]
    fn it_grows_while_full_batches_are_quick_and_shrinks_when_they_are_slow() {
        assert_eq!(after(&[]), 64);
        assert_eq!(after(&[(true, 20), (true, 40)]), 256);
        assert_eq!(after(&[(true, 60)]), 64, "neither quick nor slow");
        assert_eq!(after(&[(false, 1)]), 64, "not full");
        assert_eq!(after(&[(true, 125)]), 51, "by as much as it was too slow");
        assert_eq!(after(&[(false, 5_000)]), 32, "by half at the most");
    }

    #[test]
    fn it_stays_within_its_bounds() {
        assert_eq!(after(&[(true, 1); 20]), MAX);
        assert_eq!(after(&[(false, 10_000); 20]), MIN);
    }
}
