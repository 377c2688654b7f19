//! P6, P7: each history is a chain of legal steps that leads to its anchor, and ends where it is terminal.

use super::dump::Step;
use super::report::{Kind, Report, Violation};
use super::rules::{is_legal, is_terminal};
use super::{Run, or_none, tally};

/// Every history against the table of steps, and every anchor against its history.
pub fn check(run: &Run, report: &mut Report) {
    report.states = tally(run.dump.anchors.values().map(|anchor| anchor.state.as_str()));
    for (opening, steps) in &run.dump.history {
        for violation in wrong_steps(steps) {
            report.add(Kind::IllegalTransitions, violation.opening(opening));
        }
        if !run.dump.anchors.contains_key(opening) {
            let found = format!("{} rows of history", steps.len());
            let violation = Violation::of("a history has no anchor", "an anchor", found);
            report.add(Kind::IllegalTransitions, violation.opening(opening));
        }
    }
    for anchor in run.dump.anchors.values() {
        let last = run.dump.history.get(&anchor.id).and_then(|steps| steps.last());
        let history = last.map(|step| (step.to_state.as_str(), step.version));
        if history != Some((anchor.state.as_str(), anchor.version)) {
            let expected = history.map_or("no history".to_owned(), |(state, version)| format!("{state} at {version}"));
            let found = format!("{} at {}", anchor.state, anchor.version);
            let what = "the anchor disagrees with its last row of history";
            report.add(Kind::IllegalTransitions, Violation::of(what, expected, found).opening(&anchor.id));
        }
    }
}

fn wrong_steps(steps: &[Step]) -> Vec<Violation> {
    let mut wrong = Vec::new();
    let (mut previous, mut ended): (Option<&Step>, Option<&Step>) = (None, None);
    for step in steps {
        let version = previous.map_or(1, |it| it.version + 1);
        if step.version != version {
            let what = "the versions have a gap or stand twice";
            wrong.push(Violation::of(what, format!("version {version}"), format!("version {}", step.version)));
        }
        let (from, to) = (step.from_state.as_deref(), step.to_state.as_str());
        let held = previous.map(|it| it.to_state.as_str());
        if from != held {
            let what = format!("version {} does not begin where the one before ended", step.version);
            wrong.push(Violation::of(what, or_none(held), or_none(from)));
        }
        if !is_legal(from, to) {
            let what = format!("version {} is no step of the table", step.version);
            let found = format!("{} -> {to}", from.unwrap_or("(start)"));
            wrong.push(Violation::of(what, "a legal step", found));
        }
        if let Some(end) = ended {
            let again = is_terminal(to);
            let what = if again { "a terminal state was reached twice" } else { "a terminal state was left" };
            let expected = format!("nothing after {} at {}", end.to_state, end.version);
            wrong.push(Violation::of(what, expected, format!("{to} at {}", step.version)));
        }
        ended = ended.or(is_terminal(to).then_some(step));
        previous = Some(step);
    }
    wrong
}
