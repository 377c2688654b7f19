//! Burst dedup: recognises duplicates of recent messages without the database.
//!
//! The cache changes no outcome: an entry appears only after the first copy's commit, another body under the same key goes to
//! the database, and the inbox key and the state machine decide the same without it. A crash clears it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use moka::sync::Cache;
use tokio::sync::oneshot;

use crate::clock::Time;
use crate::db::inbox::{Digest, Stored};
use crate::group_commit::Unavailable;

/// Maximum bytes of entries: 50,000 of usual length. A key may contain long texts from a provider. Duplicates of
/// evicted messages are recognised by their key in the inbox.
const MAX_BYTES: u64 = 24 * 1_024 * 1_024;
/// The size of an entry beside its key, including the cache's overhead: the process grew by 470 bytes per entry.
const AN_ENTRY: u32 = 400;

type Result = std::result::Result<Stored, Unavailable>;
type Key = (String, Digest);
/// The future result of storing the first copy.
pub(super) type BeingStored = Shared<BoxFuture<'static, Result>>;

pub(super) struct Burst {
    ttl: TimeDelta,
    /// The digest of the body last stored under a key, and its time.
    known: Cache<String, (Digest, Time)>,
    being_stored: Mutex<HashMap<Key, BeingStored>>,
}

/// The cache's answer about a message.
pub(super) enum Entry {
    /// A copy was stored within the TTL.
    Known,
    /// A copy is being stored: wait for its result and share its failure.
    BeingStored(BeingStored),
    /// Store it and report the result.
    First(InFlightGuard),
}

/// The duty to report the result of a message. If dropped without a report, waiting copies fail as not stored.
pub(super) struct InFlightGuard {
    burst: Arc<Burst>,
    key: Key,
    answer: Option<oneshot::Sender<Result>>,
}

impl Burst {
    pub fn new(ttl: TimeDelta) -> Self {
        let bound = ttl.to_std().unwrap_or_default();
        // moka's clock only bounds the memory; our clock judges the time beside the digest.
        let known = Cache::builder().weigher(weight).max_capacity(MAX_BYTES).time_to_live(bound).build();
        Self { ttl, known, being_stored: Mutex::default() }
    }

    pub fn enter(self: &Arc<Self>, key: String, digest: Digest, now: Time) -> Entry {
        let is_known = |(known, at): (Digest, Time)| known == digest && now - at < self.ttl;
        if self.known.get(&key).is_some_and(is_known) {
            return Entry::Known;
        }
        let key = (key, digest);
        let mut being_stored = self.lock();
        if let Some(first) = being_stored.get(&key) {
            return Entry::BeingStored(first.clone());
        }
        let (answer, wait) = oneshot::channel();
        let wait =
            wait.map(|answer| answer.unwrap_or(Err(Unavailable("the first copy was not stored")))).boxed().shared();
        being_stored.insert(key.clone(), wait);
        Entry::First(InFlightGuard { burst: Arc::clone(self), key, answer: Some(answer) })
    }

    pub fn forget(&self) {
        self.known.invalidate_all();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, BeingStored>> {
        self.being_stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::ptr_arg, reason = "the cache asks for the type of its key")]
fn weight(key: &String, _: &(Digest, Time)) -> u32 {
    u32::try_from(key.len()).unwrap_or(u32::MAX).saturating_add(AN_ENTRY)
}

impl InFlightGuard {
    pub fn finish(mut self, result: Result, now: Time) {
        if result.is_ok() {
            self.burst.known.insert(self.key.0.clone(), (self.key.1, now));
        }
        if let Some(answer) = self.answer.take() {
            let _ = answer.send(result);
        }
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.burst.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Time {
        Time::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn first(burst: &Arc<Burst>, digest: u8, now: Time) -> InFlightGuard {
        match burst.enter("key".to_owned(), [digest; 32], now) {
            Entry::First(guard) => guard,
            Entry::Known => panic!("known"),
            Entry::BeingStored(_) => panic!("being stored"),
        }
    }

    #[test]
    fn a_copy_is_known_from_the_commit_of_the_first_until_the_ttl_by_our_clock() {
        let burst = Arc::new(Burst::new(TimeDelta::minutes(15)));
        first(&burst, 1, at(0)).finish(Ok(Stored::New), at(1));
        assert!(matches!(burst.enter("key".to_owned(), [1; 32], at(900)), Entry::Known));
        first(&burst, 1, at(901));
    }

    /// P5: the cache does not judge another body under the same key.
    #[test]
    fn another_body_under_the_same_key_goes_on() {
        let burst = Arc::new(Burst::new(TimeDelta::minutes(15)));
        first(&burst, 1, at(0)).finish(Ok(Stored::New), at(0));
        first(&burst, 2, at(1));
    }

    #[tokio::test]
    async fn copies_that_come_while_the_first_is_stored_share_its_failure() {
        let burst = Arc::new(Burst::new(TimeDelta::minutes(15)));
        let guard = first(&burst, 1, at(0));
        let Entry::BeingStored(wait) = burst.enter("key".to_owned(), [1; 32], at(0)) else { panic!("not waiting") };
        guard.finish(Err(Unavailable("full")), at(0));
        assert_eq!(wait.await, Err(Unavailable("full")));
        // The next copy is a first one again.
        let dropped = first(&burst, 1, at(1));
        let Entry::BeingStored(wait) = burst.enter("key".to_owned(), [1; 32], at(1)) else { panic!("not waiting") };
        drop(dropped);
        assert!(wait.await.is_err());
    }

    /// For texts of any length from a provider.
    #[test]
    fn the_cache_is_bounded_in_bytes() {
        let burst = Arc::new(Burst::new(TimeDelta::minutes(15)));
        for n in 0..40_000 {
            let key = format!("{n:01000}");
            let Entry::First(guard) = burst.enter(key, [1; 32], at(0)) else { panic!("not the first") };
            guard.finish(Ok(Stored::New), at(0));
        }
        burst.known.run_pending_tasks();
        assert!(burst.known.weighted_size() <= MAX_BYTES);
        assert!((15_000..20_000).contains(&burst.known.entry_count()), "{}", burst.known.entry_count());
    }
}
