//! The simulated outside world: NexusBank's API, the profile service, the card issuer and the ticket tracker, on one listener.
//!
//! It is the judge of what the service does: its [ledger](LedgerSnapshot) counts what was made twice and knows when the
//! bank decided what. So it shares no code with the service but the clock. Faults are scripted ([`Plan`]): dealt by quota
//! from a seed for the demo, by test or by hand elsewhere. State lives in memory and ends with it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

mod accounts;
mod acts;
mod bank;
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
mod snapshot;
#[cfg(test)]
mod tests;
mod tracker;
mod webhooks;
mod world;

pub use acts::DecideError;
pub use dealer::Planner;
pub use endpoint::{Api, Endpoint};
pub use life::Decided;
pub use options::{DEVELOPMENT_JIRA_API_TOKEN, DEVELOPMENT_JIRA_EMAIL, Options, StartError, TrackerOptions};
pub use plan::{Decision, Fault, Fold, HALF_A_CHARACTER, Plan, RefusalForm, Verdict, Webhooks};
pub use quota::Timing;
pub use snapshot::{AccountRequest, Call, Card, Counts, LedgerSnapshot, OpeningRecord, Status};
pub use tracker::{IssueRecord, IssueStatus};
pub use webhooks::{RawWebhook, SendError, WebhookAnswer};

/// How long a hanging call is held before it is answered 504.
pub const HANG: Duration = Duration::from_mins(1);

/// How long a submission's answer is held back for a webhook that comes before it.
pub const EARLY_HOLD: Duration = Duration::from_secs(5);

/// How many calls of an opening are kept one by one; all are counted.
pub const CALLS_KEPT: usize = 100;

/// How many calls to the ticket tracker are kept one by one.
pub const TRACKER_CALLS_KEPT: usize = 10_000;

/// How long [`Simulator::stop`] waits for connections to close.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// A running simulator. It stops when it is dropped.
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
            // An answer is one small packet: waiting for a second one to fill it would cost each call 40 ms.
            let listener = listener.tap_io(|stream| {
                let _ = stream.set_nodelay(true);
            });
            if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await {
                tracing::error!(%error, "the simulator's listener failed");
            }
        });
        Ok(Self { world, addr, server: server.abort_handle() })
    }

    /// Ends hanging calls and pending deliveries at once, and stops listening. The ledger can still be read.
    pub async fn stop(&self) {
        self.world.stop.cancel();
        self.world.tasks.close();
        if tokio::time::timeout(STOP_WITHIN, self.world.tasks.wait()).await.is_err() {
            self.server.abort();
        }
    }

    /// Of all the simulated systems, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sends webhooks there from now on.
    pub fn deliver_to(&self, url: impl Into<String>) {
        self.world.sender.deliver_to(url.into());
    }

    /// What truly happened so far: a copy of everything.
    #[must_use]
    pub fn ledger(&self) -> LedgerSnapshot {
        self.world.ledger().snapshot()
    }

    /// What truly happened to one opening.
    #[must_use]
    pub fn opening(&self, reference: &str) -> Option<OpeningRecord> {
        self.world.ledger().opening(reference)
    }

    /// The totals alone: cheap enough to be read many times a second.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.world.ledger().counts
    }

    /// Decides an opening by hand, by its own reference or the bank's tracking id, and tells it by its plan.
    pub fn decide(&self, reference: &str, verdict: &Verdict) -> Result<Decided, DecideError> {
        acts::decide(&self.world, reference, verdict)
    }

    /// Scripts the openings of a customer: those to come, and what is left to happen to present ones (faults begin anew,
    /// a decision under way keeps its time).
    pub fn set_plan(&self, customer_reference: impl Into<String>, plan: Plan) {
        self.world.ledger().set_plan(customer_reference.into(), plan);
    }

    /// From now on every call to a system meets this fault, whatever its plan; `None` ends the outage.
    pub fn outage(&self, api: Api, fault: Option<Fault>) {
        acts::outage(&self.world, api, fault);
    }

    /// Scripts what befalls the next calls of one kind to the ticket tracker, in order; the calls after these go through.
    pub fn fail_next(&self, endpoint: Endpoint, faults: impl IntoIterator<Item = Fault>) {
        self.world.ledger().tracker.fail_next(endpoint, faults);
    }

    /// The ticket tracker's issues, oldest first.
    #[must_use]
    pub fn issues(&self) -> Vec<IssueRecord> {
        self.world.ledger().tracker.issues().to_vec()
    }

    /// Deletes an issue of the ticket tracker, as a person does; whether there was such an issue.
    #[must_use]
    pub fn delete_issue(&self, key: &str) -> bool {
        self.world.ledger().tracker.delete(key)
    }

    /// The calls of one kind that the ticket tracker has had, oldest first.
    #[must_use]
    pub fn tracker_calls(&self, endpoint: Endpoint) -> Vec<Call> {
        self.world.ledger().tracker.log().iter().filter(|it| it.endpoint == endpoint).cloned().collect()
    }

    /// Sends a webhook of any shape, once. The ledger does not count it.
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
    bank::router(Arc::clone(world))
        .merge(profiles::router())
        .merge(cards::router())
        .merge(tracker::router(Arc::clone(world)))
        .merge(control::router())
        .with_state(Arc::clone(world))
}
