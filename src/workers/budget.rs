//! How many polls a minute each provider takes: a bucket of tokens for each, filled by the clock.
//!
//! A poller takes what it may spend before it claims and gives back what it did not, so that several ticks at once keep to it
//! together. Per process: replicas share nothing, and a crash begins with a full bucket, which is a second's worth.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Time;

/// The budget of every provider.
#[derive(Clone)]
pub struct Budget(Arc<Shared>);

struct Shared {
    per_minute: f64,
    /// The most that is saved up: a second's worth, and at least one.
    most: f64,
    buckets: Mutex<BTreeMap<&'static str, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Time,
}

impl Budget {
    /// So many polls a minute, of each provider.
    #[must_use]
    pub fn new(per_minute: u32) -> Self {
        let per_minute = f64::from(per_minute);
        let most = (per_minute / 60.0).max(1.0);
        Self(Arc::new(Shared { per_minute, most, buckets: Mutex::default() }))
    }

    /// Takes leave for at most `wanted` polls of a provider: for how many there is.
    #[must_use]
    pub fn take(&self, provider: &'static str, wanted: usize, now: Time) -> usize {
        let Shared { per_minute, most, buckets } = &*self.0;
        let mut buckets = buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(provider).or_insert(Bucket { tokens: *most, at: now });
        // A clock that was set back fills nothing.
        let passed = (now - bucket.at).as_seconds_f64().max(0.0);
        bucket.tokens = (bucket.tokens + passed * per_minute / 60.0).min(*most);
        bucket.at = now;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a second's worth")]
        let taken = wanted.min(bucket.tokens as usize);
        bucket.tokens -= float(taken);
        taken
    }

    /// Gives back leave that was not used.
    pub fn give_back(&self, provider: &'static str, unused: usize) {
        let Shared { most, buckets, .. } = &*self.0;
        if let Some(bucket) = buckets.lock().unwrap_or_else(PoisonError::into_inner).get_mut(provider) {
            bucket.tokens = (bucket.tokens + float(unused)).min(*most);
        }
    }
}

fn float(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn at(seconds: i64) -> Time {
        Time::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    /// In any minute: the budget, and what a second had saved up.
    #[test]
    fn a_minute_has_so_many_polls_and_no_more() {
        for (per_minute, expected) in [(6_000, 6_100), (60, 61), (6, 7)] {
            let budget = Budget::new(per_minute);
            let taken: usize =
                (0..=600).map(|tenth| at(0) + TimeDelta::milliseconds(tenth * 100)).fold(0, |all, now| {
                    all + std::iter::from_fn(|| Some(budget.take("bank", 32, now)).filter(|it| *it > 0)).sum::<usize>()
                });
            assert!((expected - 1..=expected).contains(&taken), "{per_minute}: {taken}");
        }
    }

    #[test]
    fn what_was_not_used_is_given_back_and_each_provider_has_its_own() {
        let budget = Budget::new(600);
        assert_eq!(budget.take("bank", 32, at(0)), 10);
        assert_eq!((budget.take("bank", 32, at(0)), budget.take("other", 4, at(0))), (0, 4));
        budget.give_back("bank", 3);
        assert_eq!(budget.take("bank", 32, at(0)), 3);
        budget.give_back("bank", 1_000);
        assert_eq!(budget.take("bank", 32, at(0)), 10, "never more than can be saved up");
        assert_eq!(budget.take("bank", 32, at(-60)), 0, "a clock that is set back fills nothing");
        assert_eq!(budget.take("bank", 32, at(3_600)), 10);
    }
}
