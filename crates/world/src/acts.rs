//! Manual control of the simulated world by a person or a test; the same in process and over HTTP.

use std::sync::Arc;

use super::endpoint::Api;
use super::life::{self, Decided};
use super::plan::{Fault, Verdict};
use super::world::World;

/// Why a manual decision was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecideError {
    /// The bank has no request with this reference or tracking id (yet).
    #[error("no such account opening request")]
    Unknown,
    /// The first decision stands.
    #[error("the account opening request is decided already")]
    Decided,
}

/// Decides the first undecided request of an opening, or the request of a tracking id.
pub(super) fn decide(world: &Arc<World>, reference: &str, verdict: &Verdict) -> Result<Decided, DecideError> {
    let candidates = {
        let ledger = world.ledger();
        ledger.by_id(reference).map_or_else(|| ledger.by_reference(reference).to_vec(), |at| vec![at])
    };
    if candidates.is_empty() {
        return Err(DecideError::Unknown);
    }
    candidates.into_iter().find_map(|at| life::decide(world, at, verdict)).ok_or(DecideError::Decided)
}

/// From now on every call to a system meets this fault; none ends the outage.
pub(super) fn outage(world: &World, api: Api, fault: Option<Fault>) {
    let mut ledger = world.ledger();
    match fault {
        Some(fault) => ledger.outages.insert(api, fault),
        None => ledger.outages.remove(&api),
    };
}
