//! The controls: the removed defence, the faults dealt until it mattered, and its signs.
//!
//! Each sign is listed with the reason why the missing defence causes it. A violation without such a reason is not a
//! sign.

use crate::checker::Kind;

pub struct Control {
    /// Its name in `BROKEN`.
    pub name: &'static str,
    pub deal: Deal,
    /// At least one of these must show.
    pub signs: &'static [Kind],
}

/// Dealt repeatedly, beside the normal faults, until the missing defence has mattered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deal {
    /// Nothing: the load itself meets it within a second.
    Load,
    /// Locks the inbox and kills a replica while its writers wait for the lock.
    KillInALock,
    /// The outside world hangs, and a replica waiting for it is paused beyond its leases.
    SleepOverALease,
    /// Locks the inbox for a moment: copies of a message that arrive meanwhile are looked up at the same time
    /// afterwards.
    LookAtOnce,
    Kill,
    /// Loses the answer to a COMMIT that started an opening.
    LoseAStart,
    /// Slows the connection to the database; half of the clients hang up before their transaction has begun.
    HangUp,
    /// The proxy of one replica ignores session options, as in every run.
    IgnoreOptions,
    /// Restores the database from a dump; a separate run.
    TakeBack,
}

pub const CONTROLS: [Control; 10] = [
    Control {
        name: "ack-before-commit",
        deal: Deal::KillInALock,
        // Messages in the memory of a killed process were acknowledged but are lost.
        signs: &[Kind::Lost],
    },
    Control {
        name: "no-lease-token",
        deal: Deal::SleepOverALease,
        // The sleeping worker overwrites the delivery of the worker that took over: an attempt follows a final one. It
        // also makes a cancelled row pending again, although its opening left that state.
        signs: &[Kind::SettledTwice, Kind::Atomicity],
    },
    Control {
        name: "no-unique-key",
        deal: Deal::LookAtOnce,
        // Two writers that look up at the same time store a message twice. The second row acts again: a second card,
        // with a command that no step wrote.
        signs: &[Kind::DoubleEffects, Kind::Atomicity],
    },
    Control {
        name: "dedup-only-in-memory",
        deal: Deal::Load,
        // A copy at another replica is not in that replica's memory and is stored again.
        signs: &[Kind::DoubleEffects],
    },
    Control {
        name: "outbox-outside-the-transaction",
        deal: Deal::Kill,
        // Between the two commits a check finds a step without its command and an event without deliveries; a replica
        // killed there leaves it so.
        signs: &[Kind::Atomicity],
    },
    Control {
        name: "blind-repeat-after-unknown-commit",
        deal: Deal::LoseAStart,
        // If the COMMIT took effect, the repeat creates a second opening for one caller. If not, the acknowledged
        // opening is stored under the repeat's key and the caller's own key is missing: a repeat would open another
        // account.
        signs: &[Kind::DoubleEffects, Kind::Lost],
    },
    Control {
        name: "no-pool-guard",
        deal: Deal::HangUp,
        // Work on a connection with a leftover open transaction is acknowledged but visible to no other session. Reads
        // on such a connection return openings and events that no other session can see.
        signs: &[Kind::Lost, Kind::Unexpected, Kind::IllegalTransitions],
    },
    Control {
        name: "trusted-startup-options",
        deal: Deal::IgnoreOptions,
        // The sessions of one replica use another cell of the same database. Its acknowledged data exists, but not
        // where the other replicas and its own restart look for it; its reads come from that cell.
        signs: &[Kind::Lost, Kind::Unexpected, Kind::IllegalTransitions],
    },
    Control {
        name: "random-effect-keys",
        deal: Deal::TakeBack,
        // The restored database repeats effects made after the dump under another key: a second card. It sends the
        // event of the same step under another id: a reader acts twice.
        signs: &[Kind::DoubleEffects],
    },
    Control {
        name: "events-by-transaction",
        deal: Deal::TakeBack,
        // The other cluster's transaction ids are lower than the readers' cursors and those of the restored events: new
        // events stay hidden.
        signs: &[Kind::SkippedEvents],
    },
];

/// The control of this name.
pub fn find(name: &str) -> Option<&'static Control> {
    CONTROLS.iter().find(|it| it.name == name)
}
