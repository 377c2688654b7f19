//! How many polls a minute each provider takes.
//!
//! A poller takes its polls before it claims and gives back those that it did not need, so that ticks that run at once share
//! the budget. The budget is per process: replicas do not share it, and a crash begins with a full one, about a second's worth.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Time;
use crate::token_bucket::TokenBucket;

/// The tokens of one poll: a budget of one a minute earns one token a second.
const POLL: u64 = 60;

#[derive(Clone)]
pub struct PollBudget(Arc<BTreeMap<&'static str, TokenBucket>>);

impl PollBudget {
    /// The polls a minute of each provider. A second's worth may be saved up, and one poll for a tick that came too early for it.
    pub fn new(per_minute: impl IntoIterator<Item = (&'static str, u32)>) -> Self {
        let bucket = |per_minute: u32| TokenBucket::new(per_minute.into(), u64::from(per_minute) + POLL);
        Self(Arc::new(per_minute.into_iter().map(|(provider, it)| (provider, bucket(it))).collect()))
    }

    /// Takes at most `wanted` polls of a provider; how many there were. A provider without a budget is not bounded.
    #[must_use]
    pub fn take(&self, provider: &str, wanted: usize, now: Time) -> usize {
        self.0.get(provider).map_or(wanted, |bucket| bucket.take(wanted, POLL, now))
    }

    pub fn give_back(&self, provider: &str, unused: usize) {
        if let Some(bucket) = self.0.get(provider) {
            bucket.give_back(unused, POLL);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    /// In any minute: the budget, and the polls that had been saved up.
    #[test]
    fn a_minute_has_so_many_polls_and_no_more() {
        for (per_minute, expected) in [(6_000, 6_101), (60, 62), (6, 7)] {
            let budget = PollBudget::new([("bank", per_minute)]);
            let tenth = |n: i64| Time::UNIX_EPOCH + TimeDelta::milliseconds(n * 100);
            let all = |now| std::iter::from_fn(move || Some(now)).map(|now| budget.take("bank", 32, now));
            let taken: usize = (0..=600).map(|n| all(tenth(n)).take_while(|it| *it > 0).sum::<usize>()).sum();
            assert_eq!(taken, expected, "{per_minute}");
        }
    }

    #[test]
    fn each_provider_has_its_own_budget() {
        let (budget, now) = (PollBudget::new([("bank", 600), ("other", 60)]), Time::UNIX_EPOCH);
        assert_eq!((budget.take("bank", 32, now), budget.take("bank", 32, now)), (11, 0));
        assert_eq!((budget.take("other", 4, now), budget.take("stranger", 9, now)), (2, 9));
        budget.give_back("bank", 3);
        assert_eq!(budget.take("bank", 32, now), 3);
    }
}
