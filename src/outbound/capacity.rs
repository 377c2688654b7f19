//! How much outbox work may be claimed: as much as the gates before its calls have capacity for.
//!
//! Work that was claimed and then deferred would be written twice for nothing. Unclaimed work stays due, costs no attempt, and
//! is claimed when its gates permit calls again.

use std::sync::Arc;

use tokio::sync::Notify;

use super::Gate;
use crate::domain::Topic;

/// Outbox work, the gates that each of its calls passes, and the worker that claims it.
#[derive(Clone)]
pub struct GatedWork {
    pub topic: Topic,
    /// Its lane, where each lane of the topic passes gates of its own.
    pub lane: Option<String>,
    pub gates: Vec<Gate>,
    pub wake: Arc<Notify>,
}

impl GatedWork {
    fn capacity(&self) -> usize {
        self.gates.iter().map(Gate::capacity).min().unwrap_or_default()
    }

    #[must_use]
    pub fn passes(&self, gate: &Gate) -> bool {
        self.gates.iter().any(|it| it.is(gate))
    }
}

/// How many rows may be claimed now, at most `most`. A row behind a gate without capacity may be among them; its call is
/// deferred. Work without a gate is not bounded.
#[must_use]
pub fn of(work: &[GatedWork], most: usize) -> usize {
    work.iter().map(GatedWork::capacity).reduce(usize::saturating_add).unwrap_or(most).min(most)
}

/// The lanes that are not to be claimed from now.
#[must_use]
pub fn shut_lanes(work: &[GatedWork]) -> Vec<String> {
    work.iter().filter(|it| it.capacity() == 0).filter_map(|it| it.lane.clone()).collect()
}
