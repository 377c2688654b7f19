//! Reads the provider's file again, beside the enclosed rows and errors, and classifies each row again.
//!
//! All three are in the order of the file, so one walk compares them. A row that an erasure overwrote is passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use uuid::Uuid;

use super::contents::{Contents, Lines};
use super::keys::Keys;
use super::statements::Statements;
use super::{Findings, kinds};
use crate::config::REPORT_FORMATS;
use crate::domain::StateName;
use crate::reconciliation::classify::Class;
use crate::reconciliation::evidence::lines::{self, ErrorLine, Redaction, ReportFacts, RowLine};
use crate::report_files::profile::Profiles;
use crate::report_files::row::{Kind, Located, Row};
use crate::report_files::{Ending, Expected, Item, OpenError, ReportError, open};

/// The rule of rows that contradict each other.
const CONFLICT: &str = "same_key_other_content";

/// The results of the rows.
#[derive(Default)]
pub struct Rows {
    pub read: u64,
    pub redacted: u64,
    /// The lines of usable rows, and of bank statements; ascending.
    pub lines: Vec<u64>,
    /// The openings that rows name, sorted.
    pub openings: Vec<Uuid>,
    /// The openings that rows were compared with, each in the state that it was in; sorted.
    pub held: Vec<(Uuid, StateName)>,
}

pub fn check(contents: &Contents, report: &ReportFacts, findings: &mut Findings<'_>) -> io::Result<Rows> {
    let mut walk = Walk {
        report,
        file: lines::raw(&report.format),
        rows: contents.lines(lines::ROWS, findings),
        errors: contents.lines(lines::ERRORS, findings),
        redactions: redactions(contents, findings)?,
        keys: Keys::default(),
        statements: Statements::default(),
        n: 0,
        counts: BTreeMap::new(),
        other_errors: false,
        lost: 0,
        done: Rows::default(),
    };
    walk.all(contents, findings)?;
    walk.rest(findings)?;
    walk.keys.conflicts(findings);
    walk.counts(findings);
    walk.done.lines.extend(&walk.statements.lines);
    walk.done.lines.sort_unstable();
    walk.done.openings.sort_unstable();
    walk.done.openings.dedup();
    walk.done.held.sort_unstable();
    walk.done.held.dedup();
    Ok(walk.done)
}

/// Lengths by first byte.
fn redactions(contents: &Contents, findings: &mut Findings<'_>) -> io::Result<BTreeMap<u64, u64>> {
    let mut lines: Lines<'_, Redaction> = contents.lines(lines::REDACTIONS, findings);
    let mut redactions = BTreeMap::new();
    while let Some((_, it)) = lines.next(findings)? {
        redactions.insert(it.byte, it.length);
    }
    Ok(redactions)
}

struct Walk<'a> {
    report: &'a ReportFacts,
    /// The name of the provider's file.
    file: &'static str,
    rows: Lines<'a, RowLine>,
    errors: Lines<'a, ErrorLine>,
    redactions: BTreeMap<u64, u64>,
    keys: Keys,
    statements: Statements,
    /// Usable rows so far.
    n: u64,
    counts: BTreeMap<String, u64>,
    /// Errors outside of what was overwritten.
    other_errors: bool,
    /// Rows that were overwritten and are bad rows now.
    lost: u64,
    done: Rows,
}

impl Walk<'_> {
    /// The service stopped reading early: the rows are the beginning of the file's.
    fn is_partial(&self) -> bool {
        matches!(self.report.state.as_str(), "failed" | "discarded")
    }

    fn all(&mut self, contents: &Contents, findings: &mut Findings<'_>) -> io::Result<()> {
        let Some(part) = contents.part(self.file).filter(|_| self.report.sha256.is_some()) else { return Ok(()) };
        self.digest(contents, findings);
        let profiles = self.profiles(contents, findings)?;
        let expected = Expected {
            kind: Some(self.report.kind),
            provider: Some(&self.report.provider),
            format: Some(&self.report.format),
            own: REPORT_FORMATS,
            profiles: Some(&profiles),
        };
        let reading = match open(part, &expected) {
            Ok(reading) => reading,
            Err(OpenError::Io(error)) => return Err(error),
            Err(OpenError::Header(error)) => {
                self.failed(&error.to_string(), findings);
                return Ok(());
            }
        };
        for item in reading {
            match item? {
                Item::Row(row) if self.is_overwritten(row.byte) => {
                    self.overwritten(row.byte, false, findings)?;
                }
                Item::Error(error) if self.is_overwritten(error.byte) => {
                    self.overwritten(error.byte, error.is_row, findings)?;
                }
                Item::Row(row) => self.row(&row, findings)?,
                Item::Error(error) => self.error(&error, findings)?,
                // Overwritten entries add up to nothing.
                Item::Statement(it) => {
                    let is_complete = self.report.complete && self.redactions.is_empty();
                    self.statements.end(&it, is_complete, findings);
                }
                Item::End(ending) => self.end(&ending, findings),
            }
        }
        Ok(())
    }

    /// Without redactions the enclosed file is the one that was received.
    fn digest(&self, contents: &Contents, findings: &mut Findings<'_>) {
        let bytes = contents.entry(self.file).map_or(0, |it| it.size);
        if bytes != self.report.bytes {
            findings.of(self.file, format!("is {bytes} bytes long; data/report.json says {}", self.report.bytes));
        }
        if self.redactions.is_empty() && contents.digests.get(self.file) != self.report.sha256.as_ref() {
            findings.of(
                self.file,
                "does not have the SHA-256 that data/report.json says, and nothing of it was overwritten",
            );
        }
    }

    /// The enclosed profile under the name of the format.
    fn profiles(&self, contents: &Contents, findings: &mut Findings<'_>) -> io::Result<Profiles> {
        let mut profiles = Profiles::default();
        let Some(sha256) = &self.report.profile_sha256 else { return Ok(profiles) };
        let Some(bytes) = contents.small(lines::PROFILE, findings)? else { return Ok(profiles) };
        let text = String::from_utf8_lossy(&bytes);
        if let Err(errors) = profiles.add(&self.report.format, lines::PROFILE, &text) {
            for error in errors {
                findings.of(lines::PROFILE, error.to_string());
            }
        }
        if profiles.get(&self.report.format).is_some_and(|it| it.sha256 != *sha256) {
            findings.of(lines::PROFILE, "does not have the SHA-256 that data/report.json says");
        }
        Ok(profiles)
    }

    /// Whether a byte lies in what an erasure overwrote.
    fn is_overwritten(&self, byte: u64) -> bool {
        covers(&self.redactions, byte)
    }

    fn failed(&mut self, why: &str, findings: &mut Findings<'_>) {
        // Overwritten pieces of a file that was not read to its end may hold its beginning.
        if self.is_partial() && !self.redactions.is_empty() {
            return;
        }
        if self.report.state == "failed" && self.report.error.as_deref() != Some(why) {
            findings.of(self.file, format!("fails with: {why}; data/report.json says another reason"));
        } else if self.report.state != "failed" {
            findings.of(self.file, format!("cannot be read again: {why}"));
        }
    }

    fn row(&mut self, row: &Located<Row>, findings: &mut Findings<'_>) -> io::Result<()> {
        self.pass_over_rows(row.byte, findings)?;
        let Some((line, found)) = self.rows.next_if(|it| it.byte == row.byte, findings)? else {
            if !self.is_partial() {
                findings.at(self.file, row.line, format!("is a row that {} lacks", lines::ROWS));
            }
            return Ok(());
        };
        self.done.read += 1;
        if found.redacted {
            findings.at(lines::ROWS, line, "is said to be overwritten, and data/redactions.jsonl does not list it");
        }
        let (theirs, digest) = kinds::canonical(&row.row);
        let place = (found.line, found.length, &found.row_key, found.kind);
        if place != (row.line, row.len, &row.key, kinds::kind(&row.row)) {
            let expected = format!("line {}, {} bytes, the key {}", row.line, row.len, row.key);
            findings.at(lines::ROWS, line, format!("has another place or key than in the provider's file: {expected}"));
        }
        if found.theirs != theirs {
            findings.at(lines::ROWS, line, format!("says of line {} what the provider's file does not say", row.line));
        }
        if found.digest != digest {
            findings.at(lines::ROWS, line, format!("has the digest {}; the row has {digest}", found.digest));
        }
        if let Some(why) = self.classified(&row.row, &found) {
            findings.at(lines::ROWS, line, why);
        }
        self.count(line, found, findings);
        Ok(())
    }

    /// Compares class and rule; returns the error in them.
    fn classified(&self, row: &Row, found: &RowLine) -> Option<String> {
        let judged = match kinds::judge(row, &found.row_key, &found.ours, self.report) {
            Ok(judged) => judged,
            Err(why) => return Some(why),
        };
        if let (Row::Bank(row), None) = (row, judged) {
            return self.statements.unjudged(row, found, self.is_partial());
        }
        let (class, rule) = (found.class.as_str(), found.rule.as_str());
        let same_content = |it: &lines::Earlier| it.digest == found.digest;
        let mut earlier = found.earlier.iter().flatten();
        let is_it = |expected: Class| judged.is_some_and(|it| it == (expected, rule_of(rule, it.1)));
        let fits = match class {
            "CONFLICTING_ROWS" => rule == CONFLICT,
            "REPEATED" if rule == "same_row_of_this_file" => self.keys.have(found),
            "REPEATED" => judged.is_none_or(|it| it.1 == rule) && earlier.any(same_content),
            "REVISED" if rule == "a_newer_version_counts" => earlier.any(|it| !same_content(it)),
            "REVISED" => is_it(Class::Matched) && (self.statements.have(found) || earlier.any(|it| !same_content(it))),
            _ if rule == "judged_with_the_file" => self.is_partial(),
            _ => class.parse().is_ok_and(is_it),
        };
        if fits {
            return None;
        }
        let comes_to = judged.map_or("nothing".to_owned(), |(class, rule)| format!("{class} by {rule}"));
        Some(format!("is {class} by {rule}; the enclosed values come to {comes_to}"))
    }

    fn count(&mut self, line: u64, found: RowLine, findings: &mut Findings<'_>) {
        self.n += 1;
        if found.n != self.n {
            findings.at(lines::ROWS, line, format!("has the number {}; expected {}", found.n, self.n));
        }
        self.done.lines.push(found.line);
        self.done.openings.extend(found.opening_id);
        self.done.held.extend(kinds::held(&found.ours));
        match found.kind {
            Kind::Register | Kind::Charges => self.keys.row(line, &found),
            Kind::Bank => self.statements.row(line, &found),
        }
        *self.counts.entry(found.class).or_default() += 1;
    }

    /// A place that an erasure overwrote: its row keeps digest and class.
    fn overwritten(&mut self, byte: u64, is_bad_now: bool, findings: &mut Findings<'_>) -> io::Result<()> {
        self.pass_over_rows(byte, findings)?;
        let Some((line, found)) = self.rows.next_if(|it| it.byte == byte, findings)? else {
            // A bad row may be overwritten, too.
            let bad = self.errors.next_if(|it| it.byte == byte, findings)?;
            if bad.is_none() && !self.is_partial() {
                findings.of(lines::ROWS, format!("lacks the row at byte {byte}, which was overwritten"));
            }
            return Ok(());
        };
        self.lost += u64::from(is_bad_now);
        self.done.redacted += 1;
        let is_listed = self.redactions.get(&byte) == Some(&found.length) || self.is_partial();
        if !found.redacted || !is_listed {
            findings.at(lines::ROWS, line, "is not said to be overwritten as data/redactions.jsonl says");
        }
        self.count(line, found, findings);
        Ok(())
    }

    /// Rows that stand before a place and that the file does not have.
    fn pass_over_rows(&mut self, byte: u64, findings: &mut Findings<'_>) -> io::Result<()> {
        while let Some((line, row)) = self.rows.next_if(|it| it.byte < byte, findings)? {
            if row.redacted && self.is_overwritten(row.byte) {
                self.done.redacted += 1;
            } else {
                let what = format!("is a row at byte {}, where the provider's file has none", row.byte);
                findings.at(lines::ROWS, line, what);
            }
            self.count(line, row, findings);
        }
        Ok(())
    }

    fn error(&mut self, error: &ReportError, findings: &mut Findings<'_>) -> io::Result<()> {
        self.other_errors = true;
        // An overwritten bank entry may be no row any more, so that its error is not met again.
        let redactions = &self.redactions;
        let is_passed = |it: &ErrorLine| it.byte < error.byte && covers(redactions, it.byte);
        while self.errors.next_if(is_passed, findings)?.is_some() {}
        let is_it = |it: &ErrorLine| it.byte == error.byte && it.code == error.problem.code.as_str();
        let Some((line, found)) = self.errors.next_if(is_it, findings)? else {
            if !self.is_partial() {
                let (code, byte) = (error.problem.code, error.byte);
                let what = format!("has the error {code} at byte {byte}, which {} lacks", lines::ERRORS);
                findings.at(self.file, error.line, what);
            }
            return Ok(());
        };
        let told = (found.line, &found.field, &found.detail);
        if told != (error.line, &error.problem.field, &error.problem.detail) {
            findings.at(lines::ERRORS, line, format!("is told otherwise: {}", error.problem.detail));
        }
        Ok(())
    }

    fn end(&mut self, ending: &Ending, findings: &mut Findings<'_>) {
        if let Some(error) = &ending.failed {
            return self.failed(&error.to_string(), findings);
        }
        if self.is_partial() {
            return;
        }
        let report = self.report;
        let mut compare = |what: &str, ours: String, found: String| {
            if ours != found {
                findings.of(lines::REPORT, format!("says {what} {ours}; the provider's file has {found}"));
            }
        };
        // With its status overwritten a bank entry is no row any more.
        let hidden = if report.kind == Kind::Bank { self.redactions.len() as u64 } else { 0 };
        let bad_rows = ending.bad_rows.saturating_sub(self.lost);
        for (what, ours, found) in [("rows", report.rows, ending.rows), ("bad rows", report.bad_rows, bad_rows)] {
            if !(found..=found + hidden).contains(&ours) {
                compare(what, ours.to_string(), found.to_string());
            }
        }
        let sums = |it: &[crate::report_files::Sum]| {
            it.iter().map(|it| format!("{} {}", it.amount, it.currency)).collect::<Vec<_>>().join(", ")
        };
        if self.lost + hidden == 0 {
            compare("the sums", sums(&report.sums), sums(&ending.sums));
        }
        // A row that is overwritten is a bad row now, which alone makes no file incomplete.
        let complete =
            if self.lost + hidden == 0 { ending.is_complete() } else { report.complete && !self.other_errors };
        compare("complete:", report.complete.to_string(), complete.to_string());
    }

    fn rest(&mut self, findings: &mut Findings<'_>) -> io::Result<()> {
        self.pass_over_rows(u64::MAX, findings)?;
        while let Some((line, error)) = self.errors.next(findings)? {
            if self.is_overwritten(error.byte) {
                continue;
            }
            let what =
                format!("is the error {} at byte {}, which the provider's file does not have", error.code, error.byte);
            findings.at(lines::ERRORS, line, what);
        }
        Ok(())
    }

    /// Counts per class. An absence is no row.
    fn counts(&self, findings: &mut Findings<'_>) {
        let is_class = |name: &str| name.parse::<Class>().is_ok_and(|it| it != Class::MissingExternal);
        let said = self.report.counts.as_object().into_iter().flatten().filter(|(name, _)| is_class(name));
        let said: BTreeMap<String, u64> =
            said.map(|(name, count)| (name.clone(), count.as_u64().unwrap_or_default())).collect();
        // A statement that does not count is counted where no row of it is.
        let (none, is_partial) = (0, self.is_partial());
        let classes: BTreeSet<&String> = said.keys().chain(self.counts.keys()).collect();
        let fits = |name: &&String| {
            let (said, rows) = (said.get(*name).unwrap_or(&none), self.counts.get(*name).unwrap_or(&none));
            let may = |more| name.parse().is_ok_and(|it| self.statements.may_count(it, more, is_partial));
            said.checked_sub(*rows).is_some_and(may)
        };
        if !classes.iter().all(fits) {
            findings.of(lines::REPORT, format!("counts {said:?}; the rows are {:?}", self.counts));
        }
    }
}

/// The rule with the life time of the code's own.
fn rule_of(found: &str, judged: &'static str) -> &'static str {
    if found == judged { judged } else { "" }
}

/// Whether a byte lies in one of these ranges: first byte, length.
fn covers(ranges: &BTreeMap<u64, u64>, byte: u64) -> bool {
    let last = ranges.range(..=byte).next_back();
    last.is_some_and(|(from, length)| byte - from < *length)
}
