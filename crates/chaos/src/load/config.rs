//! The load's configuration and its progress.

use std::collections::BTreeMap;

use crate::provider::Bank;

/// The options of the load.
#[derive(Clone, Debug)]
pub struct Config {
    /// The bank that sends messages.
    pub bank: Bank,
    /// The seed of all random choices.
    pub seed: u64,
    /// How long new work is begun.
    pub seconds: u64,
    /// New openings per second.
    pub openings_per_second: f64,
    /// Messages of the bank per second: first copies, dropped ones included.
    pub messages_per_second: f64,
    /// Readings of openings per second.
    pub reads_per_second: f64,
    /// Whether the client hangs up on half of the messages while they are processed.
    pub many_hang_up: bool,
    /// The bearer token of the internal API.
    pub token: String,
    /// The secret that the bank signs with: `whsec_…`.
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

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub openings: u64,
    /// Of these, acknowledged with 202.
    pub acked: u64,
    /// Messages made up, dropped ones included.
    pub messages: u64,
    /// Requests sent to webhooks: first copies, further ones, repeats and forgeries.
    pub sent: u64,
    /// Messages not acknowledged after their last repeat.
    pub given_up: u64,
    pub reads: u64,
    /// Events that the followers saw, each at each follower.
    pub events: u64,
    /// Pieces of work that are not through: openings, messages, copies, readings.
    pub pending: u64,
    /// Requests of all kinds that wait for their answer.
    pub in_flight: u64,
    /// Answers by class: `2xx`, `4xx`, `5xx`, `none` (no answer, or not sent because too many were outstanding).
    pub answers: BTreeMap<&'static str, u64>,
}
