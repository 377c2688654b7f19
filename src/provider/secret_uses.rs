//! Counts which webhook secrets verify webhooks, in memory; a worker writes the counts to the database.
//!
//! The counts show when a secret can be retired. A late or double count is harmless, so webhooks never wait for them. A
//! crash loses the last few seconds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Provider;
use super::signature::Fingerprint;
use crate::clock::Time;
use crate::db::webhook_secrets::Uses;
use crate::telemetry::metrics;

#[derive(Clone, Copy, Debug)]
struct Count {
    uses: i64,
    first: Time,
    last: Time,
}

type Key = (String, Fingerprint);

/// The counts of this process, shared by its clones.
#[derive(Clone, Debug, Default)]
pub struct SecretUses(Arc<Mutex<BTreeMap<Key, Count>>>);

impl SecretUses {
    /// Counts a request received at `at` and verified by the secret at index `secret`.
    pub fn count(&self, provider: &dyn Provider, secret: usize, at: Time) {
        let Some(fingerprint) = provider.secrets().get(secret).copied() else { return };
        let label = fingerprint.to_string();
        metrics::secret_use(provider.name(), label);
        self.add((provider.name().to_owned(), fingerprint), Count { uses: 1, first: at, last: at });
    }

    /// Takes the counts, sorted by provider and secret. If they are not written, dropping [`Taken`] returns them.
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

/// Counts being written. Dropping it before [`Taken::written`] adds them back.
pub(crate) struct Taken {
    counted: BTreeMap<Key, Count>,
    uses: SecretUses,
}

impl Taken {
    /// The database rows.
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

    /// Marks the counts as written.
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
