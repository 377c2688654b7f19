//! The fuzz targets on their seeds, and on mutations of them: they compile, they hold, and each seed is there for a reason.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::{Index, select};

#[path = "../../fuzz/checks.rs"]
mod checks;

/// Mutated inputs for each target; the fuzzer itself tries millions.
const CASES: u32 = 2_000;

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 7] = [
    ("signature", checks::signature),
    ("webhook", checks::webhook),
    ("iban", checks::iban),
    ("answer", checks::answer),
    ("csv", checks::csv),
    ("camt", checks::camt),
    ("number", checks::number),
];

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = std::fs::read_dir(folder).unwrap();
    let seeds: Vec<Vec<u8>> = files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(seeds.len() >= 10, "{target} has {} seeds", seeds.len());
    seeds
}

#[derive(Clone, Debug)]
enum Change {
    Replace(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    Cut(Index),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let at = |index: &Index| index.index(bytes.len() + 1);
        match self {
            Self::Replace(index, byte) => {
                let at = at(index);
                bytes.splice(at..bytes.len().min(at + 1), [*byte]);
            }
            Self::Insert(index, new) => {
                let at = at(index);
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Remove(index, length) => {
                let at = at(index);
                bytes.drain(at..bytes.len().min(at + length));
            }
            Self::Repeat(index, length) => {
                let at = at(index);
                let part = bytes[at..bytes.len().min(at + length)].to_vec();
                bytes.splice(at..at, part);
            }
            Self::Cut(index) => bytes.truncate(at(index)),
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let words: Vec<&[u8]> = vec![
        b"\"",
        b"\\u0000",
        b"\\ud800",
        b"null",
        b"1e200000",
        b"{",
        b"[",
        b",",
        b"\n",
        b"\0",
        b"\xff",
        b"=",
        b" ",
        b"9",
    ];
    let new = prop_oneof![select(words).prop_map(<[u8]>::to_vec), prop::collection::vec(any::<u8>(), 1..4)];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        (any::<Index>(), new).prop_map(|(at, new)| Change::Insert(at, new)),
        (any::<Index>(), 1_usize..40).prop_map(|(at, length)| Change::Remove(at, length)),
        (any::<Index>(), 1_usize..40).prop_map(|(at, length)| Change::Repeat(at, length)),
        any::<Index>().prop_map(Change::Cut),
    ]
}

#[test]
fn every_seed_holds() {
    for (name, check) in TARGETS {
        for seed in seeds(name) {
            check(&seed);
        }
    }
}

#[test]
fn a_seed_with_a_few_changes_holds_too() {
    for (name, check) in TARGETS {
        let inputs = (select(seeds(name)), prop::collection::vec(change(), 1..6));
        let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
        let run = proptest::test_runner::TestRunner::new(config).run(&inputs, |(mut bytes, changes)| {
            for change in &changes {
                change.apply(&mut bytes);
            }
            check(&bytes);
            Ok(())
        });
        run.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
