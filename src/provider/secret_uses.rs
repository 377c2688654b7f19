//! Which secrets verify webhooks, counted in memory until a worker writes it down.
//!
//! Evidence for retiring a secret: a count that is late or twice harms nothing, so a webhook never waits for it. A crash loses
//! what was counted since the last write, a few seconds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Provider;
use super::signature::Fingerprint;
use crate::clock::Time;
use crate::db::webhook_secrets::Uses;

#[derive(Clone, Copy, Debug)]
struct Count {
    uses: i64,
    first: Time,
    last: Time,
}

type Key = (String, Fingerprint);

/// The counts of this process.
#[derive(Clone, Debug, Default)]
pub struct SecretUses(Arc<Mutex<BTreeMap<Key, Count>>>);

impl SecretUses {
    /// Counts a request that verified by the secret at this place in the provider's list, and came at this time.
    pub fn count(&self, provider: &dyn Provider, secret: usize, at: Time) {
        let Some(fingerprint) = provider.secrets().get(secret).copied() else { return };
        let label = fingerprint.to_string();
        metrics::counter!("account_opening_webhook_secret_uses_total", "provider" => provider.name(), "secret" => label)
            .increment(1);
        self.add((provider.name().to_owned(), fingerprint), Count { uses: 1, first: at, last: at });
    }

    /// Takes what was counted, sorted by provider and secret; what cannot be written is given back.
    pub(crate) fn take(&self) -> Taken {
        Taken { counted: std::mem::take(&mut *self.lock()), uses: self.clone() }
    }

    fn add(&self, key: Key, count: Count) {
        let mut held = self.lock();
        let held = held.entry(key).or_insert(Count { uses: 0, ..count });
        held.uses += count.uses;
        held.first = held.first.min(count.first);
        held.last = held.last.max(count.last);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts that were taken to be written. Dropped before they were, they are counted again.
pub(crate) struct Taken {
    counted: BTreeMap<Key, Count>,
    uses: SecretUses,
}

impl Taken {
    /// As the database takes them.
    pub fn rows(&self) -> Vec<Uses> {
        let row = |((provider, fingerprint), count): (&Key, &Count)| Uses {
            provider: provider.clone(),
            fingerprint: fingerprint.to_string(),
            uses: count.uses,
            first: count.first,
            last: count.last,
        };
        self.counted.iter().map(row).collect()
    }

    /// They are written.
    pub fn written(mut self) {
        self.counted.clear();
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        for (key, count) in std::mem::take(&mut self.counted) {
            self.uses.add(key, count);
        }
    }
}
