//! The loop that runs a worker ([`drive`]), and the one for periodic tasks ([`every`]).
//!
//! `drive` ticks while there is work, several ticks at once where much has piled up, and otherwise sleeps until it is woken or
//! its idle time is over. A tick that waits for another system holds up itself alone. A failed tick, a panic included, is logged
//! once, and the worker pauses, a little longer each time. On shutdown the ticks under way are finished.

#[cfg(test)]
mod tests;
mod wakers;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::wakers::Wakers;
use crate::clock::Ids;
use crate::db::describe;
use crate::telemetry::metrics;

/// The longest pause after failures.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// A periodic task rests for so many times as long as its run took, and at most for [`MAX_REST`]: the count of the inbox's
/// backlog may be no older.
const REST_FOR: u32 = 20;
const MAX_REST: Duration = Duration::from_secs(5);

/// The counts of a tick.
pub trait Counts: fmt::Debug + Send {
    fn found_work(&self) -> bool;

    /// Whether more may be due now. A look that finds nothing costs a query: a worker that knows that it took all there was
    /// waits to be woken.
    fn may_be_more(&self) -> bool {
        self.found_work()
    }

    /// Adds the counts to the metrics.
    fn record(&self);
}

/// Why a tick could not do its work. Nothing was lost: the next one begins anew.
#[derive(Debug, thiserror::Error)]
pub enum TickError {
    #[error("{}", describe(.0))]
    Database(#[from] sqlx::Error),
    /// The panic's message may quote data, so it is not repeated; the panic hook has logged the place.
    #[error("panicked")]
    Panicked,
}

#[async_trait]
pub trait Worker: Send + Sync + 'static {
    type Counts: Counts;

    /// Its name in logs and metrics.
    fn name(&self) -> &'static str;

    /// Does the work that is due now.
    async fn tick(&self) -> Result<Self::Counts, TickError>;
}

/// When a worker looks for work.
pub struct Schedule {
    pub wake: Arc<Notify>,
    /// The worker looks at least this often, give or take a quarter.
    pub idle: Duration,
    /// The most ticks at once.
    pub at_once: usize,
    /// The most ticks at once on a backlog: the last tick left work, and no wake-up came since the one before ended. While
    /// wake-ups keep coming, the machine is busy with taking work in. Zero: a backlog starts no additional tick.
    pub on_backlog: usize,
}

impl Schedule {
    /// A schedule without additional ticks on a backlog.
    #[must_use]
    pub const fn new(wake: Arc<Notify>, idle: Duration, at_once: usize) -> Self {
        Self { wake, idle, at_once, on_backlog: 0 }
    }

    fn max_ticks(&self, has_backlog: bool) -> usize {
        if has_backlog { self.at_once.max(self.on_backlog) } else { self.at_once }
    }

    /// How many ticks a look begins beside the running ones: on a backlog one in place of the tick that ended, and one more.
    fn ticks_to_begin(&self, has_backlog: bool, running: usize) -> usize {
        if has_backlog { self.on_backlog.saturating_sub(running).clamp(1, 2) } else { 1 }
    }
}

/// Runs one tick; a panic in it is an error.
pub async fn tick<W: Worker>(worker: &W) -> Result<W::Counts, TickError> {
    guarded(worker.tick()).await
}

async fn guarded<T>(work: impl Future<Output = Result<T, TickError>>) -> Result<T, TickError> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or(Err(TickError::Panicked))
}

/// Runs a periodic task at once and then every `period`, give or take a quarter, until `stop`. No wake-up makes it run sooner.
///
/// A slow run is followed by a rest twenty times as long, at most five seconds, so that the task takes little of a busy
/// database's time. Failures in a row make the pause longer, up to five seconds.
pub async fn every<T, F>(period: Duration, name: &'static str, ids: Ids, stop: CancellationToken, run: impl Fn() -> F)
where
    F: Future<Output = Result<T, TickError>>,
{
    let mut failures = 0;
    loop {
        let started = Instant::now();
        let result = guarded(async { run().await }).await;
        let mut pause = period.mul_f64(0.75 + ids.jitter() / 2.0).max(rest_after(started.elapsed()));
        if let Err(error) = result {
            failures += 1;
            pause = pause.max(pause_after(failures, &ids));
            tracing::warn!(task = name, %error, retry_in = ?pause, "periodic task failed; retrying");
        } else {
            failures = 0;
        }
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// The next result and all others that are there by then, to be settled in one commit; none when no task is left.
///
/// Each call is a task of its own, so that its answer is taken when it comes. If it had to wait for the database to take the
/// answers before it, its deadline could pass over an answer that was there in time. A dropped set aborts its calls.
pub async fn next_completed<T: 'static>(calls: &mut JoinSet<sqlx::Result<T>>) -> Option<Vec<Result<T, TickError>>> {
    let mut completed = vec![calls.join_next().await?];
    completed.extend(std::iter::from_fn(|| calls.try_join_next()));
    // No call is aborted one by one: a task that did not end by itself has panicked.
    Some(completed.into_iter().map(|joined| Ok(joined.map_err(|_| TickError::Panicked)??)).collect())
}

/// Runs a worker until `stop`.
pub async fn drive<W: Worker>(worker: W, schedule: Schedule, ids: Ids, stop: CancellationToken) {
    let worker = Arc::new(worker);
    let mut running: JoinSet<Result<W::Counts, TickError>> = JoinSet::new();
    let mut failures = 0_u32;
    let mut look_at = Instant::now();
    let mut has_backlog = false;
    loop {
        let at_once = schedule.max_ticks(has_backlog);
        if look_at <= Instant::now() && running.len() < at_once {
            look_at = Instant::now() + schedule.idle.mul_f64(0.75 + ids.jitter() / 2.0);
            for _ in 0..schedule.ticks_to_begin(has_backlog, running.len()) {
                let worker = Arc::clone(&worker);
                running.spawn(async move { run(worker.as_ref()).await });
            }
        }
        // A wake-up during a pause after failures waits until the pause is over: an earlier tick would fail too.
        let may_wake = failures == 0 && running.len() < at_once;
        tokio::select! {
            () = stop.cancelled() => break,
            Some(done) = running.join_next() => match done.unwrap_or(Err(TickError::Panicked)) {
                Ok(counts) => {
                    failures = 0;
                    let woken = schedule.wake.notified().now_or_never().is_some();
                    has_backlog = counts.may_be_more() && !woken;
                    if counts.may_be_more() || woken {
                        look_at = Instant::now();
                    }
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    has_backlog = false;
                    tracing::warn!(worker = worker.name(), %error, failures, "tick failed; retrying");
                    look_at = Instant::now() + pause_after(failures, &ids);
                }
            },
            () = schedule.wake.notified(), if may_wake => look_at = Instant::now(),
            () = tokio::time::sleep_until(look_at), if running.len() < at_once => {}
        }
    }
    while running.join_next().await.is_some() {}
    tracing::debug!(worker = worker.name(), "stopped");
}

/// Runs a tick, and adds its counts to the metrics.
async fn run<W: Worker>(worker: &W) -> Result<W::Counts, TickError> {
    let started = Instant::now();
    let counts = tick(worker).await?;
    if counts.found_work() {
        counts.record();
        metrics::tick(worker.name(), started.elapsed());
        tracing::debug!(worker = worker.name(), ?counts, "tick");
    }
    Ok(counts)
}

/// The rest of a periodic task after a run.
fn rest_after(took: Duration) -> Duration {
    (took * REST_FOR).min(MAX_REST)
}

fn pause_after(failures: u32, ids: &Ids) -> Duration {
    MAX_PAUSE.min(Duration::from_millis(100) * failures).mul_f64(0.5 + ids.jitter() / 2.0)
}
