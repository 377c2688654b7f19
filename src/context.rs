//! What workers share: the database, the outside, and the rules of waiting and repeating.

use chrono::TimeDelta;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Ids};
use crate::db::advance::EffectContext;
use crate::db::timers::ClaimCursor;
use crate::domain::retry::RetryPolicy;
use crate::domain::{Policy, Topic};
use crate::driver::Wakers;
use crate::faults::FaultPoint;
use crate::outbound::{Gates, PollBudget};
use crate::provider::{Providers, SecretUses};
use crate::services::{CardIssuer, ProfileService, Subscribers, Tracker};
use crate::webhook_activity::WebhookActivity;

/// The context of every worker.
#[derive(Clone)]
pub struct Context {
    pub pool: PgPool,
    pub clock: Clock,
    /// Makes ids and jitter.
    pub ids: Ids,
    pub effect_context: EffectContext,
    pub policy: Policy,
    pub retry: RetryPolicy,
    pub providers: Providers,
    pub profiles: ProfileService,
    pub cards: CardIssuer,
    /// The subscribers that receive every event.
    pub subscribers: Subscribers,
    /// The ticket tracker, if configured.
    pub tracker: Option<Tracker>,
    /// The gates before each call to another system.
    pub gates: Gates,
    pub poll_budget: PollBudget,
    /// The positions of the poller's claims.
    pub claim_cursor: ClaimCursor,
    /// The times of the providers' last webhooks.
    pub webhook_activity: WebhookActivity,
    /// How far before the last webhook a backfill starts.
    pub backfill_overlap: TimeDelta,
    /// The deadline of each call, except the blocking legacy call.
    pub call_timeout: TimeDelta,
    /// The deadline of the blocking legacy call.
    pub blocking_call_timeout: TimeDelta,
    /// Cancelled when a shutdown cannot wait longer for calls in flight.
    pub abort_calls: CancellationToken,
    /// How long a lease lasts beyond its calls.
    pub lease_margin: TimeDelta,
    /// How long a fact that matches no opening is retried.
    pub parked_ttl: TimeDelta,
    /// The maximum of due facts before it accepts no more.
    pub most_waiting: i64,
    /// How long finished facts and work stay in inbox and outbox.
    pub archive_after: TimeDelta,
    /// How long the inbox keeps the key of an archived fact.
    pub inbox_keys_for: TimeDelta,
    /// Uses of webhook secrets since the last write.
    pub secret_uses: SecretUses,
    pub wakers: Wakers,
    /// Injected faults of tests.
    pub faults: FaultPoint,
}

impl Context {
    #[must_use]
    pub const fn timeout_of(&self, topic: Topic) -> TimeDelta {
        match topic {
            Topic::OpenAccount => self.blocking_call_timeout,
            _ => self.call_timeout,
        }
    }
}
