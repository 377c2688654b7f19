//! Verifies a history without trusting the database that holds it: what was done to it behind the back of the triggers,
//! and where.
//!
//! The chain tells *that* something was done; the rest here is about telling *what*, from what still fits: a row whose
//! neighbours fit was edited, two rows that fit each other's place were swapped, a row without which the chain goes on was
//! inserted. What cannot be told apart without the key's holder (a row edited together with its hash, or replaced) is
//! called edited.

mod finding;
mod walk;

pub use self::finding::{Finding, Flaw};
use self::walk::Walk;
use super::chain::{Hash, HistoryKey, Row};
use uuid::Uuid;

/// A row of history with the hash that stands beside it, which may be anything.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// The row.
    pub row: Row<'a>,
    /// Its hash.
    pub hash: &'a [u8],
}

/// What the anchor says of its history.
#[derive(Clone, Copy, Debug)]
pub struct Anchor<'a> {
    /// Where it leads.
    pub state: &'a str,
    /// How many rows it has.
    pub version: i64,
    /// The hash of the last.
    pub head: &'a [u8],
}

/// A history's end as it was exported once: what nobody who holds the database alone can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whose history.
    pub opening: Uuid,
    /// How many rows it had.
    pub version: i64,
    /// The hash of the last.
    pub hash: Hash,
}

/// What is wrong with one opening's history. `links` are all its rows, sorted by version.
#[must_use]
pub fn verify(key: &HistoryKey, opening: Uuid, anchor: Option<&Anchor<'_>>, links: &[Link<'_>]) -> Vec<Finding> {
    let found = |version, flaw| vec![Finding { opening, version, flaw }];
    match (anchor, links.is_empty()) {
        (None, true) => found(0, Flaw::Removed),
        (None, false) => found(links[0].row.version, Flaw::NoAnchor),
        (Some(anchor), true) => found(1, Flaw::Truncated { to: anchor.version }),
        (Some(anchor), false) => Walk::new(key, opening, anchor, links).findings(),
    }
}

/// What became of a history since its head was exported: `anchored` and `hash` are the anchor and the hash at the head's
/// version, as far as they are still there.
#[must_use]
pub fn compare(head: &Head, anchored: bool, hash: Option<&[u8]>) -> Option<Finding> {
    let flaw = match hash {
        Some(hash) if hash == head.hash => return None,
        Some(_) => Flaw::AnotherHead,
        None if anchored => Flaw::HeadGone,
        None => Flaw::Removed,
    };
    Some(Finding { opening: head.opening, version: head.version, flaw })
}
