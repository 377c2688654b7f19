//! P9, P11 for a database restored from a dump: lost knowledge caused no second effect, and no reader missed an event.
//!
//! Everything acknowledged after the dump is gone and not checked. The restored database must agree with itself and
//! with the outside world, as in any other run.

use std::collections::{BTreeMap, BTreeSet};

use super::Run;
use super::ledger::{Effect, Page};
use super::report::{Kind, Report, Violation};
use super::rules::CONTRADICTION;

/// The minimum number of openings with lost knowledge, else the run proves nothing.
const MIN_OPENINGS: u64 = 5;

/// Whether there were effects to repeat; and events that were sent twice.
pub fn check(run: &Run, report: &mut Report) {
    let Some(restored) = &run.seen.restored else {
        report.invalid.push("the history does not say that the database was taken back".to_owned());
        return;
    };
    let gone = |effect: &Effect| (restored.dumped_at..restored.at).contains(&effect.at);
    let any = |page: &Page| page.profiles.iter().chain(&page.requests).chain(&page.cards).any(gone);
    let again = run.ledger.pages.iter().filter(|(id, page)| run.dump.anchors.contains_key(*id) && any(page)).count();
    report.again = u64::try_from(again).unwrap_or(u64::MAX);
    if report.again < MIN_OPENINGS {
        report
            .invalid
            .push(format!("for {again} openings something was made after the dump, {MIN_OPENINGS} are the least"));
    }
    if restored.after >= restored.before {
        let why = format!("the transaction ids went from {} up to {}", restored.before, restored.after);
        report.invalid.push(why);
    }
    events_told_twice(run, report);
}

/// A step always has the same event id, so a reader that knows the id acts once.
fn events_told_twice(run: &Run, report: &mut Report) {
    for (reader, told) in &run.seen.told {
        let mut ids: BTreeMap<(&str, &str, i64), BTreeSet<&str>> = BTreeMap::new();
        let known = told.iter().filter(|it| it.kind != CONTRADICTION && run.dump.anchors.contains_key(&it.opening));
        for it in known {
            ids.entry((&it.opening, &it.kind, it.version)).or_default().insert(&it.id);
        }
        for ((opening, kind, version), ids) in ids.into_iter().filter(|(_, ids)| ids.len() > 1) {
            let all: Vec<&str> = ids.into_iter().collect();
            let what = format!("reader {reader} was given {kind} of version {version} under several ids");
            report.add(Kind::DoubleEffects, Violation::of(what, "one", all.join(", ")).opening(opening));
        }
    }
}
