//! The poller: polls providers about waiting openings and reports passed deadlines.
//!
//! The poller claims due timers (one commit), polls, and inserts each result as a fact. It decides nothing: the inbox worker
//! decides and moves the timer. A crash in between loses no interval, because the claim moved the timer by its lease
//! only.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Connection;
use tokio::task::JoinSet;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::clock::Time;
use crate::context::{Context, Policies};
use crate::db::inbox;
use crate::db::inbox::NewFact;
use crate::db::timers::{self, Due, PollCapacity};
use crate::db::{WITHIN, conclude};
use crate::domain::{Fact, PollOutcome, ProviderRef, Source, StateName};
use crate::driver::{Counts, TickError, Worker, next_completed};
use crate::faults::Step;
use crate::inbox::fact;
use crate::outbound::CallError;
use crate::shell::Cell;
use crate::telemetry::metrics;

/// Timers claimed per queue at once.
const BATCH: u8 = 32;

#[derive(Clone)]
pub struct Poller(pub Context);

/// The result of a tick.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    pub claimed: u64,
    /// Polls by provider and outcome: a verdict, or the class of a failure.
    pub polls: Vec<(String, String)>,
    /// Passed deadlines outside the wait state.
    pub deadlines: u64,
}

impl Counts for Polled {
    fn found_work(&self) -> bool {
        self.claimed > 0
    }

    fn record(&self) {
        for (provider, outcome) in &self.polls {
            metrics::poll(provider.clone(), outcome.clone());
        }
    }
}

#[async_trait]
impl Worker for Poller {
    type Counts = Polled;

    fn name(&self) -> &'static str {
        "timers"
    }

    async fn tick(&self) -> Result<Polled, TickError> {
        let clock = &self.0.shell.clock;
        let wakers = &self.0.cell.wakers;
        let now = clock.now();
        let due = self.claim(now).await?;
        if due.len() >= usize::from(BATCH) {
            // More timers may be due, for a concurrent tick.
            wakers.poller.notify_one();
        }
        let mut counts = Polled { claimed: due.len() as u64, ..Polled::default() };
        let mut asked = self.begin(due, now);
        let mut failed = None;
        while let Some(done) = next_completed(&mut asked).await {
            let mut facts: Vec<NewFact> = Vec::with_capacity(done.len());
            for answer in done {
                match answer {
                    Ok(Asked { fact, poll }) => {
                        counts.deadlines += u64::from(poll.is_none());
                        counts.polls.extend(poll);
                        facts.extend(fact);
                    }
                    Err(error) => failed = Some(error),
                }
            }
            // Calls in flight continue: if aborted, they would count as the provider's failures. Results that could not
            // be stored are polled again after their lease.
            failed = self.store(&facts).await.err().map(TickError::from).or(failed);
        }
        failed.map_or(Ok(counts), Err)
    }
}

/// The result for a due timer.
struct Asked {
    /// None: no poll was made, and the timer is due again after its lease.
    fact: Option<NewFact>,
    /// The provider and the outcome, if it was polled.
    poll: Option<(String, String)>,
}

impl Poller {
    /// Claims no more than may be polled now. Unused budget of a failed or smaller claim is returned.
    async fn claim(&self, now: Time) -> Result<Vec<Due>, TickError> {
        let faults = &self.0.shell.faults;
        let pool = &self.0.cell.pool;
        let Policies { call_timeout, lease_margin, .. } = &self.0.policies;
        let claim_cursor = &self.0.claim_cursor;
        let lease_until = now + *call_timeout + *lease_margin;
        let mut connection = pool.acquire().await?;
        let capacities = self.capacities(now);
        let claim = timers::claim(&mut connection, claim_cursor, now, lease_until, &capacities, BATCH.into());
        let claiming = faults.around(self.name(), Step::Claim, claim);
        let result = tokio::time::timeout(WITHIN, claiming).await;
        let due: sqlx::Result<Vec<Due>> = conclude(connection, result);
        self.give_back(&capacities, due.as_deref().unwrap_or_default());
        Ok(due?)
    }

    /// The number of openings that may be polled now, per provider: bounded by gate and budget.
    fn capacities(&self, now: Time) -> Vec<PollCapacity> {
        let capacities = self.0.poll_capacity(BATCH.into()).into_iter();
        capacities
            .map(|it| PollCapacity { most: self.0.outside.poll_budget.take(it.provider, it.most, now), ..it })
            .collect()
    }

    /// Returns the budget of unclaimed polls to other ticks.
    fn give_back(&self, capacities: &[PollCapacity], due: &[Due]) {
        for capacity in capacities {
            let used = due.iter().filter(|it| it.provider == capacity.provider && asked_about(it).is_some()).count();
            self.0.outside.poll_budget.give_back(capacity.provider, capacity.most.saturating_sub(used));
        }
    }

    /// Polls all of them concurrently.
    fn begin(&self, due: Vec<Due>, now: Time) -> JoinSet<sqlx::Result<Asked>> {
        let poller = Arc::new(self.clone());
        let mut asked = JoinSet::new();
        for due in due {
            let poller = Arc::clone(&poller);
            let asking = async move {
                let ask = async { Ok(poller.ask(due, now).await) };
                poller.0.shell.faults.around(poller.name(), Step::Call, ask).await
            };
            asked.spawn(asking.in_current_span());
        }
        asked
    }

    async fn store(&self, facts: &[NewFact]) -> sqlx::Result<()> {
        if facts.is_empty() {
            return Ok(());
        }
        let faults = &self.0.shell.faults;
        let Cell { pool, wakers, .. } = &self.0.cell;
        let mut connection = pool.acquire().await?;
        let storing = async {
            let mut transaction = connection.begin().await?;
            let insert = inbox::insert(&mut transaction, facts);
            faults.around(self.name(), Step::Settle, insert).await?;
            faults.around(self.name(), Step::Commit, transaction.commit()).await
        };
        let result = tokio::time::timeout(WITHIN, storing).await;
        conclude(connection, result)?;
        wakers.inbox.notify_one();
        Ok(())
    }

    /// Polls the provider about a waiting opening.
    async fn ask(&self, due: Due, asked_at: Time) -> Asked {
        let Some(reference) = asked_about(&due) else {
            let fact = self.fact(&due, Source::Timer, "timer", &Fact::DeadlinePassed { asked_at });
            return Asked { fact: Some(fact), poll: None };
        };
        let answer = match self.0.outside.providers.get(&due.provider) {
            Some(provider) => provider.lookup(&reference).await,
            None => Err(CallError::unusable("no such provider")),
        };
        let (outcome, label) = match answer {
            Ok(report) => {
                let label = report.verdict.to_string();
                (PollOutcome::Answered(report), label)
            }
            Err(error @ CallError::Deferred { .. }) if error.is_for_want_of_capacity() || !is_last(&due, asked_at) => {
                return Asked { fact: None, poll: Some((due.provider, "held".to_owned())) };
            }
            Err(error) => {
                let (class, last) = (error.class(), is_last(&due, asked_at));
                tracing::info!(opening.id = %due.opening_id, provider.reference = %reference, class, last, "poll failed");
                (PollOutcome::Failed { class: class.to_owned() }, class.to_owned())
            }
        };
        let fact = self.fact(&due, Source::Poll, "poll", &Fact::Polled { asked_at, outcome });
        Asked { fact: Some(fact), poll: Some((due.provider, label)) }
    }

    fn fact(&self, due: &Due, source: Source, prefix: &str, fact: &Fact) -> NewFact {
        let opening: Uuid = due.opening_id;
        let event_id = format!("{prefix}:{opening}:{}", due.claim);
        fact::ours(&self.0.shell.ids, source, &due.provider, event_id, opening, fact, self.0.shell.clock.now())
    }
}

/// The tracking id to poll. None: there is nothing to poll, only a passed deadline to report.
fn asked_about(due: &Due) -> Option<ProviderRef> {
    let waits = [StateName::AwaitingProvider.as_str(), StateName::Escalated.as_str()].contains(&due.state.as_str());
    due.provider_ref.clone().filter(|_| waits).and_then(|it| ProviderRef::new(it).ok())
}

/// Whether a poll is final even if it was not made because of the other side: the deadline has passed. A poll deferred
/// for our own lack of capacity is made later.
fn is_last(due: &Due, asked_at: Time) -> bool {
    due.deadline_at <= asked_at && due.state == StateName::AwaitingProvider.as_str()
}
