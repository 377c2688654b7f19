//! The checker's result: violations with their place, reasons why the run is invalid, and its numbers.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Moment;
use super::measures::{Count, Load, Strikes};
use crate::record::Fault;

/// Examples kept per kind; all are counted.
const EXAMPLES: usize = 10;

/// A kind of violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Acknowledged or made, but missing.
    Lost,
    /// Present, but never sent, requested or made.
    Unexpected,
    /// Made, opened or applied twice.
    DoubleEffects,
    /// Another answer than the outside world's.
    WrongAnswers,
    /// Illegal transitions; readings that went backwards.
    IllegalTransitions,
    /// An edited history.
    BrokenChains,
    /// A partial commit.
    Atomicity,
    /// Settled by two workers.
    SettledTwice,
    /// Events that a reader or the subscriber never received.
    SkippedEvents,
    /// Work or openings that no worker will process.
    Stuck,
    /// Dead letters without a ticket.
    Dead,
    /// Decided at the bank in time, but neither decided nor escalated in the service.
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

/// A violation, with where it is.
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

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub moment: Moment,
    /// Why the run proves nothing, regardless of violations. Empty: it is valid.
    pub invalid: Vec<String>,
    pub total: u64,
    pub found: BTreeMap<Kind, Found>,
    pub acked: Count,
    /// Requests without an answer or with 5xx, which may or may not have taken effect.
    pub unknown: Count,
    /// Valid requests refused with 4xx.
    pub refused: Count,
    pub states: BTreeMap<String, u64>,
    /// Dead letters by queue and cause, including explained ones.
    pub dead_letters: BTreeMap<String, u64>,
    pub tickets: BTreeMap<String, u64>,
    pub cases: BTreeMap<String, u64>,
    pub faults: BTreeMap<Fault, Strikes>,
    /// Events received by each reader.
    pub readers: BTreeMap<usize, u64>,
    pub load: Load,
    /// Openings of a restored database with effects made after its dump.
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
