//! State shared by acts, workers and listeners: time and ids, the database, and the other systems.

use sqlx::PgPool;

use crate::clock::{Clock, Ids};
use crate::db::advance::EffectContext;
use crate::domain::Topic;
use crate::driver::Wakers;
use crate::faults::FaultPoint;
use crate::outbound::{Gate, Gates, PollBudget};
use crate::provider::{LOOKUP, OPEN, Providers, SUBMIT};
use crate::services::{CardIssuer, ProfileService, Tracker};
use crate::sinks::Sinks;

/// Time, ids and injected faults as parameters, which makes a run repeatable.
#[derive(Clone)]
pub struct Shell {
    pub clock: Clock,
    /// Makes ids and the jitter of retries.
    pub ids: Ids,
    /// Injected faults of tests.
    pub faults: FaultPoint,
}

/// The cell: its database, the context for writing decisions, and the wake-ups of its workers after a commit.
#[derive(Clone)]
pub struct Cell {
    pub pool: PgPool,
    pub effect_context: EffectContext,
    pub wakers: Wakers,
}

/// The other systems and the gates before each call to them.
#[derive(Clone)]
pub struct Outside {
    pub providers: Providers,
    pub profiles: ProfileService,
    pub cards: CardIssuer,
    pub sinks: Sinks,
    /// The ticket tracker, if configured.
    pub tracker: Option<Tracker>,
    /// The gates before each call to another system.
    pub gates: Gates,
    pub poll_budget: PollBudget,
}

impl Outside {
    /// The gate that a call of an opening's step passes. None: the topic is no step of an opening.
    #[must_use]
    pub fn gate_of(&self, topic: Topic, provider: &str) -> Option<Gate> {
        match topic {
            Topic::CreateProfile => Some(self.profiles.gate().clone()),
            Topic::SubmitRequest => Some(self.gates.gate(provider, SUBMIT)),
            Topic::OpenAccount => Some(self.gates.gate(provider, OPEN)),
            Topic::IssueCard => Some(self.cards.gate().clone()),
            Topic::DeliverEvent | Topic::OpenTicket | Topic::CloseTicket => None,
        }
    }

    /// The gates that polls of a provider pass.
    #[must_use]
    pub fn poll_gates(&self, provider: &str) -> Vec<Gate> {
        let needs = self.providers.get(provider).map(|it| it.needs()).unwrap_or_default();
        needs.into_iter().chain([self.gates.gate(provider, LOOKUP)]).collect()
    }
}
