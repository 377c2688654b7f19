//! The context that workers share: the database, the outside, and the rules of waiting and repeating.

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::config::ReconciliationSettings;
use crate::db::timers::ClaimCursor;
use crate::domain::retry::RetryPolicy;
use crate::domain::{Opening, Policy, Topic};
use crate::provider::SecretUses;
use crate::shell::{Cell, Outside, Shell};
use crate::webhook_activity::WebhookActivity;

/// The context of every worker.
#[derive(Clone)]
pub struct Context {
    pub shell: Shell,
    pub cell: Cell,
    pub outside: Outside,
    pub policies: Policies,
    /// The positions of the poller's claims.
    pub claim_cursor: ClaimCursor,
    /// The times of the providers' last webhooks.
    pub webhook_activity: WebhookActivity,
    /// Uses of webhook secrets since the last write.
    pub secret_uses: SecretUses,
    /// Cancelled when a shutdown cannot wait longer for calls in flight.
    pub abort_calls: CancellationToken,
}

/// How long workers wait, how often they repeat, and how long they keep.
#[derive(Clone)]
pub struct Policies {
    /// For openings of a provider that only another version knows; the others have their own in `Providers`.
    pub policy: Policy,
    pub retry: RetryPolicy,
    /// The deadline of each call, except the blocking legacy call.
    pub call_timeout: TimeDelta,
    /// The deadline of the blocking legacy call.
    pub blocking_call_timeout: TimeDelta,
    /// How long a lease lasts beyond its calls.
    pub lease_margin: TimeDelta,
    /// How far before the last webhook a backfill starts.
    pub backfill_overlap: TimeDelta,
    /// How long a fact that matches no opening is retried.
    pub parked_ttl: TimeDelta,
    /// The maximum of due facts before the inbox accepts no more.
    pub max_waiting: i64,
    pub reconciliation: ReconciliationSettings,
    /// How long finished facts and work stay in inbox and outbox.
    pub archive_after: TimeDelta,
    /// How long the inbox keeps the key of an archived fact.
    pub inbox_keys_for: TimeDelta,
    /// How long a session of the dashboard may be idle.
    pub session_idle: TimeDelta,
    /// How long a session of the dashboard may last.
    pub session_max: TimeDelta,
}

impl Context {
    /// The rules of waiting for an opening's provider.
    #[must_use]
    pub fn policy_of(&self, opening: &Opening) -> &Policy {
        self.outside.providers.policy(&opening.request.provider, &self.policies.policy)
    }
}

impl Policies {
    #[must_use]
    pub const fn timeout_of(&self, topic: Topic) -> TimeDelta {
        match topic {
            Topic::OpenAccount => self.blocking_call_timeout,
            _ => self.call_timeout,
        }
    }
}
