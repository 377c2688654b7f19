//! The inbox worker: claims facts, decides and settles them, in one transaction.
//!
//! Invariant: state, history, outbox, timer and the settlement of the fact commit together or not at all; the anchor's
//! row lock serialises decisions about an opening. A crash leaves the facts pending. A fact that fails every time is
//! tried alone, so that it blocks nothing, and becomes a dead letter after `MAX_ATTEMPTS`.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use uuid::Uuid;

use super::batch::Which;
use super::pace::Pace;
use crate::clock::Time;
use crate::context::Context;
use crate::db::advance::Advance;
use crate::db::{Fault, classify, describe, inbox};
use crate::domain::retry::Next;
use crate::domain::{Effect, OpeningId, Outcome, Request, StateName, Topic};
use crate::driver::{Counts, TickError, Worker};
use crate::shell::{Cell, Shell};
use crate::telemetry::metrics;
use crate::webhook_activity::WebhookActivity;

/// Immediate tries of a batch after contention.
const TRIES: usize = 4;

pub struct InboxWorker {
    pub(super) context: Context,
    pub(super) pace: Pace,
}

impl InboxWorker {
    #[must_use]
    pub fn new(context: Context) -> Self {
        Self { context, pace: Pace::default() }
    }
}

/// The result of a tick.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    pub claimed: u64,
    /// The number of facts by outcome.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// The number of unreadable facts.
    pub unreadable: u64,
    /// The number of failed facts, retried or given up.
    pub failed: u64,
    /// Status words that no adapter knows, with their openings.
    pub unknown: Vec<(OpeningId, String)>,
    /// The transitions: from, to, source, market.
    pub transitions: Vec<(Option<StateName>, StateName, &'static str, String)>,
    /// The last webhook that matched an opening, by provider and market.
    pub webhooks: BTreeMap<(String, String), Time>,
    /// Providers and markets with a waiting opening.
    pub waits: BTreeSet<(String, String)>,
    /// Whether more facts may be due: a lane filled its share, limit or bytes cut the batch off, or it made some due.
    pub may_be_more: bool,
}

impl Decided {
    /// Adds the counts of another tick.
    fn add(&mut self, other: Self) {
        self.claimed += other.claimed;
        self.unreadable += other.unreadable;
        self.failed += other.failed;
        self.may_be_more |= other.may_be_more;
        self.transitions.extend(other.transitions);
        self.waits.extend(other.waits);
        self.unknown.extend(other.unknown);
        for (outcome, count) in other.outcomes {
            *self.outcomes.entry(outcome).or_default() += count;
        }
        for (of, at) in other.webhooks {
            let last = self.webhooks.entry(of).or_insert(at);
            *last = at.max(*last);
        }
    }

    pub(super) fn saw(&mut self, webhook: Option<(String, Time)>, market: &str) {
        if let Some((provider, at)) = webhook {
            let last = self.webhooks.entry((provider, market.to_owned())).or_insert(at);
            *last = at.max(*last);
        }
    }

    /// Records the webhooks and the waits of a commit.
    pub(super) fn tell(&self, activity: &WebhookActivity, now: Time) {
        for ((provider, market), at) in &self.webhooks {
            activity.webhook(provider, market, *at);
        }
        for (provider, market) in &self.waits {
            activity.waits(provider, market, now);
        }
    }

    pub(super) fn advanced(&mut self, advance: &Advance) {
        let Request { provider, market, .. } = &advance.opening.request;
        if advance.opening.state_name() == StateName::AwaitingProvider {
            self.waits.insert((provider.clone(), market.clone()));
        }
        let steps = advance.steps().iter().map(|step| (step.from, step.to, step.source.as_str(), market.clone()));
        self.transitions.extend(steps);
    }
}

impl Counts for Decided {
    fn found_work(&self) -> bool {
        // A batch of parked or failed facts made progress, too: their next try is later.
        self.claimed > 0
    }

    fn may_be_more(&self) -> bool {
        self.may_be_more
    }

    fn record(&self) {
        for (from, to, source, market) in &self.transitions {
            metrics::transition(*from, *to, source, market);
        }
        metrics::failures("processing", self.failed);
        metrics::failures("unreadable", self.unreadable);
        for (opening, word) in &self.unknown {
            tracing::warn!(opening.id = %opening, provider.status = word, "unknown provider status; the opening does not move");
            metrics::failures("unknown_status", 1);
        }
    }
}

#[async_trait]
impl Worker for InboxWorker {
    type Counts = Decided;

    fn name(&self) -> &'static str {
        "inbox"
    }

    async fn tick(&self) -> Result<Decided, TickError> {
        let mut tries = 1;
        loop {
            match self.batch(Which::Due(self.pace.limit())).await {
                Ok(decided) => return Ok(decided),
                Err(failure) => match failure.fault() {
                    Fault::Unavailable => return Err(failure.error),
                    Fault::Contention if tries < TRIES => tries += 1,
                    // A fact of the batch fails every time, or transactions keep colliding.
                    Fault::Contention | Fault::Permanent if failure.claimed.is_empty() => return Err(failure.error),
                    Fault::Contention | Fault::Permanent => return self.bisect(&failure.claimed).await,
                },
            }
        }
    }
}

/// Splits the work in halves; the first half is pushed last, to be taken first. A single fact stays whole.
fn halves(batch: &[Uuid]) -> Vec<&[Uuid]> {
    if let [_] = batch {
        return vec![batch];
    }
    let (first, second) = batch.split_at(batch.len() / 2);
    vec![second, first]
}

/// A batch that was rolled back, with the facts that it had claimed.
pub(super) struct Failure {
    pub error: TickError,
    pub claimed: Vec<Uuid>,
}

impl Failure {
    fn fault(&self) -> Fault {
        match &self.error {
            TickError::Database(error) => classify(error),
            TickError::Panicked => Fault::Permanent,
        }
    }

    /// The cause that people read in the dead letter.
    fn cause(&self) -> String {
        match &self.error {
            TickError::Database(error) => describe(error),
            TickError::Panicked => "panicked".to_owned(),
        }
    }
}

impl InboxWorker {
    /// Tries the halves of a batch that failed, and their halves, until each fact that fails stands alone. The other facts of
    /// the batch are decided meanwhile. One failing fact among a thousand costs about twenty tries.
    async fn bisect(&self, batch: &[Uuid]) -> Result<Decided, TickError> {
        // More facts may be due: the batch was rolled back before it said so.
        let mut all = Decided { may_be_more: true, ..Decided::default() };
        let mut left = halves(batch);
        while let Some(part) = left.pop() {
            match (self.batch(Which::These(part)).await, part) {
                (Ok(decided), _) => all.add(decided),
                (Err(failure), _) if failure.fault() == Fault::Unavailable || failure.claimed.is_empty() => {
                    return Err(failure.error);
                }
                (Err(failure), [id]) => {
                    self.fail(*id, &failure).await?;
                    all.claimed += 1;
                    all.failed += 1;
                }
                (Err(_), several) => left.extend(halves(several)),
            }
        }
        Ok(all)
    }

    /// Notes the failure in a transaction of its own: that of the work is gone. Contention is not the fact's fault, and does
    /// not bring it nearer to its end.
    async fn fail(&self, id: Uuid, failure: &Failure) -> Result<(), TickError> {
        let Shell { clock, ids, .. } = &self.context.shell;
        let pool = &self.context.cell.pool;
        let retry = &self.context.policies.retry;
        let mut transaction = pool.begin().await?;
        let attempts = inbox::attempts(&mut transaction, id).await?;
        let now = clock.now();
        let counts = failure.fault() != Fault::Contention;
        let next = match retry.after_failure(attempts + 1, now, ids.jitter()) {
            Next::RetryAt(at) => Some(at),
            Next::Dead => (!counts).then(|| now + retry.cap),
        };
        let cause = failure.cause();
        tracing::error!(inbox.id = %id, cause, dead = next.is_none(), "deciding a fact failed");
        inbox::fail(&mut transaction, id, &cause, counts, next, now).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Wakes the workers that have work after a commit.
    pub(super) fn wake(&self, advances: &[Advance]) {
        let Cell { wakers, effect_context, .. } = &self.context.cell;
        let has_sinks = !effect_context.sinks.is_empty();
        for effect in advances.iter().flat_map(Advance::effects) {
            match effect {
                Effect::Send(command) => wakers.relay(command.0).notify_one(),
                Effect::Emit(..) | Effect::OpenCase(_) if has_sinks => {
                    wakers.relay(Topic::DeliverEvent).notify_one();
                }
                Effect::Emit(..)
                | Effect::OpenCase(_)
                | Effect::Cancel(_)
                | Effect::OpenTicket { .. }
                | Effect::CloseTicket { .. } => {}
            }
        }
        let now = self.context.shell.clock.now();
        if advances.iter().any(|it| it.opening.due_at.is_some_and(|due| due <= now)) {
            wakers.poller.notify_one();
        }
    }
}
