//! The one loop that runs a worker: tick while there is work, then sleep until woken or until it is time to look anyway.
//!
//! A tick that fails is logged once and tried again after a pause that grows; a panic is a failure like any other. On
//! shutdown the tick that runs is finished.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::FutureExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::Ids;

/// The longest pause after failures.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// What a tick did.
pub trait Counts: std::fmt::Debug + Send {
    /// Whether it found work: then there may be more.
    fn found_work(&self) -> bool;
    /// Adds it to the metrics.
    fn record(&self);
}

/// Why a tick could not do its work. Nothing was lost: the next one begins anew.
#[derive(Debug, thiserror::Error)]
pub enum TickError {
    /// The database refused or is away.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// A mistake of ours.
    #[error("panicked: {0}")]
    Panicked(String),
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
}

/// Runs one tick; a panic in it is an error.
///
/// # Errors
/// The tick's.
pub async fn tick<W: Worker>(worker: &W) -> Result<W::Counts, TickError> {
    match AssertUnwindSafe(worker.tick()).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => Err(TickError::Panicked(panic_text(panic.as_ref()))),
    }
}

/// Runs a worker until `stop`.
pub async fn drive<W: Worker>(worker: W, rhythm: Rhythm, ids: Ids, stop: CancellationToken) {
    let mut failures = 0_u32;
    while !stop.is_cancelled() {
        let started = Instant::now();
        let pause = match tick(&worker).await {
            Ok(counts) => {
                failures = 0;
                counts.record();
                metrics::histogram!("account_opening_processing_seconds", "queue" => worker.name())
                    .record(started.elapsed());
                if counts.found_work() {
                    tracing::debug!(worker = worker.name(), ?counts, "tick");
                    continue;
                }
                rhythm.idle.mul_f64(0.75 + ids.jitter() / 2.0)
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                tracing::warn!(worker = worker.name(), %error, failures, "tick failed; trying again");
                MAX_PAUSE.min(Duration::from_millis(100) * failures).mul_f64(0.5 + ids.jitter() / 2.0)
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = rhythm.wake.notified(), if failures == 0 => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    tracing::debug!(worker = worker.name(), "stopped");
}

/// The message of a panic.
#[must_use]
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}
