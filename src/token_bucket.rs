//! A token bucket: bounds how much is spent in the long run, and lets some be saved up for a burst.
//!
//! A bucket is filled by the clock of its callers; each process has its own. A crash begins with a full bucket.

use std::sync::{Mutex, PoisonError};

use crate::clock::Time;

/// Parts of a token, so that a slow bucket loses nothing between two looks: one token a second earns one part a microsecond.
const PARTS: i128 = 1_000_000;

pub struct TokenBucket {
    per_second: i128,
    /// In parts.
    most: i128,
    held: Mutex<Held>,
}

struct Held {
    parts: i128,
    /// When it was last filled; none before the first look.
    at: Option<Time>,
}

impl TokenBucket {
    /// A full bucket that earns `per_second` tokens and holds at most `most`.
    #[must_use]
    pub fn new(per_second: u64, most: u64) -> Self {
        let most = i128::from(most) * PARTS;
        Self { per_second: per_second.into(), most, held: Mutex::new(Held { parts: most, at: None }) }
    }

    /// Takes the tokens for at most `wanted` things that cost `cost` each; for how many it had enough.
    #[must_use]
    pub fn take(&self, wanted: usize, cost: u64, now: Time) -> usize {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back fills nothing.
        let passed = held.at.map_or(0, |at| (now - at).num_microseconds().unwrap_or(i64::MAX).max(0));
        held.parts = (held.parts + i128::from(passed) * self.per_second).min(self.most);
        held.at = Some(now);
        let cost = i128::from(cost) * PARTS;
        let taken = usize::try_from(held.parts / cost.max(1)).unwrap_or(usize::MAX).min(wanted);
        held.parts -= parts(taken, cost);
        taken
    }

    /// Gives tokens back that were taken for `unused` things and not spent.
    pub fn give_back(&self, unused: usize, cost: u64) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.parts = (held.parts + parts(unused, i128::from(cost) * PARTS)).min(self.most);
    }
}

fn parts(count: usize, cost: i128) -> i128 {
    i128::try_from(count).unwrap_or(i128::MAX).saturating_mul(cost)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn at(seconds: i64) -> Time {
        Time::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn unspent_tokens_are_given_back_up_to_what_it_holds() {
        let bucket = TokenBucket::new(10, 11);
        assert_eq!((bucket.take(32, 1, at(0)), bucket.take(32, 1, at(0))), (11, 0));
        bucket.give_back(3, 1);
        assert_eq!(bucket.take(32, 1, at(0)), 3);
        bucket.give_back(1_000, 1);
        assert_eq!(bucket.take(32, 1, at(0)), 11, "never more than it holds");
        assert_eq!(bucket.take(32, 1, at(-60)), 0, "a clock that is set back fills nothing");
        assert_eq!(bucket.take(32, 1, at(3_600)), 11);
    }

    #[test]
    fn a_burst_is_taken_at_once_and_then_so_much_a_second() {
        const MIB: u64 = 1024 * 1024;
        let (bucket, mut now) = (TokenBucket::new(8 * MIB, 64 * MIB), at(0));
        assert!((0..64).all(|_| bucket.take(1, MIB, now) == 1));
        assert_eq!(bucket.take(1, 1, now), 0);
        now += TimeDelta::milliseconds(500);
        assert_eq!((0..64).filter(|_| bucket.take(1, MIB, now) == 1).count(), 4);
        assert_eq!(bucket.take(1, MIB, now - TimeDelta::hours(1)), 0, "a clock that was set back fills nothing");
        now += TimeDelta::days(1);
        assert_eq!((0..100).filter(|_| bucket.take(1, MIB, now) == 1).count(), 64, "no more is saved up than it holds");
        assert_eq!(TokenBucket::new(u64::MAX, u64::MAX).take(7, u64::MAX, at(0)), 1, "without overflow");
    }
}
