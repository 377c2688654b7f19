//! What the checker found: violations with where they are, what makes the run invalid, and the run in numbers.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Moment;
use super::measures::{Count, Load, Strikes};
use crate::record::Fault;

/// Located examples kept of each kind; the count goes on.
const EXAMPLES: usize = 10;

/// A kind of violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Acknowledged or made, and not there.
    Lost,
    /// There, and never sent, asked for or made.
    Unexpected,
    /// Made, opened or applied twice.
    DoubleEffects,
    /// Another answer than the outside world's.
    WrongAnswers,
    /// Steps outside the table; readings that went backwards.
    IllegalTransitions,
    /// A history that somebody edited.
    BrokenChains,
    /// Parts of one commit without the others.
    Atomicity,
    /// Finished by one and again by another.
    SettledTwice,
    /// Events that a reader or the subscriber was never given.
    SkippedEvents,
    /// Work or openings that nobody looks after.
    Stuck,
    /// Dead letters that no ticket explains.
    Dead,
    /// Decided at the bank in time, neither decided nor escalated with us.
    LostDecisions,
    /// More than one ticket of a kind for one opening.
    DoubleTickets,
}

impl Kind {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 13] = [
        Self::Lost,
        Self::Unexpected,
        Self::DoubleEffects,
        Self::WrongAnswers,
        Self::IllegalTransitions,
        Self::BrokenChains,
        Self::Atomicity,
        Self::SettledTwice,
        Self::SkippedEvents,
        Self::Stuck,
        Self::Dead,
        Self::LostDecisions,
        Self::DoubleTickets,
    ];

    /// Its name in JSON.
    pub fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|it| it.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// One violation, with where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Violation {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opening: Option<String>,
    /// The Idempotency-Key, of a caller or of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_id: Option<String>,
    pub what: String,
    pub expected: String,
    pub found: String,
}

impl Violation {
    pub fn of(what: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { what: what.into(), expected: expected.into(), found: found.into(), ..Self::default() }
    }

    pub fn opening(mut self, id: impl Into<String>) -> Self {
        self.opening = Some(id.into());
        self
    }

    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    pub fn webhook(mut self, id: impl Into<String>) -> Self {
        self.webhook_id = Some(id.into());
        self
    }
}

/// The violations of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    pub count: u64,
    /// The first of them.
    pub examples: Vec<Violation>,
}

/// What a check comes to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub moment: Moment,
    /// Why the run proves nothing, whatever was found. Empty: it is valid.
    pub invalid: Vec<String>,
    pub total: u64,
    pub found: BTreeMap<Kind, Found>,
    pub acked: Count,
    /// Requests with no answer, or one of 5xx: either may be true of them.
    pub unknown: Count,
    /// Requests refused with 4xx that were no forgeries.
    pub refused: Count,
    /// Openings by state.
    pub states: BTreeMap<String, u64>,
    /// Dead letters by queue and cause, explained ones too.
    pub dead_letters: BTreeMap<String, u64>,
    pub tickets: BTreeMap<String, u64>,
    pub cases: BTreeMap<String, u64>,
    pub faults: BTreeMap<Fault, Strikes>,
    /// Events given to each reader.
    pub readers: BTreeMap<usize, u64>,
    pub load: Load,
    /// Openings of a restored database for which something had been made since its dump.
    pub again: u64,
}

impl Report {
    pub fn new(moment: Moment) -> Self {
        Self {
            moment,
            invalid: Vec::new(),
            total: 0,
            found: Kind::ALL.into_iter().map(|kind| (kind, Found::default())).collect(),
            acked: Count::default(),
            unknown: Count::default(),
            refused: Count::default(),
            states: BTreeMap::new(),
            dead_letters: BTreeMap::new(),
            tickets: BTreeMap::new(),
            cases: BTreeMap::new(),
            faults: BTreeMap::new(),
            readers: BTreeMap::new(),
            load: Load::default(),
            again: 0,
        }
    }

    /// How many violations were found, of all kinds.
    pub const fn violations(&self) -> u64 {
        self.total
    }

    /// Whether there is a violation of one of these kinds.
    pub fn shows(&self, kinds: &[Kind]) -> bool {
        kinds.iter().any(|kind| self.found.get(kind).is_some_and(|found| found.count > 0))
    }

    pub fn add(&mut self, kind: Kind, violation: Violation) {
        self.total += 1;
        let found = self.found.entry(kind).or_default();
        found.count += 1;
        if found.examples.len() < EXAMPLES {
            found.examples.push(violation);
        }
    }
}
