//! Starts every worker with its schedule.

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::domain::Topic;
use crate::driver::{Schedule, Worker, drive};
use crate::workers::Context;
use crate::workers::backfill::Backfill;
use crate::workers::backlog::BacklogWatch;
use crate::workers::inbox::InboxWorker;
use crate::workers::marks::Marks;
use crate::workers::poller::Poller;
use crate::workers::relay::Relay;
use crate::workers::secret_uses::SecretUseKeeper;
use crate::workers::sweeper::Sweeper;

/// The polling interval of workers that were not woken.
const LOOK: Duration = Duration::from_millis(500);
/// The interval of the check whether the inbox is full.
const BEHIND: Duration = Duration::from_secs(1);
/// The maximum time that a fact waits for others to share its batch, after a batch that emptied the queue. A batch of
/// four facts costs about as much as one; at 200 facts a second the wait saves a quarter of Postgres' work and costs a
/// few milliseconds.
const REST: Duration = Duration::from_millis(8);
/// The maximum number of concurrent batches of facts, on any number of cores.
const MAX_BATCHES: usize = 4;
const SWEEP: Duration = Duration::from_secs(10);
/// How often webhook times and secret uses are written. A crash loses much less than a backfill's overlap covers.
const KEEP: Duration = Duration::from_secs(5);
/// The interval of metrics upkeep, needed even if no Prometheus scrapes them.
const UPKEEP: Duration = Duration::from_secs(5);

/// Concurrent ticks of the poller. A tick claims many due timers and may wait a few seconds for polls. A few ticks
/// would suffice; more keep timers moving while lookups that began at different times hang.
const POLLS: usize = 16;

/// Starts all workers; they end when `stop` is cancelled.
pub(super) fn start(context: &Context, metrics: PrometheusHandle, stop: &CancellationToken) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let wakers = &context.wakers;
    let mut spawn = Spawn { tasks: &mut tasks, context, stop };
    spawn.worker(InboxWorker::new(context.clone()), decision_schedule(Arc::clone(&wakers.inbox)));
    spawn.worker(Poller(context.clone()), Schedule::new(Arc::clone(&wakers.poller), LOOK, POLLS));
    for topic in Topic::ALL.iter().copied() {
        // A tick lasts as long as its slowest call, and work that arrives one by one uses a tick per call. Only the
        // permits of the operations may limit concurrent calls, not the number of ticks.
        let schedule = Schedule::new(Arc::clone(wakers.relay(topic)), LOOK, context.gates.at_once());
        spawn.worker(Relay { context: context.clone(), topic }, schedule);
    }
    let alone = |wake, idle| Schedule::new(wake, idle, 1);
    spawn.worker(context.recovery(), alone(context.gates.closed(), LOOK));
    spawn.worker(Backfill(context.clone()), alone(Arc::clone(&wakers.backfill), LOOK));
    spawn.worker(BacklogWatch::new(context.clone()), alone(Arc::default(), BEHIND));
    spawn.worker(context.breaker_overrides(), alone(Arc::default(), LOOK));
    spawn.worker(Marks(context.clone()), alone(Arc::default(), KEEP));
    spawn.worker(SecretUseKeeper(context.clone()), alone(Arc::default(), KEEP));
    spawn.worker(Sweeper(context.clone()), alone(Arc::default(), SWEEP));
    tasks.spawn(keep_metrics(metrics, stop.clone()));
    tasks
}

/// How facts are decided: one concurrent batch per two cores; one per core for a backlog while nothing new arrives.
/// More batches on a busy machine decide faster but delay acknowledgements.
fn decision_schedule(wake: Arc<Notify>) -> Schedule {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let at_once = |batches: usize| batches.clamp(1, MAX_BATCHES);
    Schedule { rest: REST, on_backlog: at_once(cores), ..Schedule::new(wake, LOOK, at_once(cores / 2)) }
}

struct Spawn<'a> {
    tasks: &'a mut JoinSet<()>,
    context: &'a Context,
    stop: &'a CancellationToken,
}

impl Spawn<'_> {
    fn worker<W: Worker>(&mut self, worker: W, schedule: Schedule) {
        self.tasks.spawn(drive(worker, schedule, self.context.ids.clone(), self.stop.clone()));
    }
}

async fn keep_metrics(metrics: PrometheusHandle, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(UPKEEP)).await.is_some() {
        metrics.run_upkeep();
    }
}
