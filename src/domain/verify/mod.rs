//! Verifies a history without trusting the database that stores it: finds changes made behind the triggers' back.
//!
//! The chain shows *that* a history was changed; this module derives *how* from the rows that still fit. A row that
//! does not fit between fitting neighbours was edited. Two rows that fit each other's place were swapped. A row without
//! which the chain continues was inserted. Changes that cannot be told apart without the key (a row edited together
//! with its hash, or replaced) are reported as edited.

mod finding;
mod walk;

pub use self::finding::{Finding, Flaw};
use self::walk::Walk;
use super::chain::{Hash, HistoryKey, Row};
use uuid::Uuid;

/// A row of history with its stored hash, which may hold any bytes.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// The row's columns.
    pub row: Row<'a>,
    /// The stored hash.
    pub hash: &'a [u8],
}

/// The anchor's columns that describe its history.
#[derive(Clone, Copy, Debug)]
pub struct Anchor<'a> {
    /// The state after the last row.
    pub state: &'a str,
    /// The number of rows.
    pub version: i64,
    /// The hash of the last row.
    pub head: &'a [u8],
}

/// The end of a history in an earlier export, which an attacker with access to the database alone cannot change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The opening that the history belongs to.
    pub opening: Uuid,
    /// The number of rows at the export.
    pub version: i64,
    /// The hash of the last row.
    pub hash: Hash,
}

/// Finds the damage in one opening's history. `links` are all its rows, sorted by version.
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

/// Compares a history with its exported head. `anchored`: the anchor still exists. `hash`: the stored hash at the
/// head's version, if that row still exists.
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
