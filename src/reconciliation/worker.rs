//! The worker of reconciliation: reads reports, judges each as a whole, and applies what was found.
//!
//! ```text
//! pull    a provider's list, one page per commit: the file of a provider without files
//! read    slices of 10,000 rows, of charges 25,000: matched, classified and stored, with a checkpoint, in one commit each
//! judge   the whole file: what is absent, and whether it differs too much to be applied
//! apply   findings in commits of 1,000: facts, polls, mismatches, cases
//! ```
//!
//! One replica holds the lease of a report; each commit renews it and fails when another has taken over. A crash leaves the
//! last checkpoint: the file is read again from its beginning, and rows that are stored are skipped. Nothing has an effect before
//! the whole file is judged.

mod apply;
mod bank;
mod charges;
mod judge;
mod pace;
mod pull;
mod read;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use serde_json::Value;
use sqlx::{Postgres, Transaction};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::classify::Class;
use super::classify::register::Times;
use super::matching::register::File;
use super::resolve::{Reviewed, Reviewer};
use crate::clock::Time;
use crate::config::ReconciliationSettings;
use crate::context::Context;
use crate::db::reports::{self, Claimed, Progress, Stage};
use crate::db::{WITHIN, conclude};
use crate::domain::Topic;
use crate::driver::{Counts, TickError, Worker};
use crate::faults::Step;
use crate::shell::Shell;
use crate::telemetry::metrics;

const NAME: &str = "reconciliation";
/// How long a report belongs to a replica after its last commit.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// How long a commit of a report's rows may take: each of its dozen statements is bounded by the server, and the lease outlasts all.
const COMMIT_WITHIN: Duration = Duration::from_secs(40);
/// Claims without progress after which a report is given up: it would hold up the reports of its provider for ever.
const MAX_CLAIMS: i32 = 10;
/// How long a report rests that cannot be worked on now.
const REST: TimeDelta = TimeDelta::seconds(1);

pub struct Reconciler {
    context: Context,
    settings: ReconciliationSettings,
    /// Cancelled at shutdown: a report is given back between two commits.
    stop: CancellationToken,
}

/// The result of a tick.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    pub reviewed: Reviewed,
    /// The report that was worked on.
    pub report: Option<Uuid>,
    pub rows: u64,
    pub facts: usize,
    /// How the report's work ended, if it did: `finished`, `held` or `failed`.
    pub ended: Option<&'static str>,
}

impl Counts for Reconciled {
    fn found_work(&self) -> bool {
        self.report.is_some() || self.reviewed.seen > 0
    }

    fn record(&self) {}
}

/// A report that this process works on.
pub(super) struct Job {
    pub claimed: Claimed,
    pub token: Uuid,
    pub counts: BTreeMap<String, i64>,
    /// The judgement of this claim found a charge for every expected fee of the period, which is over: it gets no more fees, and they need
    /// not be looked at again.
    pub is_all_charged: bool,
}

/// How a stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Went {
    /// The next stage follows.
    On,
    /// The work on the report is over.
    Ended(&'static str),
    /// The work goes on later, here or elsewhere.
    Later,
}

#[async_trait]
impl Worker for Reconciler {
    type Counts = Reconciled;

    fn name(&self) -> &'static str {
        NAME
    }

    /// The schedule and the looks at open mismatches hold up no report, nor the reverse.
    async fn tick(&self) -> Result<Reconciled, TickError> {
        let mut done = Reconciled::default();
        let requested = self.schedule().await;
        let reviewed = self.review_all().await;
        let worked = self.work_on_next(&mut done).await;
        done.reviewed = reviewed?;
        requested?;
        worked?;
        if done.found_work() {
            self.wake_relay();
        }
        Ok(done)
    }
}

impl Reconciler {
    #[must_use]
    pub const fn new(context: Context, settings: ReconciliationSettings, stop: CancellationToken) -> Self {
        Self { context, settings, stop }
    }

    /// A tick that found work may have told of cases and of a report.
    fn wake_relay(&self) {
        if !self.context.cell.effect_context.sinks.is_empty() {
            self.context.cell.wakers.relay(Topic::DeliverEvent).notify_one();
        }
    }

    async fn review_all(&self) -> sqlx::Result<Reviewed> {
        let mut reviewed = self.review().await?;
        reviewed.seen += self.review_charges().await?;
        reviewed.seen += self.review_settlements().await?;
        Ok(reviewed)
    }

    async fn work_on_next(&self, done: &mut Reconciled) -> Result<(), TickError> {
        let Some(mut job) = self.claim().await? else { return Ok(()) };
        done.report = Some(job.claimed.id);
        let went = if job.claimed.claims > MAX_CLAIMS {
            self.fail(&job, "given up after ten tries without progress; the log tells why").await
        } else {
            self.work(&mut job, done).await
        };
        if !matches!(went, Ok(Went::Ended(_))) {
            self.give_back(&job, went.is_ok()).await?;
        }
        if let Went::Ended(how) = went? {
            tracing::info!(report.id = %job.claimed.id, rows = done.rows, facts = done.facts, how, "report ended");
            done.ended = Some(how);
        }
        Ok(())
    }

    async fn review(&self) -> sqlx::Result<Reviewed> {
        let Shell { clock, ids, faults } = &self.context.shell;
        let sinks = &self.context.cell.effect_context.sinks;
        let reviewer = Reviewer { ids, sinks, window: self.settings.window, now: clock.now() };
        let mut connection = self.context.cell.pool.acquire().await?;
        let look = faults.around(NAME, Step::Settle, reviewer.look(&mut connection));
        let result = timeout(WITHIN, look).await;
        conclude(connection, result)
    }

    async fn claim(&self) -> sqlx::Result<Option<Job>> {
        let Shell { clock, ids, faults } = &self.context.shell;
        let (token, now) = (ids.next(), clock.now());
        let mut connection = self.context.cell.pool.acquire().await?;
        // A page of a list is called for under the lease.
        let lease = LEASE.max(self.context.policies.call_timeout + self.context.policies.lease_margin);
        let claim = faults.around(NAME, Step::Claim, reports::claim(&mut connection, token, now, now + lease));
        let result = timeout(WITHIN, claim).await;
        let claimed = conclude(connection, result)?;
        Ok(claimed.map(|claimed| Job {
            counts: serde_json::from_value(claimed.counts.clone()).unwrap_or_default(),
            claimed,
            token,
            is_all_charged: false,
        }))
    }

    /// Renews the lease where a step takes long and writes nothing.
    async fn renew(&self, job: &Job) -> sqlx::Result<()> {
        self.renew_for(job, LEASE).await
    }

    async fn renew_for(&self, job: &Job, lease: TimeDelta) -> sqlx::Result<()> {
        let mut connection = self.context.cell.pool.acquire().await?;
        let renew = reports::renew(&mut connection, job.claimed.id, job.token, self.now() + lease);
        let result = timeout(WITHIN, renew).await;
        conclude(connection, result)
    }

    /// A report that waits for others has not failed.
    async fn give_back(&self, job: &Job, waits: bool) -> sqlx::Result<()> {
        let mut connection = self.context.cell.pool.acquire().await?;
        let release = reports::release_lease(&mut connection, job.claimed.id, job.token, self.now() + REST, waits);
        let result = timeout(WITHIN, release).await;
        conclude(connection, result)
    }

    async fn work(&self, job: &mut Job, done: &mut Reconciled) -> Result<Went, TickError> {
        loop {
            let stage = job.claimed.stage.parse().unwrap_or(Stage::Done);
            let started = tokio::time::Instant::now();
            let went = match stage {
                Stage::Pull => self.pull(job).await?,
                Stage::Read => self.read(job, done).await?,
                Stage::Judge => self.judge(job).await?,
                Stage::Apply if job.is_of_charges() => self.apply_charges(job).await?,
                Stage::Apply if job.is_of_bank() => self.apply_bank(job).await?,
                Stage::Apply => self.apply(job, done).await?,
                Stage::Done => return Ok(Went::Ended("finished")),
            };
            metrics::reconciliation_stage(stage.as_str(), started.elapsed());
            if went != Went::On {
                return Ok(went);
            }
        }
    }

    fn now(&self) -> Time {
        self.context.shell.clock.now()
    }
}

/// Commits what was written under the lease, else rolls back; returns `ours`.
async fn end(transaction: Transaction<'_, Postgres>, ours: bool) -> sqlx::Result<bool> {
    if ours {
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    Ok(ours)
}

impl Job {
    /// How far the report is, at a position of its stage.
    fn progress<'a>(&self, stage: Stage, position: i64, counts: &'a Value) -> Progress<'a> {
        let Claimed { rows, bad_rows, complete, .. } = self.claimed;
        Progress { stage, position, rows, bad_rows, counts, sums: None, complete, after: None }
    }

    /// Writes the progress and renews the lease in the caller's transaction, and commits it. False: another replica has the report,
    /// and nothing was written.
    async fn commit(
        &self,
        mut transaction: Transaction<'_, Postgres>,
        progress: &Progress<'_>,
        now: Time,
    ) -> sqlx::Result<bool> {
        let ours = reports::checkpoint(&mut transaction, self.claimed.id, self.token, progress, now + LEASE).await?;
        end(transaction, ours).await
    }

    fn file(&self, window: TimeDelta) -> File<'_> {
        let claimed = &self.claimed;
        let as_of = claimed.as_of.unwrap_or(claimed.received_at);
        File { report: claimed.id, provider: &claimed.provider, times: Times::new(as_of, claimed.received_at, window) }
    }

    fn count(&mut self, class: Class, more: i64) {
        *self.counts.entry(class.to_string()).or_default() += more;
    }
}
