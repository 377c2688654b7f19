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

    /// Learns from a batch that took `claimed` of at most `limit` facts; `may_be_more`: it left due facts. A batch that left none says
    /// nothing about a larger one. The limit doubles if twice as many facts would fit into the time at the batch's own speed.
    pub fn learn(&self, limit: u32, claimed: u64, may_be_more: bool, took: Duration) {
        let next = if took > WITHIN {
            let share = WITHIN.as_secs_f64() / took.as_secs_f64();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a small number")]
            let smaller = (f64::from(limit) * share) as u32;
            // A single slow commit says nothing about the machine: at most by half.
            smaller.max(limit / 2)
        } else if may_be_more && fits(u64::from(limit) * 2, claimed, took) {
            limit.saturating_mul(2)
        } else {
            return;
        };
        // Of two batches that learn at once the first decides.
        let next = next.clamp(MIN, MAX);
        let _ = self.0.compare_exchange(limit, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Whether so many facts fit into a batch's time, at the speed of one that took `claimed`.
fn fits(facts: u64, claimed: u64, took: Duration) -> bool {
    took.as_nanos() * u128::from(facts) < WITHIN.as_nanos() * u128::from(claimed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Batches that were full: they took as many facts as they might, and left some or not.
    fn after(batches: &[(bool, u64)]) -> u32 {
        let pace = Pace::default();
        for (may_be_more, milliseconds) in batches {
            let limit = pace.limit();
            pace.learn(limit, limit.into(), *may_be_more, Duration::from_millis(*milliseconds));
        }
        pace.limit()
    }

    #[test]
    fn a_batch_of_a_few_facts_is_not_taken_for_a_quick_one() {
        let pace = Pace::default();
        pace.learn(64, 8, true, Duration::from_millis(20));
        assert_eq!(pace.limit(), 64, "128 such facts take 320 ms");
        pace.learn(64, 32, true, Duration::from_millis(20));
        assert_eq!(pace.limit(), 128, "and 128 of these 80 ms");
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
