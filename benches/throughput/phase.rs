//! The phases of a round: ways to complete openings.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// pgbench with so many clients, one webhook a call.
    Limit(u64),
    /// pgbench with so many clients, many webhooks a call.
    Batched(u64),
    /// pgbench, one webhook a call, as many a second as come at [`Phase::Steady`].
    LimitSteady,
    /// Ours, over so many connections.
    Ours(usize),
    /// Ours, at a pace that leaves it idle most of the time.
    Steady,
    /// Ours, where most webhooks are about one opening.
    Flood,
    /// Openings that are started and go all the way to their card.
    Openings,
}

impl Phase {
    pub const ALL: [Self; 11] = [
        Self::Limit(8),
        Self::Limit(32),
        Self::Batched(8),
        Self::Ours(1),
        Self::Ours(16),
        Self::Ours(64),
        Self::Ours(256),
        Self::LimitSteady,
        Self::Steady,
        Self::Flood,
        Self::Openings,
    ];

    /// How many openings, where the quickest phases have `count`: each takes some five to fifteen seconds. The limit has as
    /// many as those that are compared with it: after a checkpoint the first writes to a page cost more.
    pub const fn openings(self, count: u64) -> u64 {
        let share = match self {
            Self::Limit(_) | Self::Batched(_) | Self::Ours(64 | 256) | Self::Flood => 1,
            Self::Ours(16) => 2,
            Self::Openings => 4,
            Self::Ours(_) | Self::LimitSteady | Self::Steady => 16,
        };
        // Whole batches for each client.
        let whole = count / share / 512 * 512;
        if whole == 0 { 512 } else { whole }
    }
}

impl Display for Phase {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit(clients) => write!(f, "pg{clients}"),
            Self::Batched(clients) => write!(f, "batched{clients}"),
            Self::LimitSteady => f.write_str("pgsteady"),
            Self::Ours(connections) => write!(f, "ours{connections}"),
            Self::Steady => f.write_str("steady"),
            Self::Flood => f.write_str("flood"),
            Self::Openings => f.write_str("openings"),
        }
    }
}

impl FromStr for Phase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(|it| it.to_string()).join(", ");
        Self::ALL.into_iter().find(|it| it.to_string() == text).ok_or_else(|| format!("it takes {}", known()))
    }
}
