//! What acts, workers and listeners share: the time, the cell that they work on, and the systems that they call.

use std::sync::Arc;

use sqlx::PgPool;
use tokio::sync::Notify;

use crate::clock::{Clock, Ids};
use crate::db::advance::EffectContext;
use crate::domain::Topic;
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

/// Wake-ups in process: a speed-up, since every worker also looks by itself.
#[derive(Clone, Debug, Default)]
pub struct Wakers {
    /// There are facts to decide.
    pub inbox: Arc<Notify>,
    /// A timer may be due.
    pub poller: Arc<Notify>,
    /// There is a list to pull.
    pub backfill: Arc<Notify>,
    create_profile: Arc<Notify>,
    submit_request: Arc<Notify>,
    open_account: Arc<Notify>,
    issue_card: Arc<Notify>,
    deliver_event: Arc<Notify>,
    open_ticket: Arc<Notify>,
    close_ticket: Arc<Notify>,
}

impl Wakers {
    /// Wakes the relay of a topic.
    #[must_use]
    pub const fn relay(&self, topic: Topic) -> &Arc<Notify> {
        match topic {
            Topic::CreateProfile => &self.create_profile,
            Topic::SubmitRequest => &self.submit_request,
            Topic::OpenAccount => &self.open_account,
            Topic::IssueCard => &self.issue_card,
            Topic::DeliverEvent => &self.deliver_event,
            Topic::OpenTicket => &self.open_ticket,
            Topic::CloseTicket => &self.close_ticket,
        }
    }
}
