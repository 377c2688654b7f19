//! The judge of a chaos run: compares what the load saw, what the outside world did and what the database contains.
//!
//! The judge uses none of the service's code. The promises are implemented here a second time, so that a bug of the service is
//! not repeated here.
//!
//! The three files are taken in order: first the length of the history, then the database in one snapshot, then the
//! ledger. So everything in the history precedes the dump, and everything in the dump is in the ledger. Conditions that
//! a correct service may violate for a moment are checked only after the run has drained.

mod answered;
mod answers;
mod atomicity;
mod chain;
mod csv;
mod dead;
mod doubles;
mod dump;
mod durability;
mod facts;
mod ledger;
mod lines;
mod load;
mod measures;
mod reads;
mod report;
mod reports;
mod restored;
mod rules;
mod seen;
mod settled;
mod show;
mod steps;
mod strikes;
mod stuck;
mod telling;
#[cfg(test)]
mod tests;
mod tickets;

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::path::Path;

use serde::Serialize;

use self::dump::Dump;
use self::ledger::Ledger;
pub use self::report::{Kind, Report};
use self::seen::Seen;
use crate::provider::Bank;

pub struct Inputs<'a> {
    pub history: &'a Path,
    /// The outside world's ledger.
    pub ledger: &'a Path,
    pub dump: &'a Path,
    /// The key of the history's hash chain.
    pub history_key: [u8; 32],
    /// When the dump was taken.
    pub moment: Moment,
}

/// When the dump was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// During the run: only conditions that must always hold are checked.
    Running,
    /// After the faults stopped and the backlog drained: everything is checked.
    Drained,
    /// The same after the database was restored from a dump: data acknowledged after the dump is not checked.
    Restored,
}

struct Run {
    seen: Seen,
    ledger: Ledger,
    dump: Dump,
    drained: bool,
    /// The database was restored from a dump: facts seen after the dump may be missing.
    restored: bool,
    history_key: [u8; 32],
}

impl Run {
    /// The name of the bank.
    fn bank(&self) -> &str {
        self.seen.plan.as_ref().map_or(Bank::default().name(), |plan| plan.provider.as_str())
    }

    /// Whether a fact came as a message of the bank.
    fn is_webhook(&self, fact: &dump::Fact) -> bool {
        fact.consumer_group.strip_prefix("webhook:") == Some(self.bank())
    }

    /// Whether a fact is about an opening that was lost with the restore: it cannot be decided.
    fn is_gone(&self, fact: &dump::Fact) -> bool {
        let is_held = |id: &String| self.dump.anchors.contains_key(id);
        self.restored && !fact.opening_id.as_ref().is_some_and(is_held)
    }
}

/// Judges a run.
///
/// # Errors
/// If a file cannot be opened or read. Problems inside a file make the report invalid instead.
pub fn check(inputs: &Inputs<'_>) -> anyhow::Result<Report> {
    let growing = inputs.moment == Moment::Running;
    let (seen, mut broken) = Seen::read(inputs.history, growing)?;
    let (ledger, more) = Ledger::read(inputs.ledger, growing)?;
    broken.extend(more);
    let (dump, more) = Dump::read(inputs.dump)?;
    broken.extend(more);
    let restored = inputs.moment == Moment::Restored;
    let run = Run { seen, ledger, dump, drained: !growing, restored, history_key: inputs.history_key };
    let mut report = Report::new(inputs.moment);
    report.invalid = broken;
    judge(&run, &mut report);
    Ok(report)
}

fn judge(run: &Run, report: &mut Report) {
    if run.restored {
        restored::check(run, report);
    } else {
        load::measure(run, report);
        strikes::count(run, report);
        answered::check(run, report);
        reads::check(run, report);
    }
    durability::check(run, report);
    doubles::check(run, report);
    answers::check(run, report);
    steps::check(run, report);
    chain::check(run, report);
    atomicity::check(run, report);
    facts::check(run, report);
    tickets::check(run, report);
    settled::check(run, report);
    telling::check(run, report);
    dead::check(run, report);
    stuck::check(run, report);
    reports::check(run, report);
}

/// Groups rows by a key.
fn grouped<'a, T, K: Hash + Eq>(rows: &'a [T], key: impl Fn(&'a T) -> K) -> HashMap<K, Vec<&'a T>> {
    let mut groups: HashMap<K, Vec<&'a T>> = HashMap::new();
    for row in rows {
        groups.entry(key(row)).or_default().push(row);
    }
    groups
}

/// Counts rows by word.
fn tally<'a>(words: impl Iterator<Item = &'a str>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    counts
}

/// An optional value, for people.
fn or_none(value: Option<&str>) -> &str {
    value.unwrap_or("none")
}
