//! P10: a fact was settled in the commit of its steps.

use std::collections::{HashMap, HashSet};

use super::dump::{Fact, Step};
use super::report::{Kind, Report, Violation};
use super::{Run, or_none};

/// Outcomes of a fact that made a step. A case or an unknown status word stays visible on its fact.
const MOVING: [&str; 3] = ["applied", "conflict", "unknown"];
/// Outcomes of facts that were decided.
const TAKEN_IN: [&str; 3] = ["applied", "recorded", "conflict"];

/// Histories against the inbox, and the reverse.
pub fn check(run: &Run, report: &mut Report) {
    let facts: HashMap<&str, &Fact> = run.dump.inbox.iter().map(|it| (it.id.as_str(), it)).collect();
    let mut moved: HashSet<&str> = HashSet::new();
    for (opening, steps) in &run.dump.history {
        for step in steps {
            moved.extend(step.inbox_id.as_deref());
            for violation in behind(step, &facts) {
                report.add(Kind::Atomicity, violation.opening(opening));
            }
        }
    }
    let cases: HashSet<&str> = run.dump.cases.iter().filter_map(|it| it.opening_id.as_deref()).collect();
    for fact in &run.dump.inbox {
        if let Some(violation) = wrong(fact, &moved, &cases) {
            let violation = violation.webhook(&fact.event_id);
            let located = fact.opening_id.as_ref().map_or(violation.clone(), |it| violation.opening(it));
            report.add(Kind::Atomicity, located);
        }
    }
}

/// The problems of the fact behind a step.
fn behind(step: &Step, facts: &HashMap<&str, &Fact>) -> Vec<Violation> {
    let what = |why: &str| format!("version {} ({}): {why}", step.version, step.event);
    let Some(id) = &step.inbox_id else {
        let start = step.version == 1;
        return if start { Vec::new() } else { vec![Violation::of(what("no fact is behind it"), "a fact", "none")] };
    };
    let Some(fact) = facts.get(id.as_str()) else {
        return vec![Violation::of(what("its fact is not in the inbox"), &**id, "none")];
    };
    let outcome = or_none(fact.outcome.as_deref());
    let mut wrong = Vec::new();
    if !MOVING.contains(&outcome) || fact.settled_at.is_none() {
        let found = format!("{}, {outcome}", fact.status);
        wrong.push(Violation::of(what("its fact was not settled with it"), "settled, applied", found));
    } else if fact.settled_at != Some(step.at) {
        let found = format!("{:?}", fact.settled_at.map(|at| at.0));
        wrong.push(Violation::of(what("its fact was settled at another time"), step.at.0.to_string(), found));
    }
    if fact.opening_id.as_deref() != Some(&step.opening_id) {
        let found = or_none(fact.opening_id.as_deref());
        wrong.push(Violation::of(what("its fact is about another opening"), &*step.opening_id, found));
    }
    if fact.source != step.source {
        wrong.push(Violation::of(what("its fact came from elsewhere"), &*step.source, &*fact.source));
    }
    wrong.into_iter().map(|it| it.webhook(&fact.event_id)).collect()
}

/// The problem of a fact by itself. `applied` means that it moved its opening; `recorded` that nothing moved, although
/// the bank's status word may have been saved.
fn wrong(fact: &Fact, moved: &HashSet<&str>, cases: &HashSet<&str>) -> Option<Violation> {
    let outcome = fact.outcome.as_deref().unwrap_or_default();
    let settled = ["applied", "ignored"].contains(&fact.status.as_str());
    if settled && (fact.status == "applied") != TAKEN_IN.contains(&outcome) {
        return Some(Violation::of("status and outcome of a fact disagree", outcome, &*fact.status));
    }
    let has_moved = moved.contains(fact.id.as_str());
    if settled && outcome == "applied" && !has_moved {
        return Some(Violation::of("a fact is applied and no step came of it", "a row of history", "none"));
    }
    let found_case = fact.opening_id.as_deref().is_some_and(|it| cases.contains(it));
    if settled && outcome == "conflict" && !found_case {
        return Some(Violation::of("a fact is a conflict and there is no case", "a case", "none"));
    }
    None
}
