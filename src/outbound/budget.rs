//! How many polls a minute each provider takes: a bucket of tokens for each, filled by the clock.
//!
//! A poller takes what it may spend before it claims and gives back what it did not, so that several ticks at once keep to it
//! together. Per process: replicas share nothing, and a crash begins with a full bucket, which is little more than a second's
//! worth.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Time;

/// The budget of every provider.
#[derive(Clone)]
pub struct Budget(Arc<Shared>);

struct Shared {
    per_minute: i64,
    buckets: Mutex<BTreeMap<&'static str, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    /// In parts of a poll: [`POLL`] is one.
    held: i64,
    at: Time,
}

/// What one poll costs: a budget of one a minute earns one part each microsecond.
const POLL: i64 = 60_000_000;
/// Microseconds that are made up for at once, at most; a bucket is full long before.
const LONGEST: i64 = 60_000_000;

impl Shared {
    /// The most that is saved up: a second's worth, and one for what a look came too early for.
    const fn most(&self) -> i64 {
        self.per_minute * 1_000_000 + POLL
    }
}

impl Budget {
    /// So many polls a minute, of each provider.
    #[must_use]
    pub fn new(per_minute: u32) -> Self {
        Self(Arc::new(Shared { per_minute: per_minute.into(), buckets: Mutex::default() }))
    }

    /// Takes leave for at most `wanted` polls of a provider: for how many there is.
    #[must_use]
    pub fn take(&self, provider: &'static str, wanted: usize, now: Time) -> usize {
        let mut buckets = self.0.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(provider).or_insert(Bucket { held: self.0.most(), at: now });
        // A clock that was set back fills nothing.
        let passed = (now - bucket.at).num_microseconds().unwrap_or(LONGEST).clamp(0, LONGEST);
        bucket.held = (bucket.held + passed * self.0.per_minute).min(self.0.most());
        bucket.at = now;
        let taken = wanted.min(usize::try_from(bucket.held / POLL).unwrap_or_default());
        bucket.held -= parts(taken);
        taken
    }

    /// Gives back leave that was not used.
    pub fn give_back(&self, provider: &'static str, unused: usize) {
        let mut buckets = self.0.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get_mut(provider) {
            bucket.held = bucket.held.saturating_add(parts(unused)).min(self.0.most());
        }
    }
}

fn parts(polls: usize) -> i64 {
    i64::try_from(polls).unwrap_or(i64::MAX).saturating_mul(POLL)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn at(seconds: i64) -> Time {
        Time::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    /// In any minute: the budget, and what had been saved up.
    #[test]
    fn a_minute_has_so_many_polls_and_no_more() {
        for (per_minute, expected) in [(6_000, 6_101), (60, 62), (6, 7)] {
            let budget = Budget::new(per_minute);
            let taken: usize =
                (0..=600).map(|tenth| at(0) + TimeDelta::milliseconds(tenth * 100)).fold(0, |all, now| {
                    all + std::iter::from_fn(|| Some(budget.take("bank", 32, now)).filter(|it| *it > 0)).sum::<usize>()
                });
            assert_eq!(taken, expected, "{per_minute}");
        }
    }

    #[test]
    fn what_was_not_used_is_given_back_and_each_provider_has_its_own() {
        let budget = Budget::new(600);
        assert_eq!(budget.take("bank", 32, at(0)), 11);
        assert_eq!((budget.take("bank", 32, at(0)), budget.take("other", 4, at(0))), (0, 4));
        budget.give_back("bank", 3);
        assert_eq!(budget.take("bank", 32, at(0)), 3);
        budget.give_back("bank", 1_000);
        assert_eq!(budget.take("bank", 32, at(0)), 11, "never more than can be saved up");
        assert_eq!(budget.take("bank", 32, at(-60)), 0, "a clock that is set back fills nothing");
        assert_eq!(budget.take("bank", 32, at(3_600)), 11);
    }
}
