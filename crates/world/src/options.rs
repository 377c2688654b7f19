//! What a simulator is started with, and why it may not start.

use std::net::SocketAddr;
use std::time::Duration;

use chrono::TimeDelta;
use clock::Clock;

use super::dealer::Planner;
use super::quota::Timing;
use super::webhooks::SendError;

/// What a simulator needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens; port 0 takes a free one.
    pub addr: SocketAddr,
    /// The bank's API key, `NEXUSBANK_API_KEY`.
    pub api_key: String,
    /// The service's webhook URL. None: set later by [`super::Simulator::deliver_to`]; what is told before is retried, then lost.
    pub webhook_url: Option<String>,
    /// `whsec_…`, one of `NEXUSBANK_WEBHOOK_SECRETS`.
    pub webhook_secret: String,
    /// The pauses before a webhook that was not acknowledged is sent again; their number is that of the retries.
    pub webhook_retries: Vec<Duration>,
    /// The ticket tracker's.
    pub tracker: TrackerOptions,
    /// What happens to whom.
    pub planner: Planner,
    /// For the times it reports and signs. Pauses and delays are real time.
    pub clock: Clock,
    /// For ids, IBANs and quotas. Two simulators whose accounts end up in one database need different ones.
    pub seed: u64,
}

impl Options {
    /// A free port on this machine, honest and clean, with the usual speeds.
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

/// The tracker's account where no other is set. The service in production refuses it.
pub const DEVELOPMENT_JIRA_EMAIL: &str = "account-opening@tracker.example";
/// The token of [`DEVELOPMENT_JIRA_EMAIL`].
pub const DEVELOPMENT_JIRA_API_TOKEN: &str = "jira-development-token";

/// Who may call the ticket tracker, and how far its search lags behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackerOptions {
    /// The account, `JIRA_EMAIL`.
    pub email: String,
    /// Its token, `JIRA_API_TOKEN`.
    pub api_token: String,
    /// So long an issue is not found by a search.
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

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The webhook secret is none, or there is no HTTP client.
    #[error(transparent)]
    Webhooks(#[from] SendError),
}
