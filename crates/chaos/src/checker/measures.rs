//! The numbers of a run.

use serde::Serialize;

/// How much of something there was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    pub openings: u64,
    pub webhooks: u64,
}

/// How often a fault was planned, struck and observed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Strikes {
    pub least: u64,
    pub struck: u64,
    pub with_evidence: u64,
    /// Calls that met it, by the outside world's own ledger.
    pub calls: u64,
}

/// A planned and an actual rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rate {
    pub planned: f64,
    pub achieved: u64,
    pub percent: f64,
}

/// Shares in percent: the first four of the messages, the last of messages and openings, each counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Shares {
    pub duplicated: f64,
    pub reordered: f64,
    pub dropped: f64,
    pub forged: f64,
    pub hung_up: f64,
}

/// The load between its beginning and its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Load {
    pub openings: Rate,
    pub messages: Rate,
    pub reads: Rate,
    /// Requests with messages: copies, repeats and forgeries too.
    pub requests: u64,
    /// Readings without an answer of 200.
    pub unread: u64,
    pub shares: Shares,
}
