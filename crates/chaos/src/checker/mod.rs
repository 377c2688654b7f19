//! The judge of a chaos run: reads what the load saw, what the outside world did and what the database held, and says what
//! does not agree.
//!
//! It uses none of the service's code. What the service promises is written here a second time, from the promises and the
//! design, so that a mistake there is not repeated here.
//!
//! The three files are taken one after the other: the length of the history first, then the database in one snapshot, then
//! the ledger. So what the load knows is older than the dump, and what the dump knows stands in the ledger. What could be
//! wrong for a moment in a service that is right is judged only when the run has drained.

mod answered;
mod answers;
mod atomicity;
mod chain;
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

/// What is judged.
pub struct Inputs<'a> {
    /// What the load did and saw.
    pub history: &'a Path,
    /// What the outside world did.
    pub ledger: &'a Path,
    /// What the database held.
    pub dump: &'a Path,
    /// The key of the history's chain.
    pub history_key: [u8; 32],
    /// When the dump was taken.
    pub moment: Moment,
}

/// When the dump was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// In the middle of it: judged is only what may never be wrong.
    Running,
    /// When the faults had stopped and the backlog had drained: judged is everything.
    Drained,
    /// The same after the database was taken back to a dump of its past: not judged is what was acknowledged since.
    Restored,
}

/// What was read.
struct Run {
    seen: Seen,
    ledger: Ledger,
    dump: Dump,
    drained: bool,
    /// The database was restored from a dump: facts that the load saw after the dump may be missing.
    restored: bool,
    history_key: [u8; 32],
}

impl Run {
    /// Whether a fact is about an opening that went with what came after the dump: nothing can be made of it.
    fn is_gone(&self, fact: &dump::Fact) -> bool {
        let is_held = |id: &String| self.dump.anchors.contains_key(id);
        self.restored && !fact.opening_id.as_ref().is_some_and(is_held)
    }
}

/// Judges a run.
///
/// # Errors
/// When a file cannot be opened or read. What is wrong inside a file makes the report invalid instead.
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
}

/// Rows by what they have in common.
fn grouped<'a, T, K: Hash + Eq>(rows: &'a [T], key: impl Fn(&'a T) -> K) -> HashMap<K, Vec<&'a T>> {
    let mut groups: HashMap<K, Vec<&'a T>> = HashMap::new();
    for row in rows {
        groups.entry(key(row)).or_default().push(row);
    }
    groups
}

/// How many rows there are of each word.
fn tally<'a>(words: impl Iterator<Item = &'a str>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    counts
}

/// A value that may be missing, for people.
fn or_none(value: Option<&str>) -> &str {
    value.unwrap_or("none")
}
