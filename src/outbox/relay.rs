//! The relay: one loop for every kind of outbox work.
//!
//! Claim (one commit), call, settle (one commit): no transaction is held across the network. A claim is a lease with a fresh token.
//! A relay that lost its lease settles nothing, but the facts of a late result go into the inbox all the same. A crash between
//! call and settlement repeats the call under the same key. Submissions and tickets are first looked for at the other side, which
//! may not know the key. At the end of a shutdown's time calls are aborted: their outcome is unknown, and they are due again at once.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::TimeDelta;
use futures::FutureExt;
use sqlx::Connection;
use tokio::task::JoinSet;
use tracing::Instrument as _;
use uuid::Uuid;

use super::kind::{Answer, Attempt, Claim, Failure, Kind};
use crate::clock::Time;
use crate::context::Context;
use crate::db::inbox::{self, NewFact};
use crate::db::outbox::{self, Claimed, Settled};
use crate::db::{Fault, WITHIN, classify, conclude, describe};
use crate::domain::Topic;
use crate::domain::retry::Next;
use crate::driver::{Counts, TickError, Worker, next_completed};
use crate::faults::Step;
use crate::outbound::{CallError, capacity};
use crate::telemetry::metrics;

/// Work claimed at once, and so the most calls of one tick at once.
const BATCH: u8 = 16;
/// The longest pause before a settlement is tried again.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Under what rows were claimed.
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
    /// Whether more may be due: it claimed its maximum, a lane filled its share, or concurrent ticks used the capacity.
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

/// The relay of one kind of work.
pub(super) struct Loop<K: Kind>(Arc<Shared<K>>);

struct Shared<K> {
    context: Context,
    kind: K,
}

impl<K: Kind> Loop<K> {
    pub fn new(context: Context, kind: K) -> Self {
        Self(Arc::new(Shared { context, kind }))
    }
}

#[async_trait]
impl<K: Kind> Worker for Loop<K> {
    type Counts = Relayed;

    fn name(&self) -> &'static str {
        "outbox"
    }

    async fn tick(&self) -> Result<Relayed, TickError> {
        let Shared { context, kind } = &*self.0;
        // Work whose calls would be deferred stays as it is, and due.
        let capacity = self.0.capacity();
        if capacity == 0 || !kind.has_target() {
            return Ok(Relayed::default());
        }
        let now = context.shell.clock.now();
        let until = now + context.policies.timeout_of(kind.topic()) + context.policies.lease_margin;
        let lease = Lease { token: context.shell.ids.next(), until };
        let (claimed, prepared) = self.0.claim(lease, now, capacity).await?;
        let may_be_more = claimed.len() == capacity || claimed.iter().any(|it| it.fills_share);
        if may_be_more {
            // There may be more, for another tick beside this one.
            context.cell.wakers.relay(kind.topic()).notify_one();
        }
        let mut counts = Relayed { claimed: claimed.len() as u64, may_be_more, ..Relayed::default() };
        let mut attempts = self.begin(claimed.into_iter().zip(prepared), lease);
        let mut failed = None;
        while let Some(done) = next_completed(&mut attempts).await {
            let mut answered = Vec::with_capacity(done.len());
            for attempt in done {
                match attempt {
                    Ok(attempt) => answered.push(attempt),
                    Err(error) => failed = Some(error),
                }
            }
            // The other calls go on: their settlement may succeed where this one failed.
            failed = self.0.settle(&answered, lease, &mut counts).await.err().or(failed);
        }
        // Calls of other ticks hold capacity. A look meanwhile may have found too little, and the end of this tick frees some.
        counts.may_be_more |= counts.claimed > 0 && self.0.capacity() < BATCH.into();
        failed.map_or(Ok(counts), Err)
    }
}

impl<K: Kind> Loop<K> {
    /// Makes the calls, all at once.
    fn begin(
        &self,
        work: impl Iterator<Item = (Claimed, Option<K::Prepared>)>,
        lease: Lease,
    ) -> JoinSet<sqlx::Result<Attempt<K::Found>>> {
        let mut attempts = JoinSet::new();
        for (work, prepared) in work {
            let shared = Arc::clone(&self.0);
            let attempt = async move {
                let attempt = async { Ok(shared.attempt(work, prepared, lease).await) };
                Box::pin(shared.around(Step::Call, attempt)).await
            };
            attempts.spawn(attempt.in_current_span());
        }
        attempts
    }
}

impl<K: Kind> Shared<K> {
    fn capacity(&self) -> usize {
        capacity::of(&self.context.gated_work(self.kind.topic()), BATCH.into())
    }

    async fn around<T>(&self, step: Step, work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        self.context.shell.faults.around(self.kind.topic().as_str(), step, work).await
    }

    async fn claim(
        &self,
        lease: Lease,
        now: Time,
        max: usize,
    ) -> Result<(Vec<Claimed>, Vec<Option<K::Prepared>>), TickError> {
        let topic = self.kind.topic();
        let shut = capacity::shut_lanes(&self.context.gated_work(topic));
        let limit = i64::try_from(max).unwrap_or(BATCH.into());
        let claim = Claim { topic, token: lease.token, now, until: lease.until, shut: &shut, limit };
        let mut connection = self.context.cell.pool.acquire().await?;
        let claiming = async {
            let claimed = self.around(Step::Claim, self.kind.claim(&mut connection, claim)).await?;
            let prepared =
                if claimed.is_empty() { Vec::new() } else { self.kind.prepare(&mut connection, &claimed).await? };
            Ok((claimed, prepared))
        };
        let result = tokio::time::timeout(WITHIN, claiming).await;
        conclude(connection, result)
    }

    /// Makes the call, unless the rest of the lease is too short for it: another relay may have taken the row over by its end. All
    /// calls of one attempt share one deadline, and a panic in them is an unusable answer.
    async fn attempt(&self, work: Claimed, prepared: Option<K::Prepared>, lease: Lease) -> Attempt<K::Found> {
        let provider = prepared.as_ref().map(|it| self.kind.provider(it)).unwrap_or_default();
        let timeout: TimeDelta = self.context.policies.timeout_of(self.kind.topic());
        if self.context.abort_calls.is_cancelled() || self.context.shell.clock.now() + timeout > lease.until {
            return Attempt { work, provider, settled: Settled::Released, found: None };
        }
        let call = async {
            let gone = || CallError::unusable("the row that it needs cannot be read");
            self.kind.call(&work, lease.token, prepared.ok_or_else(gone)?).await
        };
        let call = tokio::time::timeout(timeout.to_std().unwrap_or_default(), AssertUnwindSafe(call).catch_unwind());
        let result = match self.context.abort_calls.run_until_cancelled(call).await {
            Some(Ok(Ok(result))) => result,
            Some(Ok(Err(_panic))) => Err(CallError::unusable("our client panicked")),
            Some(Err(_elapsed)) => Err(CallError::timeout()),
            None => Err(CallError::shutdown()),
        };
        let (settled, found) = match result {
            Ok(Answer::Taken(outcome, found)) => (Settled::Delivered { outcome }, found),
            Ok(Answer::Obsolete) => (Settled::Cancelled { cause: "obsolete" }, None),
            Err(error) => self.failed(&work, error),
        };
        Attempt { work, provider, settled, found }
    }

    /// The consequence of a failure: a final no ends the row, an outage is waited out, an unusable answer counts; and what this kind
    /// makes of it.
    fn failed(&self, work: &Claimed, error: CallError) -> (Settled, Option<K::Found>) {
        let retry = &self.context.policies.retry;
        let (now, jitter) = (self.context.shell.clock.now(), self.context.shell.ids.jitter());
        let (class, cause, nature) = (error.class(), error.to_string(), error.nature());
        let after = |next: Next, counts: bool| match next {
            Next::RetryAt(at) => Settled::Retry { at, class, cause: cause.clone(), counts, nature },
            Next::Dead => Settled::Dead { class, nature, cause: cause.clone() },
        };
        let meaning = self.kind.on_failure(&error);
        let (settled, found) = match (error, meaning) {
            (CallError::Deferred { class, after }, _) => {
                return (Settled::Held { at: now + after.min(retry.cap), class }, None);
            }
            (_, Failure::Answered(outcome, found)) => (Settled::Delivered { outcome }, Some(found)),
            // Our shutdown is no failure of the other system: the next relay repeats the call.
            (CallError::Outage { class: "shutdown", .. }, Failure::ByTheRules(found)) => {
                (after(Next::RetryAt(now), false), found)
            }
            (CallError::Outage { after: wait, .. }, Failure::ByTheRules(found)) => {
                (after(retry.after_outage(work.retry_from, work.claims - 1, wait, now, jitter), false), found)
            }
            (CallError::Unusable { .. }, Failure::ByTheRules(found)) => {
                (after(retry.after_failure(work.attempts + 1, now, jitter), true), found)
            }
            (_, Failure::Counts) => (after(retry.after_failure(work.attempts + 1, now, jitter), true), None),
            (CallError::Rejected { .. }, Failure::ByTheRules(_)) => {
                (Settled::Dead { class, nature, cause: cause.clone() }, None)
            }
        };
        log(work, self.kind.topic(), class, &cause, &settled);
        (settled, found)
    }

    /// Settles what was answered, all in one commit. The calls are made, and no other relay may settle them while the lease is
    /// ours. So a database that is away is waited for until then: otherwise the rows would wait for their lease to end.
    async fn settle(&self, done: &[Attempt<K::Found>], lease: Lease, counts: &mut Relayed) -> Result<(), TickError> {
        let (started, ours) = (Instant::now(), lease.until - self.context.shell.clock.now());
        let ours = ours.to_std().unwrap_or_default();
        let mut tries = 1;
        let (kept, facts) = loop {
            match self.settle_once(done, lease.token).await {
                Ok(settled) => break settled,
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
            (self.kind.topic(), outcome, class)
        }));
        if facts > 0 {
            self.context.cell.wakers.inbox.notify_one();
        }
        self.kind.settled();
        Ok(())
    }

    /// Returns how many rows were settled, and how many facts were written.
    async fn settle_once(&self, done: &[Attempt<K::Found>], token: Uuid) -> sqlx::Result<(usize, usize)> {
        let clock = &self.context.shell.clock;
        let pool = &self.context.cell.pool;
        let now = clock.now();
        // In the order of their ids, in which decisions cancel rows too.
        let mut done: Vec<&Attempt<K::Found>> = done.iter().collect();
        done.sort_unstable_by_key(|attempt| attempt.work.id);
        let rows: Vec<(Uuid, &Settled)> = done.iter().map(|it| (it.work.id, &it.settled)).collect();
        let mut connection = pool.acquire().await?;
        let settling = async {
            let mut transaction = connection.begin().await?;
            let settle = async {
                let kept = outbox::settle(&mut transaction, token, &rows, now).await?;
                for attempt in &done {
                    self.kind.keep(&mut transaction, attempt).await?;
                }
                let facts: Vec<NewFact> =
                    done.iter().flat_map(|it| self.kind.facts(it, kept.contains(&it.work.id), now)).collect();
                inbox::insert(&mut transaction, &facts).await?;
                Ok((kept.len(), facts.len()))
            };
            let settled = self.around(Step::Settle, settle).await?;
            self.around(Step::Commit, transaction.commit()).await?;
            Ok(settled)
        };
        let result = tokio::time::timeout(WITHIN, settling).await;
        conclude(connection, result)
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

fn log(work: &Claimed, topic: Topic, class: &str, cause: &str, settled: &Settled) {
    let (opening, outbox) = (work.opening_id.map(|it| it.to_string()), work.id);
    match settled {
        Settled::Dead { .. } => {
            tracing::error!(opening.id = opening, outbox.id = %outbox, %topic, class, cause, "call given up; it is a dead letter");
        }
        // A misconfiguration of ours: waiting does not help, so an operator must see it.
        _ if class == "misconfigured" => {
            tracing::error!(opening.id = opening, outbox.id = %outbox, %topic, class, cause, "call refused because of our configuration; retrying");
        }
        _ => tracing::info!(opening.id = opening, outbox.id = %outbox, %topic, class, cause, "call failed; retrying"),
    }
}
