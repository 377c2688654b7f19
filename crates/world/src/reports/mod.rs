//! The bank's files: the register of its requests, the charges for them, and the statement of the account that pays, as the
//! service's operators upload them.
//!
//! All are written over the bank's own ledger, never over what the service holds. With divergences, a [`Plan`] says what
//! reconciliation must find: each expects exactly one mismatch, or one row of its class. The same requests, seed and [`Ask`]
//! give the same bytes.

mod charges;
mod deal;
mod divergence;
mod entry;
mod line;
mod prices;
mod register;
pub(crate) mod routes;
mod sheet;
mod statement;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use chrono::{SecondsFormat, TimeDelta};
use clock::Time;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::banks::Bank;

pub use divergence::{File, Kind};
pub use entry::Entry;
pub use prices::PRICE_LIST;

/// How much the files differ from what the service holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Divergences {
    /// Only what the openings' own plans make different.
    #[default]
    None,
    /// A few of every kind.
    Quota,
    /// Every account has another IBAN: the service must hold the register.
    Many,
}

/// Which files are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Inclusive.
    pub from: Time,
    /// Exclusive.
    pub until: Time,
    /// The files show the statuses of this moment.
    pub as_of: Time,
    pub divergences: Divergences,
    /// The moment by which divergences are dealt: later files with the same one have the same divergences.
    pub dealt_at: Time,
    /// A later edition, in which wrong amounts are right.
    pub revised: bool,
    /// A second file of charges over the same period: some lines again, some with another text.
    pub again: bool,
    /// The file breaks off in its middle.
    pub cut: bool,
    /// The service's `RECON_WINDOW`: some divergences lie well inside, some well outside of it.
    pub recon_window: TimeDelta,
    /// The service's `CHARGE_WINDOW`.
    pub charge_window: TimeDelta,
}

impl Ask {
    /// Clean, complete files of a period, as of its end.
    #[must_use]
    pub const fn clean(from: Time, until: Time) -> Self {
        Self {
            from,
            until,
            as_of: until,
            divergences: Divergences::None,
            dealt_at: until,
            revised: false,
            again: false,
            cut: false,
            recon_window: TimeDelta::hours(24),
            charge_window: TimeDelta::days(45),
        }
    }

    fn header(&self, kind: &str) -> [String; 7] {
        let [from, until, as_of] = [self.from, self.until, self.as_of].map(stamp);
        ["HEADER".to_owned(), kind.to_owned(), Bank::REPORTING.name().to_owned(), "1".to_owned(), from, until, as_of]
    }

    /// How many of its rows a file has.
    const fn kept(&self, rows: usize) -> usize {
        if self.cut { rows / 2 } else { rows }
    }

    /// Whether this edition has the divergence.
    const fn shows(&self, kind: Kind) -> bool {
        kind.is_overlap() == self.again && !(self.revised && kind.is_corrected())
    }
}

/// The files, and what they must lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Books {
    pub register: String,
    pub charges: String,
    /// camt.053
    pub bank: String,
    pub plan: Plan,
}

/// The results that reconciliation must find in the files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    pub seed: u64,
    pub from: Time,
    pub until: Time,
    pub as_of: Time,
    /// Without a trailer: no absences and no sums are checked.
    pub complete: bool,
    /// Rows between the columns' names and the trailer.
    pub rows: BTreeMap<File, usize>,
    /// The charges' sums by currency, without settlements.
    pub sums: BTreeMap<String, Decimal>,
    pub divergences: Vec<Expected>,
}

/// A divergence, and the mismatch that it must become, or the class of its row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expected {
    pub kind: Kind,
    pub file: File,
    pub class: &'static str,
    /// The states in which the mismatch may be. None: its rows have the class, and there is no mismatch.
    pub states: &'static [&'static str],
    /// Its class once its window is over.
    pub becomes: Option<&'static str>,
    /// The physical lines of its rows; none where a row is missing.
    pub lines: Vec<usize>,
    /// The tracking id, line id or settlement id.
    pub key: String,
    /// The opening.
    pub reference: Option<String>,
}

/// Collects what is expected while the files are written.
#[derive(Debug, Default)]
struct Marks(Vec<Expected>);

impl Marks {
    /// Adds a divergence; returns its mark, for its lines.
    fn add(&mut self, kind: Kind, key: &str, entry: Option<&Entry>) -> usize {
        let rule = kind.rule();
        self.0.push(Expected {
            kind,
            file: rule.file,
            class: rule.class,
            states: rule.states,
            becomes: rule.becomes,
            lines: Vec::new(),
            key: key.to_owned(),
            reference: entry.map(|it| it.request.reference.clone()),
        });
        self.0.len() - 1
    }

    fn line(&mut self, mark: Option<usize>, line: usize) {
        if let Some(expected) = mark.and_then(|mark| self.0.get_mut(mark)) {
            expected.lines.push(line);
        }
    }

    /// The divergences that the files show. A file without its end shows no absence, and no conflict with a lost row.
    fn found(self, ask: &Ask) -> Vec<Expected> {
        let is_there = |it: &Expected| match it.kind {
            Kind::TooMany => true,
            Kind::Conflicting | Kind::ConflictingLines => it.lines.len() == 2,
            kind if kind.is_absence() || it.file == File::Bank => !ask.cut,
            _ => !it.lines.is_empty(),
        };
        self.0.into_iter().filter(|it| ask.shows(it.kind) && is_there(it)).collect()
    }

    /// How many rows of the register are cases.
    fn cases(&self) -> usize {
        let written = self.0.iter().filter(|it| it.file == File::Register && !it.lines.is_empty());
        written.map(|it| it.kind.rule().weight).sum()
    }
}

/// Writes the files over these requests, which are in the order in which they were made.
#[must_use]
pub fn write(entries: &[Entry], seed: u64, ask: &Ask) -> Books {
    let dealt = deal::deal(entries, seed, ask);
    let mut marks = Marks::default();
    let (register, requests) = register::write(entries, &dealt, seed, ask, &mut marks);
    let (charges, lines, sums) = charges::write(entries, &dealt, seed, ask, &mut marks);
    let settlements: Vec<_> = lines.iter().filter(|line| line.kind == "settlement").cloned().collect();
    let (bank, payments) = statement::write(&settlements, &dealt, seed, ask, &mut marks);
    let lines = lines.len();
    if ask.divergences == Divergences::Many && marks.cases() > deal::allowed(requests) {
        // A held file has no effect beside the one mismatch that says so.
        marks = Marks::default();
        marks.add(Kind::TooMany, "register", None);
    }
    let plan = Plan {
        seed,
        from: ask.from,
        until: ask.until,
        as_of: ask.as_of,
        complete: !ask.cut,
        rows: BTreeMap::from([(File::Register, requests), (File::Charges, lines), (File::Bank, payments)]),
        sums,
        divergences: marks.found(ask),
    };
    Books { register, charges, bank, plan }
}

/// A time in the files.
fn stamp(time: Time) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
