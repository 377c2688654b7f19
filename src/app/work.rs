//! Every worker in its loops, each with its rhythm.

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::domain::Topic;
use crate::workers::Context;
use crate::workers::backfill::Backfill;
use crate::workers::backlog::BacklogWatch;
use crate::workers::backfill::Backfill;
use crate::workers::driver::{Rhythm, Worker, drive};
use crate::workers::inbox::InboxWorker;
use crate::workers::marks::Marks;
use crate::workers::poller::Poller;
use crate::workers::relay::Relay;
use crate::workers::secret_uses::SecretUseKeeper;
use crate::workers::sweeper::Sweeper;

/// How often a worker looks for work that nobody woke it for.
const LOOK: Duration = Duration::from_millis(500);
/// How often it is looked whether the inbox is full.
const BEHIND: Duration = Duration::from_secs(1);
/// The longest that a fact waits for others to share its batch, where the one before took all there was. A batch costs about the
/// same for one fact as for four; at 200 a second the rest saves a quarter of Postgres's work, and costs a fact a few
/// milliseconds.
const REST: Duration = Duration::from_millis(8);
/// The most batches of facts at once, however many cores there are.
const MAX_BATCHES: usize = 4;
/// How often the sweeper goes round.
const SWEEP: Duration = Duration::from_secs(10);
/// How often it is written down when providers were last heard of, and with which secrets: what a crash loses of it is far
/// less than a catch-up looks back.
const KEEP: Duration = Duration::from_secs(5);
/// How often the metrics are tidied, whether or not somebody scrapes them.
const UPKEEP: Duration = Duration::from_secs(5);

/// Ticks of the poller at once. A tick claims much of what is due, and a poll may wait a few seconds, so that a few ticks would
/// do; more of them leave some to the rest while lookups that began one after the other hang.
const POLLS: usize = 16;

/// Starts all of them; they end when `stop` says so.
pub(super) fn start(context: &Context, metrics: PrometheusHandle, stop: &CancellationToken) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let wakers = &context.wakers;
    let mut spawn = Spawn { tasks: &mut tasks, context, stop };
    spawn.worker(InboxWorker::new(context.clone()), rhythm_of_decisions(Arc::clone(&wakers.inbox)));
    spawn.worker(Poller(context.clone()), Rhythm::new(Arc::clone(&wakers.poller), LOOK, POLLS));
    for topic in Topic::ALL.iter().copied() {
        // A tick lasts as long as its slowest call. Work that comes one by one is claimed so, and each slow call then takes a
        // whole tick: only the gates, and never the number of ticks, are to say that no more calls are made.
        let rhythm = Rhythm::new(Arc::clone(wakers.relay(topic)), LOOK, context.gates.at_once());
        spawn.worker(Relay { context: context.clone(), topic }, rhythm);
    }
    let alone = |wake, idle| Rhythm::new(wake, idle, 1);
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

/// How facts are decided: a batch at once for every two cores, and for every core on what has piled up, while nothing comes. More of them on a
/// machine that is busy decide more, but those who wait for an acknowledgement wait longer.
fn rhythm_of_decisions(wake: Arc<Notify>) -> Rhythm {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let at_once = |batches: usize| batches.clamp(1, MAX_BATCHES);
    Rhythm { rest: REST, on_backlog: at_once(cores), ..Rhythm::new(wake, LOOK, at_once(cores / 2)) }
}

struct Spawn<'a> {
    tasks: &'a mut JoinSet<()>,
    context: &'a Context,
    stop: &'a CancellationToken,
}

impl Spawn<'_> {
    fn worker<W: Worker>(&mut self, worker: W, rhythm: Rhythm) {
        self.tasks.spawn(drive(worker, rhythm, self.context.ids.clone(), self.stop.clone()));
    }
}

async fn keep_metrics(metrics: PrometheusHandle, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(UPKEEP)).await.is_some() {
        metrics.run_upkeep();
    }
}
