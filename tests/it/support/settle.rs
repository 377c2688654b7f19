//! The workers of a test, which run when the test lets them.
//!
//! Most ticks of a settling would find nothing. So all workers are ticked one time, and from then on those that have work; what is due
//! is asked with one statement in place of the forty that the ticks take.

use account_opening::acts::bulk::worker::BulkRuns;
use account_opening::domain::Topic;
use account_opening::driver::{Counts, TickError, Worker, tick};
use account_opening::inbox::InboxWorker;
use account_opening::outbox::Relay;
use account_opening::reconciliation::Reconciler;
use account_opening::workers::backfill::Backfill;
use account_opening::workers::poller::Poller;
use account_opening::workers::sweeper::Sweeper;
use account_opening::workers::{secret_uses, webhook_marks};
use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use super::TestApp;

/// Rounds in which [`TestApp::settle`] must come to rest; more means that something spins.
const MAX_ROUNDS: usize = 400;

/// The due work of the workers but the sweeper.
#[expect(clippy::struct_excessive_bools, reason = "each worker has work or not, whatever the others have")]
#[derive(sqlx::FromRow)]
struct Due {
    inbox: bool,
    /// Those of the outbox.
    topics: Vec<String>,
    timers: bool,
    backfills: bool,
    bulk_runs: bool,
    reconciliation: bool,
}

impl Due {
    fn is_any(&self) -> bool {
        self.inbox || !self.topics.is_empty() || self.timers || self.backfills || self.bulk_runs || self.reconciliation
    }
}

impl TestApp {
    /// Ticks the workers until none finds work. The sweeper goes last: its tick costs more than those of all others together,
    /// and what it does makes work for them, not the reverse.
    pub async fn settle(&self) {
        let mut found = self.round().await;
        let mut is_kept_up = true;
        for _ in 0..MAX_ROUNDS {
            if found {
                let due = self.due().await;
                if due.is_any() {
                    (found, is_kept_up) = (self.round_of(&due).await, false);
                    continue;
                }
            }
            if !is_kept_up {
                self.try_upkeep().await.unwrap();
            }
            if !self.tick(&Sweeper(self.context.clone())).await {
                return;
            }
            (found, is_kept_up) = (self.round().await, true);
        }
        panic!("the workers found work for {MAX_ROUNDS} rounds");
    }

    async fn due(&self) -> Due {
        let due = sqlx::query_as(
            "select exists (select from inbox where due_at <= $1) as inbox,
                    array (select distinct topic from outbox where due_at <= $1) as topics,
                    exists (select from timers where due_at <= $1) as timers,
                    exists (select from backfills where status = 'pending' and next_attempt_at <= $1) as backfills,
                    exists (select from bulk_runs
                             where started_at is not null and stopped_at is null and finished_at is null) as bulk_runs,
                    $2 or exists (select from reports where due_at <= $1)
                       or exists (select from mismatches where look_at <= $1)
                       or exists (select from settlements where is_stale or look_at <= $1)
                       or exists (select from charge_lines where is_stale) as reconciliation",
        );
        // When the next pull is due stands in no row.
        let may_pull = !self.context.policies.reconciliation.report_schedule.is_empty();
        due.bind(self.now()).bind(may_pull).fetch_one(&self.pool).await.unwrap()
    }

    /// Ticks every worker but the sweeper once; whether one found work.
    pub async fn round(&self) -> bool {
        let everything = Due {
            inbox: true,
            topics: Topic::ALL.iter().map(|it| it.as_str().to_owned()).collect(),
            timers: true,
            backfills: true,
            bulk_runs: true,
            reconciliation: true,
        };
        self.context.breaker_overrides().read().await.unwrap();
        let found = self.round_of(&everything).await;
        self.try_upkeep().await.unwrap();
        found
    }

    /// Ticks those that have work once; whether one found it.
    async fn round_of(&self, due: &Due) -> bool {
        let context = || self.context.clone();
        let mut found = due.inbox && self.tick(&InboxWorker::new(context())).await;
        for topic in Topic::ALL.iter().copied().filter(|it| due.topics.iter().any(|due| due == it.as_str())) {
            found |= self.tick(&Relay::of(context(), topic)).await;
        }
        found |= due.timers && self.tick(&Poller(context())).await;
        found |= self.tick(&self.context.recovery()).await;
        found |= due.backfills && self.tick(&Backfill(context())).await;
        found |= due.bulk_runs && self.tick(&BulkRuns(context())).await;
        found |= due.reconciliation && self.tick(&self.reconciler()).await;
        found
    }

    /// Ticks every worker once; a tick that fails is one that the driver would begin anew.
    pub async fn try_round(&self) {
        let _ = tick(&InboxWorker::new(self.context.clone())).await;
        for topic in Topic::ALL.iter().copied() {
            let _ = tick(&Relay::of(self.context.clone(), topic)).await;
        }
        let _ = tick(&Poller(self.context.clone())).await;
        let _ = self.context.breaker_overrides().read().await;
        let _ = tick(&self.context.recovery()).await;
        let _ = tick(&Backfill(self.context.clone())).await;
        let _ = tick(&BulkRuns(self.context.clone())).await;
        let _ = tick(&self.reconciler()).await;
        let _ = self.try_upkeep().await;
    }

    /// The worker of reconciliation.
    pub fn reconciler(&self) -> Reconciler {
        let settings = self.context.policies.reconciliation.clone();
        Reconciler::new(self.context.clone(), settings, CancellationToken::new())
    }

    /// Exchanges webhook marks with the database and writes secret uses, as the periodic tasks do.
    async fn try_upkeep(&self) -> Result<(), TickError> {
        let faults = &self.context.shell.faults;
        let pool = &self.context.cell.pool;
        let secret_uses = &self.context.secret_uses;
        webhook_marks::exchange(&self.context).await?;
        secret_uses::write(pool, secret_uses, faults).await?;
        self.state.live.look(&self.context).await?;
        Ok(())
    }

    pub(super) async fn tick<W: Worker>(&self, worker: &W) -> bool {
        let counts = tick(worker).await.unwrap_or_else(|error| panic!("{}: {error}", worker.name()));
        counts.record();
        counts.found_work()
    }

    /// Time passes in steps. The workers run in the first, in each in which work is due, and in the last.
    pub async fn pass_settling(&self, total: TimeDelta, step: TimeDelta) {
        let (start, end) = (self.now(), self.now() + total);
        while self.now() < end {
            self.pass(step.min(end - self.now()));
            if self.now() - step <= start || self.now() >= end || self.due().await.is_any() {
                self.settle().await;
            }
        }
    }
}
