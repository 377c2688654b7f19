//! State shared by the simulated systems: ledger, clock, webhook sender, and tasks that end with it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::banks::tokens::Tokens;
use super::ledger::Ledger;
use super::mint;
use super::options::TrackerOptions;
use super::webhooks::{RawWebhook, SendError, Sender, WebhookAnswer};
use clock::{Clock, Time};

pub(super) struct World {
    pub(super) clock: Clock,
    pub(super) seed: u64,
    pub(super) api_key: String,
    pub(super) webhook_retries: Vec<Duration>,
    pub(super) tracker: TrackerOptions,
    pub(super) sender: Sender,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    /// Notified at every decision.
    pub(super) decided: Notify,
    ledger: Mutex<Ledger>,
    tokens: Mutex<Tokens>,
    messages: AtomicU64,
    /// Part of every message id: a restarted simulator must not reuse ids.
    started: Time,
}

impl World {
    pub(super) fn new(
        ledger: Ledger,
        sender: Sender,
        (clock, seed): (Clock, u64),
        (api_key, webhook_retries): (String, Vec<Duration>),
        tracker: TrackerOptions,
    ) -> Self {
        let started = clock.now();
        Self {
            clock,
            seed,
            api_key,
            webhook_retries,
            tracker,
            sender,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            decided: Notify::new(),
            ledger: Mutex::new(ledger),
            tokens: Mutex::default(),
            messages: AtomicU64::new(0),
            started,
        }
    }

    /// Locks the ledger; never held across an await.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the banks' access tokens.
    pub(super) fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a task until it ends or the simulator stops.
    pub(super) fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
        });
    }

    pub(super) fn message_id(&self) -> String {
        let n = self.messages.fetch_add(1, Ordering::Relaxed);
        mint::id("msg", self.seed, &[&self.started.timestamp_micros().to_string(), &n.to_string()])
    }

    /// Sends a webhook once.
    pub(super) async fn send(&self, webhook: &RawWebhook) -> Result<WebhookAnswer, SendError> {
        let id = webhook.id.clone().unwrap_or_else(|| self.message_id());
        self.sender.send(&id, webhook).await
    }
}
