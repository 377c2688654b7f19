//! Checks a bundle without the database, and performs parsing, classifying and adding again.
//!
//! ```text
//! structure.rs  the zip, the bag, checksums and signature
//! contents.rs   reads the files of the payload line by line
//! again.rs      reads the provider's file again beside rows.jsonl and errors.jsonl
//! keys.rs       rows with the same key
//! kinds.rs      classifies a row again, per kind of report
//! statements.rs the statements of a bank file, and the rows that they leave out
//! books.rs      what follows from ledger.jsonl, charge-lines.jsonl and the price lists
//! trail.rs      mismatches and their steps, openings and their histories
//! ```
//!
//! A flaw never ends the checking of another part: every thing that does not fit is named. Memory is constant but for some ten bytes
//! per row, which tell rows with the same key apart.

mod again;
mod books;
mod contents;
mod keys;
mod kinds;
mod statements;
mod structure;
mod trail;

use std::fs::File;
use std::io;

use serde::Serialize;

use self::contents::Contents;
pub(super) use self::trail::history;
use super::Finding;
use super::lines::{self, FORM, ReportFacts};
use super::opening;
use super::opening::verify::OpeningSummary;
use crate::domain::chain::HistoryKey;
use crate::domain::signature::PublicKey;

/// The result of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub report_id: Option<String>,
    pub provider: Option<String>,
    pub kind: Option<String>,
    /// Of the key that checked the signature.
    pub public_key_sha256: Option<String>,
    /// No key was given: the enclosed one checked the signature.
    pub key_is_enclosed: bool,
    pub files: u64,
    /// Rows that were read and classified again.
    pub rows: u64,
    /// Rows that an erasure overwrote: they keep their digest, and are not read again.
    pub redacted: u64,
    pub findings: u64,
}

/// Passes findings on, and counts them.
pub struct Findings<'f> {
    each: &'f mut dyn FnMut(&Finding),
    count: u64,
}

impl Findings<'_> {
    fn add(&mut self, finding: &Finding) {
        self.count += 1;
        (self.each)(finding);
    }

    pub(super) fn of(&mut self, file: &str, what: impl Into<String>) {
        self.add(&Finding::of(file, what));
    }

    fn at(&mut self, file: &str, line: u64, what: impl Into<String>) {
        self.add(&Finding::at(file, line, what));
    }
}

/// Verifies a bundle with a key, or with the enclosed one.
///
/// # Errors
/// If the file cannot be read.
pub fn verify(file: File, key: Option<&PublicKey>, each: &mut dyn FnMut(&Finding)) -> io::Result<Summary> {
    let mut findings = Findings { each, count: 0 };
    let mut summary = Summary { key_is_enclosed: key.is_none(), ..Summary::default() };
    if let Some(contents) = structure::check(file, key, &mut summary, &mut findings)? {
        check(&contents, &mut summary, &mut findings)?;
    }
    summary.findings = findings.count;
    Ok(summary)
}

/// Verifies the evidence of an opening with a key, or with the enclosed one; with the history's key also its chain.
#[must_use]
pub fn verify_opening(
    bytes: &[u8],
    key: Option<&PublicKey>,
    chain: Option<&HistoryKey>,
    each: &mut dyn FnMut(&Finding),
) -> OpeningSummary {
    let mut findings = Findings { each, count: 0 };
    let mut summary = opening::verify::check(bytes, key, chain, &mut findings);
    summary.findings = findings.count;
    summary
}

fn check(contents: &Contents, summary: &mut Summary, findings: &mut Findings<'_>) -> io::Result<()> {
    let Some(report) = facts(contents, findings)? else { return Ok(()) };
    summary.report_id = Some(report.id.to_string());
    summary.provider = Some(report.provider.clone());
    summary.kind = Some(report.kind.to_string());
    structure::about(contents, &report, findings)?;
    let rows = again::check(contents, &report, findings)?;
    (summary.rows, summary.redacted) = (rows.read, rows.redacted);
    books::check(contents, &report, findings)?;
    trail::check(contents, &report, &rows, findings)
}

/// None: without the report's facts nothing can be performed again.
fn facts(contents: &Contents, findings: &mut Findings<'_>) -> io::Result<Option<ReportFacts>> {
    let Some(bytes) = contents.small(lines::REPORT, findings)? else { return Ok(None) };
    match serde_json::from_slice::<ReportFacts>(&bytes) {
        Ok(report) if report.form == FORM => Ok(Some(report)),
        Ok(report) => {
            let what = format!("has the form {}; this version of the program verifies form {FORM}", report.form);
            findings.of(lines::REPORT, what);
            Ok(None)
        }
        Err(error) => {
            findings.of(lines::REPORT, format!("does not hold the facts of a report: {error}"));
            Ok(None)
        }
    }
}
