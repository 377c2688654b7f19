//! The one loop that runs a worker: ticks while there is work, several at once where there is much, and otherwise sleeps until
//! it is woken or until it is time to look anyway.
//!
//! A tick that hangs on somebody else's answer holds up itself alone. One that fails is logged once, and the worker pauses, a
//! little longer each time; a panic is a failure like any other. On shutdown the ticks under way are finished.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Ids;
use crate::db::describe;

/// The longest pause after failures.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// What a tick did.
pub trait Counts: std::fmt::Debug + Send {
    /// Whether it found work.
    fn found_work(&self) -> bool;
    /// Whether there may be more that is due now. A look that finds nothing is not free: a worker that knows that it took
    /// all there was waits to be woken.
    fn may_be_more(&self) -> bool {
        self.found_work()
    }
    /// Adds it to the metrics.
    fn record(&self);
}

/// Why a tick could not do its work. Nothing was lost: the next one begins anew.
#[derive(Debug, thiserror::Error)]
pub enum TickError {
    /// The database refused or is away.
    #[error("{}", describe(.0))]
    Database(#[from] sqlx::Error),
    /// A mistake of ours. What it said may quote data, so nobody repeats it; the panic hook has logged where it was.
    #[error("panicked")]
    Panicked,
}

/// Background work.
#[async_trait]
pub trait Worker: Send + Sync + 'static {
    /// What a tick did.
    type Counts: Counts;

    /// Its name, in logs and metrics.
    fn name(&self) -> &'static str;

    /// Does what is due now.
    async fn tick(&self) -> Result<Self::Counts, TickError>;
}

/// When a worker looks for work.
pub struct Rhythm {
    /// Wakes it.
    pub wake: Arc<Notify>,
    /// It looks at least this often, give or take a quarter.
    pub idle: Duration,
    /// The most ticks at once.
    pub at_once: usize,
}

/// Runs one tick; a panic in it is an error.
///
/// # Errors
/// The tick's.
pub async fn tick<W: Worker>(worker: &W) -> Result<W::Counts, TickError> {
    match AssertUnwindSafe(worker.tick()).catch_unwind().await {
        Ok(result) => result,
        Err(_) => Err(TickError::Panicked),
    }
}

/// Runs a worker until `stop`.
pub async fn drive<W: Worker>(worker: W, rhythm: Rhythm, ids: Ids, stop: CancellationToken) {
    let worker = Arc::new(worker);
    let mut running: JoinSet<Result<W::Counts, TickError>> = JoinSet::new();
    let mut failures = 0_u32;
    let mut look_at = Instant::now();
    loop {
        if look_at <= Instant::now() && running.len() < rhythm.at_once {
            look_at = Instant::now() + rhythm.idle.mul_f64(0.75 + ids.jitter() / 2.0);
            let worker = Arc::clone(&worker);
            running.spawn(async move { run(worker.as_ref()).await });
        }
        // A wake-up in a pause after failures waits until the pause is over: nothing would be better sooner.
        let may_wake = failures == 0 && running.len() < rhythm.at_once;
        tokio::select! {
            () = stop.cancelled() => break,
            Some(done) = running.join_next() => match done.unwrap_or(Err(TickError::Panicked)) {
                Ok(counts) => {
                    failures = 0;
                    if counts.may_be_more() {
                        look_at = Instant::now();
                    }
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(worker = worker.name(), %error, failures, "tick failed; trying again");
                    look_at = Instant::now() + pause(failures, &ids);
                }
            },
            () = rhythm.wake.notified(), if may_wake => look_at = Instant::now(),
            () = tokio::time::sleep_until(look_at), if running.len() < rhythm.at_once => {}
        }
    }
    while running.join_next().await.is_some() {}
    tracing::debug!(worker = worker.name(), "stopped");
}

async fn run<W: Worker>(worker: &W) -> Result<W::Counts, TickError> {
    let started = Instant::now();
    let result = tick(worker).await;
    if let Ok(counts) = &result
        && counts.found_work()
    {
        counts.record();
        metrics::histogram!("account_opening_processing_seconds", "queue" => worker.name()).record(started.elapsed());
        tracing::debug!(worker = worker.name(), ?counts, "tick");
    }
    result
}

fn pause(failures: u32, ids: &Ids) -> Duration {
    MAX_PAUSE.min(Duration::from_millis(100) * failures).mul_f64(0.5 + ids.jitter() / 2.0)
}
