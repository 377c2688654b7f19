//! Mismatches with their steps, and openings with their histories: each step begins where the one before ended.

use std::io;

use super::Findings;
use super::again::Rows;
use super::contents::{Contents, Lines};
use crate::domain::StateName;
use crate::reconciliation::classify::Class;
use crate::reconciliation::evidence::lines::{self, HistoryLine, MismatchLine, OpeningLine, ReportFacts};
use crate::report_files::row::Kind;

pub fn check(contents: &Contents, report: &ReportFacts, rows: &Rows, findings: &mut Findings<'_>) -> io::Result<()> {
    let mut mismatches: Lines<'_, MismatchLine> = contents.lines(lines::MISMATCHES, findings);
    while let Some((n, it)) = mismatches.next(findings)? {
        for why in mismatch(report, rows, &it) {
            findings.at(lines::MISMATCHES, n, why);
        }
    }
    let mut openings: Lines<'_, OpeningLine> = contents.lines(lines::OPENINGS, findings);
    let mut enclosed = vec![false; rows.openings.len()];
    while let Some((n, it)) = openings.next(findings)? {
        if let Some(why) = history(&it).or_else(|| never_in(rows, &it)) {
            findings.at(lines::OPENINGS, n, why);
        }
        if let Ok(place) = rows.openings.binary_search(&it.id) {
            enclosed[place] = true;
        }
    }
    for (id, _) in rows.openings.iter().zip(enclosed).filter(|(_, is_enclosed)| !is_enclosed) {
        findings.of(lines::OPENINGS, format!("lacks the opening {id}, which a row names"));
    }
    Ok(())
}

fn mismatch(report: &ReportFacts, rows: &Rows, it: &MismatchLine) -> Vec<String> {
    let mut wrong = Vec::new();
    let lines: Vec<u64> = it.reports.iter().filter(|it| it.id == report.id).map(|it| it.line).collect();
    if lines.is_empty() {
        wrong.push("names no row of this report".to_owned());
    }
    for line in lines.iter().filter(|it| **it > 0 && rows.lines.binary_search(it).is_err()) {
        wrong.push(format!("names line {line}, where the report has no usable row"));
    }
    let is_absence = it.class == Class::MissingExternal.as_str() && lines == [0];
    let is_named = it.opening_id.is_some_and(|id| rows.openings.binary_search(&id).is_ok());
    if is_absence && report.kind == Kind::Register && (is_named || !report.complete) {
        wrong.push("says that an opening is absent; the report names it, or is not complete".to_owned());
    }
    let ends = it.steps.last().map(|it| (it.to_state.as_str(), it.class.as_str()));
    let numbered = it.steps.iter().zip(1..).all(|(step, n)| step.n == n);
    let linked = it.steps.windows(2).all(|it| it[1].from_state.as_ref() == Some(&it[0].to_state));
    if !numbered || !linked || ends != Some((it.state.as_str(), it.class.as_str())) {
        wrong.push("has steps that do not lead to its state and class".to_owned());
    }
    wrong
}

/// The error in a history. Its hashes are checked with the service's key, by `verify-history`.
pub fn history(it: &OpeningLine) -> Option<String> {
    let numbered = it.history.iter().zip(1..).all(|(step, n)| step.version == n);
    let linked = it.history.windows(2).all(|it| it[1].from_state.as_ref() == Some(&it[0].to_state));
    if !numbered || !linked || it.history.len() as u64 != it.version {
        return Some(format!(
            "has a history whose steps are not 1 to {}, each from where the last one ended",
            it.version
        ));
    }
    if let Some(step) = it.history.iter().find(|it| !is_legal(it)) {
        return Some(format!("has a step {} that no opening takes", step.version));
    }
    let last = it.history.last();
    let fits = last.is_some_and(|last| (&last.to_state, &last.hash) == (&it.state, &it.head_hash));
    (!fits).then(|| "has a history that does not end in its state and its head".to_owned())
}

/// A row was compared with the opening in a state that its history does not have.
fn never_in(rows: &Rows, it: &OpeningLine) -> Option<String> {
    let first = rows.held.partition_point(|(id, _)| *id < it.id);
    let held = rows.held[first..].iter().take_while(|(id, _)| *id == it.id);
    let was_in = |state: &StateName| it.history.iter().any(|step| step.to_state == state.as_str());
    let never = held.map(|(_, state)| state).find(|it| !was_in(it))?;
    Some(format!("was never {never}, with which a row was compared"))
}

fn is_legal(step: &HistoryLine) -> bool {
    let state = |word: &str| word.parse::<StateName>().ok();
    match (step.from_state.as_deref().map(state), state(&step.to_state)) {
        (None, Some(to)) => step.version == 1 && to == StateName::CreatingProfile,
        (Some(Some(from)), Some(to)) => from.may_become().contains(&to),
        _ => false,
    }
}
