//! The capacity for waiting messages: in memory until they are stored, and in the inbox until they are decided.
//!
//! A message beyond the capacity is answered 503 and dropped: providers repeat it, while an unbounded queue would
//! eventually answer no sender.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Unavailable;
use crate::db::inbox::NewFact;

/// The bounds of the queue in memory.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub messages: usize,
    /// Maximum total bytes; a larger message is queued alone.
    pub bytes: usize,
}

/// Whether the inbox holds too many facts. Updated periodically, never by a webhook.
#[derive(Clone, Debug, Default)]
pub struct Backlog(Arc<AtomicBool>);

impl Backlog {
    /// Sets the state; returns whether it changed.
    #[must_use]
    pub fn set(&self, is_full: bool) -> bool {
        self.0.swap(is_full, Ordering::Relaxed) != is_full
    }

    /// Whether the inbox accepts no more facts from outside.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// One permit per KiB.
const KIB: usize = 1_024;
/// The size of a fact beside its body.
const A_FACT: usize = 2 * KIB;

/// The remaining capacity.
#[derive(Clone)]
pub(super) struct Room {
    free: Arc<Semaphore>,
    most: usize,
    backlog: Backlog,
}

impl Room {
    pub fn new(bounds: Bounds, backlog: Backlog) -> Self {
        let most = bounds.bytes.div_ceil(KIB);
        Self { free: Arc::new(Semaphore::new(most)), most, backlog }
    }

    /// Reserves capacity for a message while the permit is held.
    pub fn take(&self, facts: &[NewFact]) -> Result<OwnedSemaphorePermit, Unavailable> {
        if self.backlog.is_full() {
            return Err(Unavailable("the inbox is full"));
        }
        let bytes: usize = facts.iter().map(|fact| fact.body.len() + A_FACT).sum();
        let kib = u32::try_from(bytes.div_ceil(KIB).min(self.most)).unwrap_or(u32::MAX);
        Arc::clone(&self.free).try_acquire_many_owned(kib).map_err(|_| Unavailable("the queue is full"))
    }
}
