//! The figures of all rounds, as a table.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::setting::Outcome;
use crate::stats::{Figure, Figures, Spread};

const SPEED: [(Figure, &str); 6] = [
    (Figure::Acknowledged, "acknowledged/s"),
    (Figure::Applied, "applied/s"),
    (Figure::P50, "ack p50, ms"),
    (Figure::P99, "ack p99, ms"),
    (Figure::P999, "ack p99.9, ms"),
    (Figure::ToApplied, "ack to applied p99, ms"),
];
const COST: [(Figure, &str); 8] = [
    (Figure::ServiceCpu, "CPU of the service, µs"),
    (Figure::PostgresCpu, "of Postgres, µs"),
    (Figure::LoadCpu, "of the load, µs"),
    (Figure::OthersCpu, "of others, µs"),
    (Figure::Wal, "WAL, bytes"),
    (Figure::Written, "written, bytes"),
    (Figure::Memory, "peak memory, MB"),
    (Figure::NotTaken, "not taken"),
];

/// All rounds of each row, in the order in which the rows are shown.
#[derive(Default)]
pub struct Results {
    rows: Vec<String>,
    figures: BTreeMap<String, Vec<Figures>>,
    wrong: usize,
}

impl Results {
    /// Tells what was not as it must be.
    pub fn judge(&mut self, what: &str, wrong: &[String]) {
        for wrong in wrong {
            eprintln!("WRONG: {what}: {wrong}");
        }
        self.wrong += wrong.len();
    }

    /// Adds what one phase came to, and tells of it.
    pub fn add(&mut self, round: u32, row: &str, (figures, wrong): Outcome) {
        let at = |figure| figures.get(&figure).copied().unwrap_or_default();
        let (acknowledged, applied) = (at(Figure::Acknowledged), at(Figure::Applied));
        eprintln!("round {round}: {row}: {acknowledged:.0} acknowledged/s, {applied:.0} applied/s");
        self.judge(row, &wrong);
        if !self.rows.iter().any(|it| it == row) {
            self.rows.push(row.to_owned());
        }
        self.figures.entry(row.to_owned()).or_default().push(figures);
    }

    /// Whether nothing was wrong so far.
    pub const fn all_right(&self) -> bool {
        self.wrong == 0
    }

    pub fn spread(&self, row: &str, figure: Figure) -> Option<Spread> {
        Spread::of(self.figures.get(row)?.iter().filter_map(|it| it.get(&figure).copied()))
    }

    /// Speed, and what each webhook cost: medians, with least and most.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for columns in [&SPEED[..], &COST] {
            let mut lines = vec![vec![String::new()]];
            lines[0].extend(columns.iter().map(|(_, name)| (*name).to_owned()));
            for row in &self.rows {
                let cell =
                    |(figure, _): &(Figure, &str)| self.spread(row, *figure).map_or("-".into(), |it| it.to_string());
                lines.push(std::iter::once(row.clone()).chain(columns.iter().map(cell)).collect());
            }
            text.push_str(&aligned(&lines));
            text.push('\n');
        }
        text
    }
}

/// A Markdown table with columns of one width.
pub fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let width =
        |at: usize| lines.iter().filter_map(|it| it.get(at)).map(|it| it.chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(text, "| {} |", cells.join(" | ")).expect("memory");
        if number == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            writeln!(text, "|-{}-|", rules.join("-|-")).expect("memory");
        }
    }
    text
}
