//! The verifier (P22) finds every change of a history at its place and reports nothing on an unchanged one. Its
//! findings on a real database: `tests/it/verify.rs`.

use proptest::prelude::*;

use super::*;
use crate::domain::chain::{Hash, HistoryKey, Row};
use crate::domain::verify::{Anchor, Finding, Flaw, Head, Link, compare, verify};

/// The longest path through the states.
const STATES: [&str; 6] =
    ["creating_profile", "requesting_account", "awaiting_provider", "escalated", "issuing_card", "completed"];

#[derive(Clone, Debug, PartialEq)]
struct Stored {
    version: i64,
    from: Option<&'static str>,
    to: &'static str,
    event: String,
    hash: Vec<u8>,
}

impl Stored {
    fn row(&self) -> Row<'_> {
        Row {
            opening: Uuid::from_u128(7),
            version: self.version,
            from: self.from,
            to: self.to,
            event: &self.event,
            source: "api",
            inbox_id: None,
            at: began(),
            detail: None,
        }
    }
}

fn key() -> HistoryKey {
    HistoryKey::new(&[7; 32])
}

/// A history of so many rows.
fn history(rows: usize) -> Vec<Stored> {
    let mut previous: Option<Hash> = None;
    let mut from = None;
    let mut table = Vec::new();
    for (to, version) in STATES.into_iter().zip(1..).take(rows) {
        let mut row = Stored { version, from, to, event: format!("event {version}"), hash: Vec::new() };
        let hash = key().link(previous.as_ref(), &row.row());
        row.hash = hash.to_vec();
        (previous, from) = (Some(hash), Some(to));
        table.push(row);
    }
    table
}

/// The findings in `table` against the anchor of `real`.
fn found(real: &[Stored], table: &[Stored]) -> Vec<Finding> {
    let last = real.last().unwrap();
    let anchor = Anchor { state: last.to, version: last.version, head: &last.hash };
    let mut table = table.to_vec();
    table.sort_by(|a, b| (a.version, &a.hash).cmp(&(b.version, &b.hash)));
    let links: Vec<Link<'_>> = table.iter().map(|it| Link { row: it.row(), hash: &it.hash }).collect();
    verify(&key(), Uuid::from_u128(7), Some(&anchor), &links)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn p22_every_forgery_is_found_where_it_begins(
        rows in 1..=6_usize, at in 0..6_usize, other in 0..6_usize, kind in 0..6, junk in any::<[u8; 32]>(),
    ) {
        let real = history(rows);
        let (at, other) = (at % rows, other % rows);
        let mut forged = real.clone();
        match kind {
            0 => forged[at].event.push('x'),
            1 => forged[at].hash = junk.to_vec(),
            2 => drop(forged.remove(at)),
            3 => forged.truncate(at),
            4 => forged.push(Stored { version: real[at].version, hash: junk.to_vec(), ..real[other].clone() }),
            _ => {
                forged.swap(at, other);
                (forged[at].version, forged[other].version) = (real[at].version, real[other].version);
            }
        }
        let findings = found(&real, &forged);
        prop_assert_eq!(findings.is_empty(), forged == real, "{:?}", findings);
        if let Some(first) = findings.first() {
            prop_assert_eq!(first.version, real[if kind == 5 { at.min(other) } else { at }].version, "{:?}", findings);
        }
    }

    /// Versions and hashes may hold any value: a finding, and no panic.
    #[test]
    fn p22_rows_of_any_shape_are_told_of(
        rows in proptest::collection::vec((any::<i64>(), 0..6_usize, proptest::collection::vec(any::<u8>(), 0..40)), 1..9),
        anchored in any::<i64>(),
    ) {
        let row = |(version, to, hash): (i64, usize, Vec<u8>)| {
            Stored { version, from: None, to: STATES[to], event: String::new(), hash }
        };
        let forged: Vec<Stored> = rows.into_iter().map(row).collect();
        let real = [Stored { version: anchored, ..history(1).remove(0) }];
        prop_assert!(!found(&real, &forged).is_empty());
    }
}

#[test]
fn p22_a_history_of_any_length_is_clean() {
    for rows in 1..=6 {
        assert_eq!(found(&history(rows), &history(rows)), []);
    }
}

#[test]
fn p22_a_head_is_compared_to_what_is_left() {
    let head = Head { opening: Uuid::from_u128(7), version: 3, hash: [1; 32] };
    let flaw = |anchored, hash: Option<&[u8]>| compare(&head, anchored, hash).map(|it| it.flaw);
    assert_eq!(flaw(true, Some(&[1; 32])), None);
    assert_eq!(flaw(true, Some(&[2; 32])), Some(Flaw::AnotherHead));
    assert_eq!(flaw(true, None), Some(Flaw::HeadGone));
    assert_eq!(flaw(false, None), Some(Flaw::Removed));
}
