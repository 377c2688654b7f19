//! The simulated outside systems: the APIs of the banks, profile service, card issuer and ticket tracker, on one listener.
//!
//! The world judges the service: its [ledger](LedgerSnapshot) counts double effects and records when the bank decided. So
//! the world shares only the clock with the service. Faults are scripted ([`Plan`]): by quota from a seed for the demo, by test
//! or by hand otherwise. State is in memory only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

mod acts;
mod banks;
mod calls;
mod cards;
mod control;
mod dealer;
mod endpoint;
mod ledger;
mod life;
mod millis;
mod mint;
mod options;
pub mod plan;
mod profiles;
pub mod quota;
pub mod reports;
mod snapshot;
#[cfg(test)]
mod tests;
mod tracker;
mod webhooks;
mod world;

pub use acts::DecideError;
pub use banks::{Bank, CLIENT_ID, CLIENT_SECRET, HMAC_KEY, WEBHOOK_SECRET};
pub use dealer::Planner;
pub use endpoint::{Api, Endpoint};
pub use life::Decided;
pub use options::{DEVELOPMENT_JIRA_API_TOKEN, DEVELOPMENT_JIRA_EMAIL, Options, StartError, TrackerOptions};
pub use plan::{Decision, Fault, Fold, HALF_A_CHARACTER, Plan, RefusalForm, Verdict, Webhooks};
pub use quota::Timing;
pub use snapshot::{AccountRequest, Call, Card, Counts, LedgerSnapshot, OpeningRecord, Status};
pub use tracker::{IssueRecord, IssueStatus};
pub use webhooks::{RawWebhook, SendError, WebhookAnswer};

/// How long a hanging call is held before 504.
pub const HANG: Duration = Duration::from_mins(1);

/// How long a submission's answer may be held back for an early webhook.
pub const EARLY_HOLD: Duration = Duration::from_secs(5);

/// How many calls of an opening are logged; all are counted.
pub const CALLS_KEPT: usize = 100;

/// How many calls to the ticket tracker are logged.
pub const TRACKER_CALLS_KEPT: usize = 10_000;

/// How long [`Simulator::stop`] waits for connections to close.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// A running simulator; it stops on drop.
pub struct Simulator {
    world: Arc<world::World>,
    addr: SocketAddr,
    server: AbortHandle,
}

impl Simulator {
    /// Starts listening; answers from the moment this returns.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let Options { addr, api_key, webhook_url, webhook_secret, webhook_retries, tracker, planner, clock, seed } =
            options;
        let sender = webhooks::Sender::new(webhook_url, &webhook_secret, clock.clone())?;
        let ledger = ledger::Ledger::new(dealer::Dealer::new(planner, seed), seed);
        let world = Arc::new(world::World::new(ledger, sender, (clock, seed), (api_key, webhook_retries), tracker));

        let failed = |error| StartError::Listen(addr, error);
        let listener = TcpListener::bind(addr).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let app = router(&world);
        let stop = world.stop.clone();
        let server = world.tasks.spawn(async move {
            // Answers are one small packet; Nagle's algorithm would delay each by 40 ms.
            let listener = listener.tap_io(|stream| {
                let _ = stream.set_nodelay(true);
            });
            if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await {
                tracing::error!(%error, "the simulator's listener failed");
            }
        });
        Ok(Self { world, addr, server: server.abort_handle() })
    }

    /// Aborts hanging calls and pending deliveries and stops listening. The ledger stays readable.
    pub async fn stop(&self) {
        self.world.stop.cancel();
        self.world.tasks.close();
        if tokio::time::timeout(STOP_WITHIN, self.world.tasks.wait()).await.is_err() {
            self.server.abort();
        }
    }

    /// Base URL of all simulated systems, without a trailing slash.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sets the URL for webhooks.
    pub fn deliver_to(&self, url: impl Into<String>) {
        self.world.sender.deliver_to(url.into());
    }

    /// A copy of the whole ledger.
    #[must_use]
    pub fn ledger(&self) -> LedgerSnapshot {
        self.world.ledger().snapshot()
    }

    /// The record of one opening.
    #[must_use]
    pub fn opening(&self, reference: &str) -> Option<OpeningRecord> {
        self.world.ledger().opening(reference)
    }

    /// The bank's files for a period, and what reconciliation must make of them.
    #[must_use]
    pub fn reports(&self, ask: &reports::Ask) -> reports::Books {
        let entries = self.world.ledger().entries();
        reports::write(&entries, self.world.seed, ask)
    }

    /// The totals only: cheap enough for frequent reads.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.world.ledger().counts
    }

    /// Decides an opening manually, by its reference or tracking id, and sends the webhooks of its plan.
    pub fn decide(&self, reference: &str, verdict: &Verdict) -> Result<Decided, DecideError> {
        acts::decide(&self.world, reference, verdict)
    }

    /// Sets the plan of a customer's future openings and of the rest of present ones (faults start again, a pending
    /// decision keeps its time).
    pub fn set_plan(&self, customer_reference: impl Into<String>, plan: Plan) {
        self.world.ledger().set_plan(customer_reference.into(), plan);
    }

    /// Applies this fault to every call to a system, ignoring plans. None ends the outage.
    pub fn outage(&self, api: Api, fault: Option<Fault>) {
        acts::outage(&self.world, api, fault);
    }

    /// Scripts faults for the next calls of one kind to the ticket tracker, in order; later calls succeed.
    pub fn fail_next(&self, endpoint: Endpoint, faults: impl IntoIterator<Item = Fault>) {
        self.world.ledger().tracker.fail_next(endpoint, faults);
    }

    /// The ticket tracker's issues, oldest first.
    #[must_use]
    pub fn issues(&self) -> Vec<IssueRecord> {
        self.world.ledger().tracker.issues().to_vec()
    }

    /// Deletes an issue of the ticket tracker, as a user might. Returns whether it existed.
    #[must_use]
    pub fn delete_issue(&self, key: &str) -> bool {
        self.world.ledger().tracker.delete(key)
    }

    /// The logged calls of one kind to the ticket tracker, oldest first.
    #[must_use]
    pub fn tracker_calls(&self, endpoint: Endpoint) -> Vec<Call> {
        self.world.ledger().tracker.log().iter().filter(|it| it.endpoint == endpoint).cloned().collect()
    }

    /// Revokes every access token of the banks: the next call with one is answered 401.
    pub fn revoke_tokens(&self) {
        self.world.tokens().revoke();
    }

    /// How many access tokens the banks have given.
    #[must_use]
    pub fn tokens_given(&self) -> u64 {
        self.world.tokens().given
    }

    /// Sends a custom webhook once. The ledger does not count it.
    pub async fn send_webhook(&self, webhook: &RawWebhook) -> Result<WebhookAnswer, SendError> {
        self.world.send(webhook).await
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.world.stop.cancel();
    }
}

fn router(world: &Arc<world::World>) -> Router {
    banks::router(world)
        .merge(profiles::router())
        .merge(cards::router())
        .merge(tracker::router(Arc::clone(world)))
        .merge(control::router())
        .merge(reports::routes::router())
        .with_state(Arc::clone(world))
}
