//! The output: a line per finding, a summary, and progress.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::app::verify::Totals;
use crate::domain::verify::Finding;

/// The interval of progress lines.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

pub(super) struct Report {
    json: bool,
    findings: u64,
    heads: Option<usize>,
    totals: Totals,
    told: Instant,
}

impl Report {
    pub fn new(json: bool) -> Self {
        Self { json, findings: 0, heads: None, totals: Totals::default(), told: Instant::now() }
    }

    pub fn finding(&mut self, finding: &Finding) {
        self.findings += 1;
        if self.json {
            let object = json!({
                "opening_id": finding.opening,
                "version": finding.version,
                "what": finding.flaw.name(),
                "detail": finding.flaw.to_string(),
            });
            println!("{object}");
        } else {
            println!("{finding}");
        }
    }

    pub const fn findings(&self) -> u64 {
        self.findings
    }

    pub fn progress(&mut self, so_far: &Totals) {
        if self.told.elapsed() >= SIGN_OF_LIFE {
            self.told = Instant::now();
            eprintln!("{} histories read, {} findings so far", so_far.openings, self.findings);
        }
    }

    pub const fn totals(&mut self, totals: Totals) {
        self.totals = totals;
    }

    pub fn compared(&mut self, heads: usize) {
        *self.heads.get_or_insert(0) += heads;
    }

    /// Prints the summary. Returns an error if there are findings.
    pub fn finish(self) -> anyhow::Result<()> {
        if self.json {
            let object = json!({
                "openings": self.totals.openings,
                "rows": self.totals.rows,
                "heads": self.heads,
                "findings": self.findings,
            });
            println!("{object}");
        } else {
            let heads = self.heads.map(|it| format!(", {it} exported heads compared")).unwrap_or_default();
            let Totals { openings, rows, .. } = self.totals;
            println!("{openings} histories with {rows} rows verified{heads}: {} findings", self.findings);
        }
        anyhow::ensure!(self.findings == 0, "{} findings, listed on standard output", self.findings);
        Ok(())
    }
}
