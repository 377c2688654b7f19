//! The load: callers who open accounts, the bank's messages, readers, and a follower of the events at each replica.
//!
//! Rates are held whatever the service does: a slow answer delays no other request. What is not acknowledged is repeated, as
//! callers and banks do; what is sent is recorded before its bytes leave, what is answered after the answer is here.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::files::Recorder;
use crate::provider::Provider;

/// What is asked of the load.
#[derive(Clone, Debug)]
pub struct Config {
    /// What everything drawn is drawn from.
    pub seed: u64,
    /// How long new work is begun.
    pub seconds: u64,
    /// New openings per second.
    pub openings_per_second: f64,
    /// Messages of the bank per second: first copies, dropped ones included.
    pub messages_per_second: f64,
    /// Readings of openings per second.
    pub reads_per_second: f64,
    /// The bearer token of the internal API.
    pub token: String,
    /// What the bank signs with: `whsec_…`.
    pub webhook_secret: String,
}

/// Where a replica listens: base URLs, such as `http://127.0.0.1:8080`.
#[derive(Clone, Debug)]
pub struct Replica {
    /// The listener for webhooks.
    pub public: String,
    /// The listener for REST.
    pub internal: String,
}

/// Counts so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Openings asked for.
    pub openings: u64,
    /// Of these, acknowledged with 202.
    pub acked: u64,
    /// Messages made up, dropped ones included.
    pub messages: u64,
    /// Requests sent to webhooks: first copies, further ones, repeats and forgeries.
    pub sent: u64,
    /// Messages not acknowledged after their last repeat.
    pub given_up: u64,
    /// Readings of openings.
    pub reads: u64,
    /// Events that the followers saw, each at each follower.
    pub events: u64,
    /// Requests of all kinds that wait for their answer.
    pub in_flight: u64,
    /// Answers by class: `2xx`, `4xx`, `5xx`, `none` (no answer, or not sent because too many were outstanding).
    pub answers: BTreeMap<&'static str, u64>,
}

/// A load that runs.
pub struct Load {}

impl Load {
    /// Starts it. It begins no new work after `config.seconds`; unacknowledged openings and messages are repeated beyond that.
    pub fn start(
        config: Config,
        history: Recorder,
        provider: &Provider,
        replicas: Vec<Replica>,
    ) -> anyhow::Result<Self> {
        let _ = (config, history, provider, replicas);
        Ok(Self {})
    }

    /// Returns when the planned seconds are over (or [`Self::stop`] was called).
    pub async fn ended(&self) {}

    /// Begins no new work from now on; returns when that is recorded. Repeats, the bank's own messages (of decisions still to
    /// come) and the followers go on.
    pub async fn stop(&self) {}

    /// To be called when all is healed: returns when every opening is acknowledged and every message acknowledged or given up,
    /// or at the deadline. How many openings are left unacknowledged.
    pub async fn drain(&self, deadline: Duration) -> u64 {
        let _ = deadline;
        0
    }

    /// To be called when the service has come to rest: lets each follower read on until two pages in a row are empty, ends
    /// everything and flushes the history. How many followers did not get there by the deadline.
    pub async fn finish(self, deadline: Duration) -> anyhow::Result<usize> {
        let _ = Instant::now() + deadline;
        Ok(0)
    }

    /// Counts so far.
    pub fn progress(&self) -> Progress {
        Progress::default()
    }
}
