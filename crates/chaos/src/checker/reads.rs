//! P6: readers saw only committed versions, and never went backwards.

use std::collections::HashMap;

use super::Run;
use super::report::{Kind, Report, Violation};
use super::rules::is_terminal;
use super::seen::Reading;

/// How long an answer may be in flight, in microseconds: the load's time limit. Only its arrival is known, and a paused
/// service, or one with a slow database, may answer late with an older read. An older state that arrives within this
/// time of a newer one may have been read before it.
const UNDER_WAY: i64 = 10_000_000;

/// Every reading against the history and against earlier readings at any replica.
pub fn check(run: &Run, report: &mut Report) {
    for (opening, readings) in &run.seen.reads {
        let steps = run.dump.history.get(opening).map(Vec::as_slice).unwrap_or_default();
        let held: HashMap<i64, &str> = steps.iter().map(|step| (step.version, step.to_state.as_str())).collect();
        let unheld = readings.iter().filter_map(|reading| unheld(reading, &held));
        for violation in unheld.chain(backwards(readings)).chain(left_an_end(readings)) {
            report.add(Kind::IllegalTransitions, violation.opening(opening));
        }
    }
}

fn shown(reading: &Reading) -> String {
    format!("{} at {} by replica {}", reading.state, reading.version, reading.replica)
}

/// A version that was read was committed, so it must exist.
fn unheld(reading: &Reading, held: &HashMap<i64, &str>) -> Option<Violation> {
    let state = held.get(&reading.version).copied();
    (state != Some(&reading.state)).then(|| {
        let expected = state.map_or("no such version".to_owned(), |state| format!("{state} at {}", reading.version));
        Violation::of("what was read is not in the history", expected, shown(reading))
    })
}

/// Readings older than a reading that was answered long before them.
fn backwards(readings: &[Reading]) -> Vec<Violation> {
    let mut sorted: Vec<&Reading> = readings.iter().collect();
    sorted.sort_by_key(|reading| reading.at);
    let (mut before, mut newest): (usize, Option<&Reading>) = (0, None);
    let mut wrong = Vec::new();
    for reading in &sorted {
        while let Some(older) = sorted.get(before).filter(|older| older.at + UNDER_WAY < reading.at) {
            newest = newest.filter(|newest| newest.version >= older.version).or(Some(older));
            before += 1;
        }
        if let Some(newest) = newest.filter(|newest| newest.version > reading.version) {
            let late = reading.at - newest.at;
            let found = format!("{}, {late} microseconds later", shown(reading));
            let what = "a reading went backwards";
            wrong.push(Violation::of(what, format!("no less than {}", shown(newest)), found));
        }
    }
    wrong
}

/// Readings newer than a terminal state, in any order.
fn left_an_end(readings: &[Reading]) -> Vec<Violation> {
    let Some(end) = readings.iter().filter(|it| is_terminal(&it.state)).min_by_key(|it| it.version) else {
        return Vec::new();
    };
    let later = readings.iter().filter(|it| it.version > end.version);
    later.map(|it| Violation::of("a terminal state was seen to be left", shown(end), shown(it))).collect()
}
