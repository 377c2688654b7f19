//! Starts every worker with its schedule, and every periodic task with its period.

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::acts::bulk::worker::BulkRuns;
use crate::context::Context;
use crate::domain::Topic;
use crate::driver::{Schedule, TickError, Worker, drive, every};
use crate::http::dashboard::live::Live;
use crate::inbox::{Backlog, InboxWorker};
use crate::outbox::Relay;
use crate::reconciliation::Reconciler;
use crate::workers::backfill::Backfill;
use crate::workers::poller::Poller;
use crate::workers::sweeper::Sweeper;
use crate::workers::{backlog, secret_uses, webhook_marks};

/// How often a worker looks for work without being woken.
const LOOK: Duration = Duration::from_millis(500);
/// The most batches of facts at once, however many cores there are.
const MAX_BATCHES: usize = 4;
/// How often the sweeper goes round.
const SWEEP: Duration = Duration::from_secs(10);
/// How often the process counts the backlog, and at most five seconds after a slow count. Facts that come between two counts go
/// beyond `INBOX_BACKLOG`.
const COUNT: Duration = Duration::from_secs(1);
/// How often the process reads what the browsers of its dashboard watch, if there are any.
const SHOW: Duration = Duration::from_secs(1);
/// How often the process writes webhook marks and secret uses, and tidies the metrics. The marks that a crash loses are far fewer
/// than a backfill looks back.
const UPKEEP: Duration = Duration::from_secs(5);

/// The handles that the tasks share with the listeners.
pub(super) struct Shared {
    pub backlog: Backlog,
    pub metrics: PrometheusHandle,
    pub live: Live,
}

/// Starts all of them; they end when `stop` is cancelled.
pub(super) fn start(context: &Context, shared: Shared, stop: &CancellationToken) -> JoinSet<()> {
    let Shared { backlog, metrics, live } = shared;
    let mut tasks = JoinSet::new();
    let mut spawn = Spawn { tasks: &mut tasks, context, stop };
    spawn_workers(&mut spawn);
    spawn.every(COUNT, "backlog", move |context| {
        let backlog = backlog.clone();
        async move { backlog::check(&context, &backlog).await }
    });
    spawn.every(LOOK, "breakers", |context| async move { context.breaker_overrides().read().await });
    spawn.every(UPKEEP, "webhook_marks", |context| async move { webhook_marks::exchange(&context).await });
    spawn.every(UPKEEP, "secret_uses", |Context { shell, cell, secret_uses, .. }| async move {
        Ok(secret_uses::write(&cell.pool, &secret_uses, &shell.faults).await?)
    });
    spawn.every(SHOW, "live", move |context| {
        let live = live.clone();
        async move { live.look(&context).await }
    });
    spawn.every(UPKEEP, "metrics", move |_| {
        metrics.run_upkeep();
        std::future::ready(Ok(()))
    });
    tasks
}

fn spawn_workers(spawn: &mut Spawn<'_>) {
    let context = spawn.context;
    let wakers = &context.cell.wakers;
    spawn.worker(InboxWorker::new(context.clone()), decision_schedule(Arc::clone(&wakers.inbox)));
    // A tick lasts as long as its slowest call, and work that comes piece by piece takes a tick for each. So only the gates bound
    // the calls, and never the number of ticks: a provider or sink that hangs binds as many ticks as it has permits, and leaves
    // those of the others.
    let (calls, providers) = (context.outside.gates.at_once(), &context.outside.providers);
    let polls = calls * providers.names().count().max(1);
    spawn.worker(Poller(context.clone()), Schedule::new(Arc::clone(&wakers.poller), LOOK, polls));
    for topic in Topic::ALL.iter().copied() {
        let ticks = calls * context.gated_work(topic).len().max(1);
        spawn.worker(Relay::of(context.clone(), topic), Schedule::new(Arc::clone(wakers.relay(topic)), LOOK, ticks));
    }
    spawn.worker(context.recovery(), Schedule::new(context.outside.gates.closed(), LOOK, 1));
    let lists = providers.names_with_list().count().max(1);
    spawn.worker(Backfill(context.clone()), Schedule::new(Arc::clone(&wakers.backfill), LOOK, lists));
    let reconciler = Reconciler::new(context.clone(), context.policies.reconciliation.clone(), spawn.stop.clone());
    spawn.worker(reconciler, Schedule::new(Arc::clone(&wakers.reconciliation), LOOK, 1));
    spawn.worker(BulkRuns(context.clone()), Schedule::new(Arc::clone(&wakers.bulk), LOOK, 1));
    spawn.worker(Sweeper(context.clone()), Schedule::new(Arc::default(), SWEEP, 1));
}

/// Decides one batch at once for every two cores; for every core on a backlog, while nothing comes in. More batches on a busy
/// machine decide more, but webhooks wait longer for their answers.
fn decision_schedule(wake: Arc<Notify>) -> Schedule {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let at_once = |batches: usize| batches.clamp(1, MAX_BATCHES);
    Schedule { on_backlog: at_once(cores), ..Schedule::new(wake, LOOK, at_once(cores / 2)) }
}

struct Spawn<'a> {
    tasks: &'a mut JoinSet<()>,
    context: &'a Context,
    stop: &'a CancellationToken,
}

impl Spawn<'_> {
    fn worker<W: Worker>(&mut self, worker: W, schedule: Schedule) {
        self.tasks.spawn(drive(worker, schedule, self.context.shell.ids.clone(), self.stop.clone()));
    }

    fn every<T, F>(&mut self, period: Duration, name: &'static str, run: impl Fn(Context) -> F + Send + Sync + 'static)
    where
        T: Send + 'static,
        F: Future<Output = Result<T, TickError>> + Send + 'static,
    {
        let context = self.context.clone();
        let run = move || run(context.clone());
        self.tasks.spawn(every(period, name, self.context.shell.ids.clone(), self.stop.clone(), run));
    }
}
