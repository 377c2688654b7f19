//! How much may wait: messages and their bytes in memory, until they are stored; facts in the inbox, until they are decided.
//!
//! What finds no room is told to come again, and nothing of it is kept. Providers do come again; a queue that only grows
//! answers nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Unavailable;
use crate::db::inbox::NewFact;

/// The bounds of what waits in memory.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The most messages in memory.
    pub messages: usize,
    /// The most bytes of them together; one that is larger waits alone.
    pub bytes: usize,
}

/// Whether more facts wait in the inbox than it is to take. Looked up now and then, never by who brings one.
#[derive(Clone, Debug, Default)]
pub struct Backlog(Arc<AtomicBool>);

impl Backlog {
    /// Says how it is now. Whether it was otherwise before.
    #[must_use]
    pub fn set(&self, is_full: bool) -> bool {
        self.0.swap(is_full, Ordering::Relaxed) != is_full
    }

    /// Whether the inbox takes nothing more from outside.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A KiB is one permit.
const KIB: usize = 1_024;
/// What a fact takes beside its body.
const A_FACT: usize = 2 * KIB;

/// The room that is left.
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

    /// Takes the room of a message, for as long as the permit is held.
    pub fn take(&self, facts: &[NewFact]) -> Result<OwnedSemaphorePermit, Unavailable> {
        if self.backlog.is_full() {
            return Err(Unavailable("the inbox is full"));
        }
        let bytes: usize = facts.iter().map(|fact| fact.body.len() + A_FACT).sum();
        let kib = u32::try_from(bytes.div_ceil(KIB).min(self.most)).unwrap_or(u32::MAX);
        Arc::clone(&self.free).try_acquire_many_owned(kib).map_err(|_| Unavailable("the queue is full"))
    }
}
