//! What acts, workers and listeners share: the time, the cell that they work on, and the systems that they call.

use sqlx::PgPool;

use crate::clock::{Clock, Ids};
use crate::db::advance::EffectContext;
use crate::driver::Wakers;
use crate::faults::FaultPoint;
use crate::outbound::Gates;
use crate::provider::Providers;

/// What makes a run repeatable: time, ids and faults are parameters everywhere.
#[derive(Clone)]
pub struct Shell {
    pub clock: Clock,
    /// Ids, and the jitter of retries.
    pub ids: Ids,
    /// Where tests let steps fail.
    pub faults: FaultPoint,
}

/// The cell: its database, how decisions are written there, and how its workers in this process are woken after a commit.
#[derive(Clone)]
pub struct Cell {
    pub pool: PgPool,
    pub effect_context: EffectContext,
    pub wakers: Wakers,
}

/// The other systems, and what stands before each call to them.
#[derive(Clone)]
pub struct Outside {
    pub providers: Providers,
    pub gates: Gates,
}
