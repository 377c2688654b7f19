//! Options of a simulator and errors of its start.

use std::net::SocketAddr;
use std::time::Duration;

use chrono::TimeDelta;
use clock::Clock;

use super::dealer::Planner;
use super::quota::Timing;
use super::webhooks::SendError;

#[derive(Clone, Debug)]
pub struct Options {
    /// The listen address; port 0 picks a free port.
    pub addr: SocketAddr,
    /// The API key of the bank that has defaults.
    pub api_key: String,
    /// The service's webhook URL. None: set later by [`super::Simulator::deliver_to`]; webhooks before that are
    /// retried, then lost.
    pub webhook_url: Option<String>,
    /// `whsec_…`: signs the events of that bank.
    pub webhook_secret: String,
    /// Delays before resending an unacknowledged webhook; their number is the number of retries.
    pub webhook_retries: Vec<Duration>,
    pub tracker: TrackerOptions,
    /// The source of plans.
    pub planner: Planner,
    /// For reported and signed times. Delays are real time.
    pub clock: Clock,
    /// Seeds ids, IBANs and quotas. Simulators that feed one database need different seeds.
    pub seed: u64,
}

impl Options {
    /// A free local port, no faults, default speeds.
    #[must_use]
    pub fn local(api_key: impl Into<String>, webhook_secret: impl Into<String>) -> Self {
        Self {
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            api_key: api_key.into(),
            webhook_url: None,
            webhook_secret: webhook_secret.into(),
            webhook_retries: [200, 500, 1000, 2000].map(Duration::from_millis).to_vec(),
            tracker: TrackerOptions::default(),
            planner: Planner::Clean(Timing::default()),
            clock: Clock::system(),
            seed: 0,
        }
    }
}

/// The default account at the tracker. The service refuses it in production.
pub const DEVELOPMENT_JIRA_EMAIL: &str = "account-opening@tracker.example";
/// The token of [`DEVELOPMENT_JIRA_EMAIL`].
pub const DEVELOPMENT_JIRA_API_TOKEN: &str = "jira-development-token";

/// Credentials of the ticket tracker and the lag of its search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackerOptions {
    /// `JIRA_EMAIL`
    pub email: String,
    /// `JIRA_API_TOKEN`
    pub api_token: String,
    /// How long the search misses a new issue.
    pub lag: TimeDelta,
}

impl Default for TrackerOptions {
    fn default() -> Self {
        Self {
            email: DEVELOPMENT_JIRA_EMAIL.to_owned(),
            api_token: DEVELOPMENT_JIRA_API_TOKEN.to_owned(),
            lag: TimeDelta::seconds(30),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is in use or not local.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The webhook secret is invalid, or the HTTP client cannot be made.
    #[error(transparent)]
    Webhooks(#[from] SendError),
}
