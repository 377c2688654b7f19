//! A transaction of the inbox worker: claim, correlate, decide, write, settle.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use futures::FutureExt as _;
use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection, Postgres};
use uuid::Uuid;

use super::correlate::{self, Correlated, Readable};
use super::read;
use super::worker::{Decided, Failure, InboxWorker};
use crate::clock::Time;
use crate::db::advance::{self, Advance};
use crate::db::inbox::{self, Claim, Pending, Settlement};
use crate::db::{WITHIN, conclude, describe};
use crate::domain::{Outcome, Verdict, decide};
use crate::driver::{TickError, Worker};
use crate::faults::Step;
use crate::provider::Providers;

/// The facts to claim.
#[derive(Clone, Copy)]
pub(super) enum Which<'a> {
    /// At most this many due facts.
    Due(u32),
    /// Only these facts.
    These(&'a [Uuid]),
}

impl InboxWorker {
    /// Decides facts in one commit.
    pub(super) async fn batch(&self, which: Which<'_>) -> Result<Decided, Failure> {
        let mut claimed = Vec::new();
        let result = self.transaction(which, &mut claimed).await;
        result.map_err(|error| Failure { error, claimed })
    }

    async fn transaction(&self, which: Which<'_>, claimed: &mut Vec<Uuid>) -> Result<Decided, TickError> {
        let clock = &self.context.shell.clock;
        let pool = &self.context.cell.pool;
        let webhook_activity = &self.context.webhook_activity;
        let now = clock.now();
        let mut connection = pool.acquire().await?;
        let started = Instant::now();
        // A panic is caused by one of the facts, like a refusal by the database: the batch is bisected.
        let work = AssertUnwindSafe(self.commit(&mut connection, which, claimed, now)).catch_unwind();
        let work = async { work.await.unwrap_or(Err(TickError::Panicked)) };
        let mut result = tokio::time::timeout(WITHIN, work).await;
        if let Which::Due(limit) = which {
            // Also after a failure: if the batch took too long, the next one must be smaller.
            let (claimed, may_be_more) = match &result {
                Ok(Ok(it)) => (it.decided.claimed, it.decided.may_be_more),
                _ => (0, false),
            };
            self.pace.learn(limit, claimed, may_be_more, started.elapsed());
        }
        match &mut result {
            Ok(Ok(committed)) => {
                self.wake(&committed.advances);
                committed.decided.may_be_more |= self.unpark(&mut connection, committed, now).await;
            }
            Ok(Err(_)) => {
                // A dropped transaction's rollback is sent with the next statement. The ping sends it now: the next try
                // would otherwise find these facts locked and skip them.
                let _ = tokio::time::timeout(WITHIN, connection.ping()).await;
            }
            Err(_elapsed) => {}
        }
        let Committed { decided, .. } = conclude(connection, result)?;
        decided.tell(webhook_activity, now);
        Ok(decided)
    }

    async fn commit(
        &self,
        connection: &mut PgConnection,
        which: Which<'_>,
        claimed: &mut Vec<Uuid>,
        now: Time,
    ) -> Result<Committed, TickError> {
        let mut transaction = connection.begin().await?;
        let faults = &self.context.shell.faults;
        let claim = async {
            match which {
                Which::Due(limit) => inbox::claim(&mut transaction, now, limit.into()).await,
                Which::These(ids) => {
                    let facts = inbox::claim_these(&mut transaction, ids, now).await?;
                    Ok(Claim { facts, may_be_more: false })
                }
            }
        };
        let Claim { facts: pending, may_be_more } = faults.around(self.name(), Step::Claim, claim).await?;
        if pending.is_empty() {
            return Ok(Committed::default());
        }
        claimed.extend(pending.iter().map(|it| it.id));
        let mut decided = Decided { claimed: pending.len() as u64, may_be_more, ..Decided::default() };

        let (facts, unreadable) = read(&self.context.outside.providers, pending);
        decided.unreadable = unreadable.len() as u64;
        mark_unreadable(&mut transaction, &unreadable, now).await?;

        let correlated = correlate::correlate(&mut transaction, facts, now).await?;
        let Verdicts { advances, settled, erased, parked } = self.judge(correlated, now, &mut decided)?;
        advance::advance(
            &mut transaction,
            &self.context.cell.effect_context,
            &advances.iter().collect::<Vec<_>>(),
            now,
        )
        .await?;
        let settle = async {
            inbox::settle(&mut transaction, &settled, now).await?;
            inbox::empty(&mut transaction, &erased, now).await?;
            inbox::park(&mut transaction, &parked).await
        };
        faults.around(self.name(), Step::Settle, settle).await?;
        faults.around(self.name(), Step::Commit, transaction.commit()).await?;
        for advance in &advances {
            decided.advanced(advance);
        }
        Ok(Committed { decided, advances, parked: parked.into_iter().map(|(id, _)| id).collect() })
    }

    /// Makes parked facts due that match now: those waiting for what moved, and those of this batch whose opening
    /// another commit created meanwhile. Returns whether there were any. If it fails, they are retried at their own
    /// time.
    async fn unpark(&self, connection: &mut PoolConnection<Postgres>, done: &Committed, now: Time) -> bool {
        let unparking = async {
            let mut due = advance::unpark(connection, &done.advances, now).await?;
            if !done.parked.is_empty() {
                due += inbox::unpark_matched(connection, &done.parked, now).await?;
            }
            Ok::<u64, sqlx::Error>(due)
        };
        let why = match tokio::time::timeout(WITHIN, unparking).await {
            Ok(Ok(due)) => return due > 0,
            Ok(Err(error)) => describe(&error),
            Err(_elapsed) => {
                connection.close_on_drop();
                "the database did not answer in time".to_owned()
            }
        };
        tracing::warn!(error = why, "parked facts could not be made due; they are retried at their own time");
        false
    }

    /// Decides each fact in the order of receipt, on the result of the one before.
    fn judge(&self, correlated: Correlated, now: Time, decided: &mut Decided) -> Result<Verdicts, TickError> {
        let Correlated { facts, mut anchors, mut holders } = correlated;
        let mut verdicts = Verdicts::default();
        for fact in facts {
            let (id, retry_from, webhook) = (fact.id, fact.retry_from, fact.webhook());
            let judged = match holders.opening_of(&fact).and_then(|opening| anchors.get_mut(&opening)) {
                None => (Outcome::Parked, None),
                Some(advance) => {
                    let event = holders.event(fact, &advance.opening);
                    let unknown = event.fact.report().filter(|it| it.verdict == Verdict::Unknown);
                    let unknown = unknown.map(|it| (advance.opening.id, it.word.clone()));
                    // A bug in a decision must not stop the worker; it counts against the fact.
                    let decision = catch_unwind(AssertUnwindSafe(|| {
                        decide(&advance.opening, &event, self.context.policy_of(&advance.opening), now)
                    }))
                    .map_err(|_| TickError::Panicked)?;
                    #[cfg(feature = "broken")]
                    let decision = acted_again(decision);
                    let outcome = decision.outcome;
                    advance.push(decision);
                    decided.saw(webhook, &advance.opening.request.market);
                    decided.unknown.extend(unknown.filter(|_| outcome != Outcome::Parked));
                    holders.learn(&advance.opening);
                    (outcome, Some(advance.opening.id.0))
                }
            };
            *decided.outcomes.entry(judged.0).or_default() += 1;
            match judged {
                (outcome, Some(opening_id)) if outcome != Outcome::Parked => {
                    let erased = anchors.get(&opening_id).is_some_and(|it| it.opening.state.erased_at().is_some());
                    verdicts.erased.extend(erased.then_some(id));
                    verdicts.settled.push(Settlement { id, outcome, opening_id });
                }
                _ => {
                    let until =
                        self.context.policies.retry.parked_until(retry_from, now, self.context.shell.ids.jitter());
                    verdicts.parked.push((id, until));
                }
            }
        }
        verdicts.advances = anchors.into_values().collect();
        Ok(verdicts)
    }
}

/// The result of a commit.
#[derive(Default)]
struct Committed {
    decided: Decided,
    advances: Vec<Advance>,
    parked: Vec<Uuid>,
}

#[derive(Default)]
struct Verdicts {
    advances: Vec<Advance>,
    settled: Vec<Settlement>,
    /// Settled facts to be emptied again.
    erased: Vec<Uuid>,
    parked: Vec<(Uuid, Time)>,
}

/// An unreadable fact, with the cause.
type Unreadable = (Uuid, String);

/// Reads the bodies: a provider's by its adapter, our own as they were written.
fn read(providers: &Providers, pending: Vec<Pending>) -> (Vec<Readable>, Vec<Unreadable>) {
    let mut facts = Vec::with_capacity(pending.len());
    let mut unreadable = Vec::new();
    for row in pending {
        match read::fact(providers, &row) {
            Ok((source, fact)) => facts.push(Readable::new(row, source, fact)),
            Err(cause) => unreadable.push((row.id, cause)),
        }
    }
    // In the order of receipt, regardless of the order of their due times.
    facts.sort_by_key(|fact| fact.id);
    (facts, unreadable)
}

async fn mark_unreadable(connection: &mut PgConnection, unreadable: &[Unreadable], now: Time) -> sqlx::Result<()> {
    for (id, cause) in unreadable {
        tracing::warn!(inbox.id = %id, cause, "an inbox fact is unreadable; it is a dead letter");
        inbox::mark_unreadable(connection, *id, cause, now).await?;
    }
    Ok(())
}

/// Acts on a duplicate as on a first fact, where only the inbox key would have told them apart.
#[cfg(feature = "broken")]
fn acted_again(mut decision: crate::domain::Decision) -> crate::domain::Decision {
    use crate::domain::{Command, Effect, StateName, Topic};
    use crate::faults::broken::{Defence, lacks, mattered};
    let twice = decision.outcome == Outcome::Duplicate && decision.opening.state_name() == StateName::IssuingCard;
    if twice && lacks(Defence::UniqueKey) {
        mattered(Defence::UniqueKey);
        decision.effects.push(Effect::Send(Command(Topic::IssueCard)));
    }
    decision
}
