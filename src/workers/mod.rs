//! The work behind the edge. The inbox worker decides, the relay calls other systems, the poller asks the provider, the catch-up
//! pulls its list, recovery makes due what a breaker held up, the sweeper tidies; a few periodic tasks keep memory and database
//! in step.
//!
//! A worker is a `tick()` that takes no input, is safe to run twice, and returns typed counts; `crate::driver` runs it.

pub mod backfill;
pub mod backlog;
pub mod facts;
mod gated_work;
pub mod inbox;
pub mod poller;
pub mod relay;
pub mod secret_uses;
pub mod sweeper;
pub mod timeline;
pub mod webhook_marks;

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
use crate::ingest::Backlog;
use crate::outbound::{Gates, PollBudget};
use crate::provider::{Providers, SecretUses};
use crate::services::{CardIssuer, ProfileService, Subscribers, Tracker};
use crate::webhook_activity::WebhookActivity;

/// What every worker needs.
#[derive(Clone)]
pub struct Context {
    /// The database.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// Ids and jitter.
    pub ids: Ids,
    /// Writes decisions.
    pub effect_context: EffectContext,
    /// The waiting rules.
    pub policy: Policy,
    /// The repeating rules.
    pub retry: RetryPolicy,
    /// The banks.
    pub providers: Providers,
    /// The profile service.
    pub profiles: ProfileService,
    /// The card issuer.
    pub cards: CardIssuer,
    /// Those who are sent every event.
    pub subscribers: Subscribers,
    /// The ticket tracker, if there is one.
    pub tracker: Option<Tracker>,
    /// What stands before each call out.
    pub gates: Gates,
    /// How many polls a minute each provider takes.
    pub poll_budget: PollBudget,
    /// How far the poller has read what is due.
    pub claim_cursor: ClaimCursor,
    /// When each provider last sent a webhook.
    pub webhook_activity: WebhookActivity,
    /// How far before the last webhook a catch-up begins.
    pub backfill_overlap: TimeDelta,
    /// The deadline of each call out, but of the legacy call that blocks.
    pub call_timeout: TimeDelta,
    /// The deadline of that one.
    pub blocking_call_timeout: TimeDelta,
    /// Cancelled when a shutdown can wait no longer for calls under way.
    pub abort_calls: CancellationToken,
    /// How long a lease outlives the calls that it is for.
    pub lease_margin: TimeDelta,
    /// How long a fact that matches no opening waits for one.
    pub parked_ttl: TimeDelta,
    /// Whether the inbox takes anything more from outside.
    pub backlog: Backlog,
    /// How many facts may be due before it takes nothing more.
    pub most_waiting: i64,
    /// How long after their end facts and work stay beside those that are not done with.
    pub archive_after: TimeDelta,
    /// How long the inbox knows the key of a fact that was archived.
    pub inbox_keys_for: TimeDelta,
    /// Which secrets verified webhooks since it was last written down.
    pub secret_uses: SecretUses,
    /// Wakes workers after a commit that made work for them.
    pub wakers: Wakers,
    /// Where tests let steps fail.
    pub faults: FaultPoint,
}

impl Context {
    /// The deadline of a topic's calls.
    #[must_use]
    pub const fn timeout_of(&self, topic: Topic) -> TimeDelta {
        match topic {
            Topic::OpenAccount => self.blocking_call_timeout,
            _ => self.call_timeout,
        }
    }
}
