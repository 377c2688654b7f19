//! How much may wait: messages and their bytes in memory until they are stored, facts in the inbox until they are decided.
//!
//! A message beyond the bounds is refused, and nothing of it is kept. Providers send again; a queue that only grows answers no
//! sender in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::db::inbox::NewFact;
use crate::group_commit::Unavailable;

/// The bounds of the queue in memory.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub messages: usize,
    /// Maximum total bytes; a larger message is queued alone.
    pub bytes: usize,
}

/// Whether more facts are due than `INBOX_BACKLOG`. A periodic task counts them; no webhook waits for a count.
#[derive(Clone, Debug, Default)]
pub struct Backlog(Arc<AtomicBool>);

impl Backlog {
    /// Returns whether the value changed.
    #[must_use]
    pub fn set(&self, is_full: bool) -> bool {
        self.0.swap(is_full, Ordering::Relaxed) != is_full
    }

    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// One permit per KiB.
const KIB: usize = 1_024;
/// Memory of a fact beside its body.
const A_FACT: usize = 2 * KIB;

/// The capacity for messages that are being stored.
#[derive(Clone)]
pub(super) struct Capacity {
    free: Arc<Semaphore>,
    max: usize,
    backlog: Backlog,
}

impl Capacity {
    pub fn new(bounds: Bounds) -> Self {
        let max = bounds.bytes.div_ceil(KIB);
        Self { free: Arc::new(Semaphore::new(max)), max, backlog: Backlog::default() }
    }

    pub const fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// Takes the capacity that a message needs, for as long as the permit lives.
    pub fn take(&self, facts: &[NewFact]) -> Result<OwnedSemaphorePermit, Unavailable> {
        if self.backlog.is_full() {
            return Err(Unavailable("the inbox is full"));
        }
        let bytes: usize = facts.iter().map(|fact| fact.body.len() + A_FACT).sum();
        let kib = u32::try_from(bytes.div_ceil(KIB).min(self.max)).unwrap_or(u32::MAX);
        Arc::clone(&self.free).try_acquire_many_owned(kib).map_err(|_| Unavailable("the queue is full"))
    }
}
