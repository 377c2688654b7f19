//! The controls: what is taken out, what is dealt until it has mattered, and what shows that it did.
//!
//! A sign stands here with the reason for which the missing defence brings it about. A violation without such a reason is not
//! a sign, whatever came with it.

use crate::checker::Kind;

/// A defence that is taken out.
pub struct Control {
    /// As `BROKEN` names it.
    pub name: &'static str,
    pub deal: Deal,
    /// Of which at least one must show.
    pub signs: &'static [Kind],
}

/// What is dealt again and again, beside the usual faults, until the missing defence has mattered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deal {
    /// Nothing: the load itself meets it within a second.
    Load,
    /// The inbox is locked, and a replica is killed while its writers wait for the lock.
    KillInALock,
    /// The outside world hangs, and a replica that waits for it is stopped until its leases are over.
    SleepOverALease,
    /// The inbox is locked for a moment: copies of a message that come meanwhile are looked for at once when it ends.
    LookAtOnce,
    /// Replicas are killed.
    Kill,
    /// The answer to a COMMIT that started an opening is lost.
    LoseAStart,
    /// The way to the database is slow, and half of the messages are hung up on before their transaction has begun.
    HangUp,
    /// The proxy of one replica ignores the options of its sessions, as in every run.
    IgnoreOptions,
    /// The database is taken back to a dump: a run of its own.
    TakeBack,
}

pub const CONTROLS: [Control; 10] = [
    Control {
        name: "ack-before-commit",
        deal: Deal::KillInALock,
        // What waits in the memory of a process that is killed was acknowledged, and is nowhere.
        signs: &[Kind::Lost],
    },
    Control {
        name: "no-lease-token",
        deal: Deal::SleepOverALease,
        // The sleeper writes its failure over the delivery of the worker that took over: something follows a final attempt. A
        // row whose opening went on without it, and which was cancelled, it makes pending in a state that was left.
        signs: &[Kind::SettledTwice, Kind::Atomicity],
    },
    Control {
        name: "no-unique-key",
        deal: Deal::LookAtOnce,
        // Two writers that look at once store a message twice; the second row acts again: a second card, whose command no step
        // brought.
        signs: &[Kind::DoubleEffects, Kind::Atomicity],
    },
    Control {
        name: "dedup-only-in-memory",
        deal: Deal::Load,
        // A copy at another replica finds no entry in that one's memory, and is stored beside the first.
        signs: &[Kind::DoubleEffects],
    },
    Control {
        name: "outbox-outside-the-transaction",
        deal: Deal::Kill,
        // Between the two commits a look finds a step without its command and its event without deliveries; a replica that is
        // killed there leaves it so.
        signs: &[Kind::Atomicity],
    },
    Control {
        name: "blind-repeat-after-unknown-commit",
        deal: Deal::LoseAStart,
        // The COMMIT took effect, and the repeat is a second opening for one caller: two are there. Where it did not take
        // effect, the opening that is acknowledged stands under the repeat's key, and the caller's own is not there: asked
        // again under it, the service would open another account.
        signs: &[Kind::DoubleEffects, Kind::Lost],
    },
    Control {
        name: "no-pool-guard",
        deal: Deal::HangUp,
        // Work on a connection whose transaction was left open is acknowledged and seen by nobody else. What another request
        // reads on such a connection, an opening or an event, is not there for anybody else either.
        signs: &[Kind::Lost, Kind::Unexpected, Kind::IllegalTransitions],
    },
    Control {
        name: "trusted-startup-options",
        deal: Deal::IgnoreOptions,
        // The sessions of one replica begin in another cell of the same database. What it acknowledges is there, and not where the
        // other replicas, and the next start of this one, look for it; what is read from it is that cell's.
        signs: &[Kind::Lost, Kind::Unexpected, Kind::IllegalTransitions],
    },
    Control {
        name: "random-effect-keys",
        deal: Deal::TakeBack,
        // The restored database asks once more for what was made after the dump, under another key: a second card. It tells
        // of the same step under another id: a reader acts twice.
        signs: &[Kind::DoubleEffects],
    },
    Control {
        name: "events-by-transaction",
        deal: Deal::TakeBack,
        // The other cluster's transactions have lower numbers than the cursors that readers have kept, and than those of the
        // events that came with the dump: nothing new is shown.
        signs: &[Kind::SkippedEvents],
    },
];

/// The control of this name.
pub fn find(name: &str) -> Option<&'static Control> {
    CONTROLS.iter().find(|it| it.name == name)
}
