//! State shared by acts, workers and listeners: time and ids, the database, and the other systems.

use sqlx::PgPool;

use crate::clock::{Clock, Ids, Time};
use crate::db::advance::EffectContext;
use crate::db::overview::Call;
use crate::domain::next::{WaitingCall, Work};
use crate::domain::{Opening, Topic};
use crate::driver::Wakers;
use crate::faults::FaultPoint;
use crate::outbound::breaker::Phase;
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

    /// The calls of an opening's state, and whether one of them was given up. `given_up` are the kinds of its dead letters.
    pub fn work_of<'a>(
        &self,
        opening: &Opening,
        calls: &[Call],
        mut given_up: impl Iterator<Item = &'a str>,
        now: Time,
    ) -> Work {
        let provider = &opening.request.provider;
        let of_state = |topic: &str| topic.parse::<Topic>().ok().filter(|it| it.state() == Some(opening.state_name()));
        let is_open = |gate: Gate| gate.phase() == Phase::Open;
        let call = |call: &Call| {
            let topic = of_state(&call.topic)?;
            let is_under_way = call.is_leased && call.due_at > now;
            Some(WaitingCall {
                topic,
                attempt: if is_under_way { call.claims } else { call.claims.saturating_add(1) },
                due_at: call.due_at,
                is_under_way,
                is_held: self.gate_of(topic, provider).is_some_and(is_open),
            })
        };
        Work {
            calls: calls.iter().filter_map(call).collect(),
            is_given_up: given_up.any(|it| of_state(it).is_some()),
            are_polls_held: self.poll_gates(provider).into_iter().any(is_open),
        }
    }
}
