//! The outbox relay: makes the calls that decisions requested, and reports the results as facts.
//!
//! Claim (one commit), call, settle (one commit): no transaction is open during a call. A claim is a lease with a fresh
//! token. A worker that lost its lease settles nothing, but stores the fact of a late result. A crash between call and
//! settlement repeats the call with the same key, after checking whether it took effect. A shutdown at its time limit
//! aborts calls: their outcome is unknown, and they are due again at once.

mod calls;
mod tickets;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::Connection;
use tokio::task::JoinSet;
use tracing::Instrument as _;
use uuid::Uuid;

use self::calls::Attempt;
use crate::clock::Time;
use crate::context::Context;
use crate::db::inbox::{self, NewFact};
use crate::db::outbox::{self, Claimed, Settled};
use crate::db::{Fault, WITHIN, classify, conclude, describe};
use crate::domain::{Fact, Source, Topic};
use crate::driver::{Counts, TickError, Worker, next_completed};
use crate::faults::Step;
use crate::inbox::fact;
use crate::outbound::{CallError, capacity};
use crate::telemetry::metrics;

/// Rows per claim, which is also the maximum of concurrent calls per tick.
const BATCH: u8 = 16;
/// The maximum pause before a settlement is retried.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The worker of one topic, so that a slow system delays only its own topic.
#[derive(Clone)]
pub struct Relay {
    pub context: Context,
    pub topic: Topic,
}

/// The lease of claimed rows.
#[derive(Clone, Copy)]
struct Lease {
    token: Uuid,
    until: Time,
}

/// The result of a tick.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relayed {
    pub claimed: u64,
    /// The result of each row: topic; `delivered`, `retry`, `dead`, `cancelled`, `held` or `released`; class.
    pub attempts: Vec<(Topic, &'static str, &'static str)>,
    /// Rows that another worker had claimed by the settlement.
    pub lost_leases: u64,
    /// Whether more may be due: it claimed its maximum, or concurrent ticks used the capacity.
    pub may_be_more: bool,
}

impl Counts for Relayed {
    fn found_work(&self) -> bool {
        self.claimed > 0
    }

    /// True even if all rows were deferred: each waits for a later time, so none is claimed again at once, and a row
    /// behind them may be permitted.
    fn may_be_more(&self) -> bool {
        self.may_be_more
    }

    fn record(&self) {
        for (topic, outcome, class) in &self.attempts {
            metrics::attempt(*topic, outcome);
            match *outcome {
                "retry" => metrics::retry(*topic, class),
                "dead" => metrics::failures(class, 1),
                _ => {}
            }
        }
    }
}

#[async_trait]
impl Worker for Relay {
    type Counts = Relayed;

    fn name(&self) -> &'static str {
        "outbox"
    }

    async fn tick(&self) -> Result<Relayed, TickError> {
        // Work without capacity stays unclaimed and due.
        let room = self.capacity();
        if room == 0 || self.lacks_tracker() {
            return Ok(Relayed::default());
        }
        let now = self.context.clock.now();
        let until = now + self.context.timeout_of(self.topic) + self.context.lease_margin;
        let lease = Lease { token: self.context.ids.next(), until };
        let (claimed, mut known) = self.claim(lease, now, room).await?;
        let may_be_more = claimed.len() == room || claimed.iter().any(|it| it.fills_share);
        if may_be_more {
            // More rows may be due, for a concurrent tick.
            self.context.wakers.relay(self.topic).notify_one();
        }
        let mut counts = Relayed { claimed: claimed.len() as u64, may_be_more, ..Relayed::default() };
        let mut attempts = self.begin(claimed, &mut known, lease);
        let mut failed = None;
        while let Some(done) = next_completed(&mut attempts).await {
            let mut answered = Vec::with_capacity(done.len());
            for attempt in done {
                match attempt {
                    Ok(attempt) => answered.push(attempt),
                    Err(error) => failed = Some(error),
                }
            }
            // Calls in flight continue: the next settlement may succeed.
            failed = self.settle(&answered, lease, &mut counts).await.err().or(failed);
        }
        // A concurrent tick may have found too little capacity, which this end has freed.
        counts.may_be_more |= counts.claimed > 0 && self.capacity() < BATCH.into();
        failed.map_or(Ok(counts), Err)
    }
}

impl Relay {
    fn capacity(&self) -> usize {
        capacity::of(&self.context.gated_work(self.topic), BATCH.into())
    }

    async fn around<T>(&self, step: Step, work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        self.context.faults.around(self.topic.as_str(), step, work).await
    }

    /// Makes all calls concurrently.
    fn begin(&self, claimed: Vec<Claimed>, known: &mut calls::Known, lease: Lease) -> JoinSet<sqlx::Result<Attempt>> {
        let relay = Arc::new(self.clone());
        let mut attempts = JoinSet::new();
        for work in claimed {
            let (relay, prepared) = (Arc::clone(&relay), known.take(&work));
            let attempt = async move {
                let attempt = async { Ok(relay.attempt(work, prepared, lease).await) };
                Box::pin(relay.around(Step::Call, attempt)).await
            };
            attempts.spawn(attempt.in_current_span());
        }
        attempts
    }

    async fn claim(&self, lease: Lease, now: Time, most: usize) -> Result<(Vec<Claimed>, calls::Known), TickError> {
        let mut connection = self.context.pool.acquire().await?;
        let most = i64::try_from(most).unwrap_or(BATCH.into());
        let shut = capacity::shut_lanes(&self.context.gated_work(self.topic));
        let claiming = async {
            let claim = async {
                let (topic, token, until) = (self.topic, lease.token, lease.until);
                if topic.is_for_tracker() {
                    return outbox::claim_in_turn(&mut connection, topic, token, now, until, most).await;
                }
                outbox::claim(&mut connection, topic, token, now, until, &shut, most).await
            };
            let claimed = self.around(Step::Claim, claim).await?;
            let known = calls::Known::read(&mut connection, self.topic, &claimed).await?;
            Ok((claimed, known))
        };
        let result = tokio::time::timeout(WITHIN, claiming).await;
        conclude(connection, result)
    }

    /// Makes the call, unless the lease could end before the call: another worker could then have taken the row. All
    /// requests of one attempt share one deadline, and a panic counts as an unusable answer.
    async fn attempt(&self, work: Claimed, prepared: calls::Prepared, lease: Lease) -> Attempt {
        let timeout = self.context.timeout_of(self.topic);
        if self.context.abort_calls.is_cancelled() || self.context.clock.now() + timeout > lease.until {
            let provider = prepared.provider();
            return Attempt { work, settled: Settled::Released, fact: None, ticket: None, provider };
        }
        let provider = prepared.provider();
        let deadline = timeout.to_std().unwrap_or_default();
        let call = AssertUnwindSafe(self.call(&work, lease.token, prepared)).catch_unwind();
        let call = tokio::time::timeout(deadline, call);
        let result = match self.context.abort_calls.run_until_cancelled(call).await {
            Some(Ok(Ok(result))) => result,
            Some(Ok(Err(_panic))) => Err(CallError::unusable("our client panicked")),
            Some(Err(_elapsed)) => Err(CallError::timeout()),
            None => Err(CallError::shutdown()),
        };
        self.attempted(work, provider, result)
    }

    /// Settles answered rows in one commit. The calls were made, and only this worker may settle them while it holds
    /// the lease. So it waits for an unavailable database until then; otherwise the rows would wait for the end of
    /// their lease.
    async fn settle(&self, done: &[Attempt], lease: Lease, counts: &mut Relayed) -> Result<(), TickError> {
        let (started, ours) = (Instant::now(), lease.until - self.context.clock.now());
        let ours = ours.to_std().unwrap_or_default();
        let mut tries = 1;
        let kept = loop {
            match self.settle_once(done, lease.token).await {
                Ok(kept) => break kept,
                Err(error) if started.elapsed() < ours && classify(&error) != Fault::Permanent => {
                    tracing::warn!(error = describe(&error), tries, "settling a call failed; retrying");
                    tokio::time::sleep(MAX_PAUSE.min(Duration::from_millis(100) * tries)).await;
                    tries += 1;
                }
                Err(error) => return Err(error.into()),
            }
        };
        counts.lost_leases += (done.len() - kept) as u64;
        counts.attempts.extend(done.iter().map(|it| {
            let (outcome, class) = label(&it.settled);
            (self.topic, outcome, class)
        }));
        if done.iter().any(|it| it.fact.is_some()) {
            self.context.wakers.inbox.notify_one();
        }
        if self.topic.is_for_tracker() {
            // The next change of the same tickets may have waited for this one.
            self.context.wakers.relay(Topic::OpenTicket).notify_one();
            self.context.wakers.relay(Topic::CloseTicket).notify_one();
        }
        Ok(())
    }

    async fn settle_once(&self, done: &[Attempt], token: Uuid) -> sqlx::Result<usize> {
        let Context { pool, clock, .. } = &self.context;
        let now = clock.now();
        // In the order of their ids, regardless of the order of answers.
        let mut done: Vec<&Attempt> = done.iter().collect();
        done.sort_unstable_by_key(|attempt| attempt.work.id);
        let rows: Vec<(Uuid, &Settled)> = done.iter().map(|it| (it.work.id, &it.settled)).collect();
        let mut connection = pool.acquire().await?;
        let settling = async {
            let mut transaction = connection.begin().await?;
            let settle = async {
                let kept = outbox::settle(&mut transaction, token, &rows, now).await?;
                for attempt in &done {
                    tickets::keep(&mut transaction, attempt).await?;
                }
                let facts: Vec<NewFact> =
                    done.iter().flat_map(|it| self.facts(it, kept.contains(&it.work.id), now)).collect();
                inbox::insert(&mut transaction, &facts).await?;
                Ok(kept.len())
            };
            let kept = self.around(Step::Settle, settle).await?;
            self.around(Step::Commit, transaction.commit()).await?;
            Ok(kept)
        };
        let result = tokio::time::timeout(WITHIN, settling).await;
        conclude(connection, result)
    }

    /// The result is a fact whether or not the lease was lost; that a command is dead, only with the lease. Deliveries
    /// and tickets are no steps of the opening: a ticket about a ticket would help no operator.
    fn facts(&self, attempt: &Attempt, mine: bool, now: Time) -> Vec<NewFact> {
        let Attempt { work, settled, fact, provider, .. } = attempt;
        let new = |suffix: &str, fact: &Fact| {
            let event_id = format!("cmd:{}:{}{suffix}", work.id, work.claims);
            fact::ours(&self.context.ids, Source::Command, provider, event_id, work.opening_id, fact, now)
        };
        let dead = match settled {
            Settled::Dead { class, cause, .. } if mine && self.topic.state().is_some() => {
                Some(Fact::CommandDead { topic: self.topic, cause: format!("{class}: {cause}") })
            }
            _ => None,
        };
        fact.iter().map(|fact| new("", fact)).chain(dead.iter().map(|fact| new(":dead", fact))).collect()
    }
}

const fn label(settled: &Settled) -> (&'static str, &'static str) {
    match settled {
        Settled::Delivered { .. } => ("delivered", ""),
        Settled::Retry { class, .. } => ("retry", class),
        Settled::Dead { class, .. } => ("dead", class),
        Settled::Cancelled { cause } => ("cancelled", cause),
        Settled::Held { class, .. } => ("held", class),
        Settled::Released => ("released", ""),
    }
}
