//! The hash chain (P22): a history always has the same links, and any change breaks one.

use proptest::prelude::*;

use super::*;
use crate::domain::chain::{Hash, HistoryKey, Row};

/// A row that owns its strings.
#[derive(Clone, Debug, PartialEq)]
struct Owned {
    opening: u128,
    version: i64,
    from: Option<String>,
    to: String,
    event: String,
    source: String,
    inbox_id: Option<u128>,
    at: i64,
    detail: Option<String>,
}

impl Owned {
    fn row(&self) -> Row<'_> {
        Row {
            opening: Uuid::from_u128(self.opening),
            version: self.version,
            from: self.from.as_deref(),
            to: &self.to,
            event: &self.event,
            source: &self.source,
            inbox_id: self.inbox_id.map(Uuid::from_u128),
            at: Time::from_timestamp_micros(self.at).unwrap(),
            detail: self.detail.as_deref(),
        }
    }
}

fn key() -> HistoryKey {
    HistoryKey::new(&std::array::from_fn(|n| u8::try_from(n).unwrap()))
}

/// The table's content: each row with its link.
fn linked(rows: &[Owned]) -> Vec<(Owned, Hash)> {
    let mut previous = None;
    let mut link = |row: &Owned| {
        let hash = key().link(previous.as_ref(), &row.row());
        previous = Some(hash);
        (row.clone(), hash)
    };
    rows.iter().map(&mut link).collect()
}

/// The verifier's check: recompute every link, and compare the last one with the anchor's.
fn holds(table: &[(Owned, Hash)], head: Hash) -> bool {
    let rows: Vec<Owned> = table.iter().map(|(row, _)| row.clone()).collect();
    let stored = table.iter().map(|(_, hash)| *hash);
    linked(&rows).into_iter().map(|(_, hash)| hash).eq(stored) && table.last().map(|(_, hash)| *hash) == Some(head)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-c]{1,3}", "\\PC{0,8}"]
}

fn history() -> impl Strategy<Value = Vec<Owned>> {
    let fields = (
        proptest::option::of(text()),
        text(),
        text(),
        text(),
        proptest::option::of(any::<u128>()),
        0..4_000_000_000_000_000_i64,
        proptest::option::of(text()),
    );
    proptest::collection::vec(fields, 2..8).prop_map(|rows| {
        let owned = |(n, (from, to, event, source, inbox_id, at, detail)): (usize, _)| {
            let version = i64::try_from(n).unwrap() + 1;
            Owned { opening: 7, version, from, to, event, source, inbox_id, at, detail }
        };
        rows.into_iter().enumerate().map(owned).collect()
    })
}

/// Each field in turn, changed minimally.
fn edits(row: &Owned) -> Vec<Owned> {
    let longer = |text: &str| format!("{text}x");
    // Absent, empty and a letter are three different things.
    let other = |text: &Option<String>| match text.as_deref() {
        Some("") => None,
        None | Some(_) => Some(String::new()),
    };
    vec![
        Owned { opening: row.opening ^ 1, ..row.clone() },
        Owned { version: row.version + 1, ..row.clone() },
        Owned { from: other(&row.from), ..row.clone() },
        Owned { to: longer(&row.to), ..row.clone() },
        Owned { event: longer(&row.event), ..row.clone() },
        Owned { source: longer(&row.source), ..row.clone() },
        Owned { inbox_id: row.inbox_id.map_or(Some(0), |_| None), ..row.clone() },
        Owned { at: row.at + 1, ..row.clone() },
        Owned { detail: other(&row.detail), ..row.clone() },
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn p22_any_edit_swap_insertion_or_deletion_breaks_the_chain(rows in history()) {
        let table = linked(&rows);
        let head = table.last().unwrap().1;
        prop_assert!(holds(&table, head));
        for n in 0..table.len() {
            for edited in edits(&table[n].0) {
                let mut forged = table.clone();
                forged[n].0 = edited;
                prop_assert!(!holds(&forged, head), "edited {n}: {:?}", forged[n].0);
            }
            let mut forged = table.clone();
            forged[n].1[31] ^= 1;
            prop_assert!(!holds(&forged, head), "another link at {n}");
            let mut forged = table.clone();
            forged.remove(n);
            prop_assert!(!holds(&forged, head), "deleted {n}");
            let mut forged = table.clone();
            forged.insert(n, table[n].clone());
            prop_assert!(!holds(&forged, head), "inserted a copy at {n}");
            let mut forged = table.clone();
            forged.truncate(n);
            prop_assert!(!holds(&forged, head), "truncated to {n}");
            for m in n + 1..table.len() {
                let mut forged = table.clone();
                forged.swap(n, m);
                prop_assert!(!holds(&forged, head), "swapped {n} and {m}");
                let (row, other) = (forged[n].0.clone(), forged[m].0.clone());
                forged[n].0 = other;
                forged[m].0 = row;
                prop_assert!(!holds(&forged, head), "swapped the links of {n} and {m}");
            }
        }
    }

    /// An attacker without the key cannot link a forged row.
    #[test]
    fn p22_another_key_gives_other_links(rows in history(), byte in 0..32_usize) {
        let mut bytes = std::array::from_fn(|n| u8::try_from(n).unwrap());
        bytes[byte] ^= 0x80;
        prop_assert_ne!(HistoryKey::new(&bytes).link(None, &rows[0].row()), key().link(None, &rows[0].row()));
    }
}

/// HMAC-SHA256 over the documented bytes, computed outside this crate: a stored history stays verifiable.
#[test]
fn p22_the_links_of_a_known_history_never_change() {
    let at = began().timestamp_micros();
    let text = |text: &str| text.to_owned();
    let first = Owned {
        opening: 1,
        version: 1,
        from: None,
        to: text("creating_profile"),
        event: text("started"),
        source: text("api"),
        inbox_id: None,
        at,
        detail: None,
    };
    let second = Owned {
        version: 2,
        from: Some(text("creating_profile")),
        to: text("requesting_account"),
        event: text("profile_created"),
        source: text("command"),
        inbox_id: Some(1001),
        at: at + 1,
        detail: Some(text("né")),
        ..first.clone()
    };
    let links: Vec<String> = linked(&[first, second]).iter().map(|(_, hash)| hex::encode(hash)).collect();
    assert_eq!(
        links,
        [
            "1a743b2283831412aa21b2970817f3e6abf7e59b805965d4c7b11c6d83ad49a7",
            "848de08a545265161d7aab5ea63813be9fb8233c1cbfc4b4bed59a0ffe243ff2",
        ]
    );
}

#[test]
fn p22_text_cannot_move_from_one_field_to_the_next() {
    let split = |event: &str, source: &str| Row {
        opening: Uuid::nil(),
        version: 1,
        from: None,
        to: "completed",
        event: event.to_owned().leak(),
        source: source.to_owned().leak(),
        inbox_id: None,
        at: began(),
        detail: None,
    };
    let link = |row: &Row<'_>| key().link(None, row);
    assert_ne!(link(&split("ab", "c")), link(&split("a", "bc")));
    assert_ne!(link(&split("abc", "")), link(&split("", "abc")));
    // The same if the text contains the byte that marks a field.
    assert_ne!(link(&split("a\u{1}b", "c")), link(&split("a", "b\u{1}c")));
    let (absent, empty) = (split("a", "b"), Row { detail: Some(""), ..split("a", "b") });
    assert_ne!(link(&absent), link(&empty));
    assert_ne!(link(&Row { from: Some(""), ..absent }), link(&empty));
}

/// The written row carries the step's values.
#[test]
fn a_step_becomes_the_row_of_its_columns() {
    let before = opening(StateName::AwaitingProvider);
    let decision = decide(&before, &event(3, unanswered(before.deadline_at)), &Policy::default(), before.deadline_at);
    let row = Row::of(before.id, &decision.steps[0]);
    assert_eq!((row.opening, row.version, row.from, row.to), (before.id.0, 4, Some("awaiting_provider"), "escalated"));
    assert_eq!((row.event, row.source), ("provider_polled", "poll"));
    assert_eq!((row.inbox_id, row.at), (Some(Uuid::from_u128(1003)), before.deadline_at));
    assert_eq!(row.detail, decision.steps[0].detail.as_deref());
}
