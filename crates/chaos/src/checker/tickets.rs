//! P9, P14: one ticket per opening and kind, opened and closed with the steps that say so.

use std::collections::BTreeMap;

use super::dump::Ticket;
use super::report::{Kind, Report, Violation};
use super::rules::{NO_WEBHOOK, STEP_FAILED, state};
use super::{Run, or_none, tally};

/// How wrong the clock of one replica is made, in microseconds: by its own, it may escalate so much too early.
const WRONG_CLOCK: i64 = 9_000_000;

/// Tickets against each other and against the histories.
pub fn check(run: &Run, report: &mut Report) {
    report.tickets = tally(run.dump.tickets.iter().map(|it| it.kind.as_str()));
    report.cases = tally(run.dump.cases.iter().map(|it| it.kind.as_str()));
    let mut tickets: BTreeMap<(&str, &str), Vec<&Ticket>> = BTreeMap::new();
    for ticket in &run.dump.tickets {
        tickets.entry((&ticket.opening_id, &ticket.kind)).or_default().push(ticket);
    }
    for ((opening, kind), all) in &tickets {
        if all.len() > 1 {
            let what = format!("more than one ticket {kind}");
            report.add(Kind::DoubleTickets, Violation::of(what, "one", all.len().to_string()).opening(*opening));
        }
        let now = run.dump.anchors.get(*opening).map(|it| it.state.as_str());
        if all.iter().any(|it| it.status == "open") && !explains(kind, now) {
            let what = format!("the ticket {kind} is open though the state that it is about was left");
            report.add(Kind::Atomicity, Violation::of(what, "closed", or_none(now)).opening(*opening));
        }
        if *kind == NO_WEBHOOK && !escalated(run, opening) {
            let violation = Violation::of("there is a ticket of an escalation that was none", "none", *kind);
            report.add(Kind::Atomicity, violation.opening(*opening));
        }
    }
    let deadlines = run.dump.passed_deadlines();
    for (opening, steps) in &run.dump.history {
        let Some(deadline) = deadlines.get(opening.as_str()) else { continue };
        for step in steps.iter().filter(|it| it.to_state == "escalated" && it.at.0 < deadline.0 - WRONG_CLOCK) {
            let before = deadline.0 - step.at.0;
            let what = format!("escalated {before} microseconds before the deadline");
            report.add(Kind::IllegalTransitions, Violation::of(what, "none before", "one").opening(opening));
        }
    }
    for opening in run.dump.history.keys().filter(|it| escalated(run, it)) {
        if !tickets.contains_key(&(opening.as_str(), NO_WEBHOOK)) {
            let violation = Violation::of("an escalation has no ticket", NO_WEBHOOK, "none");
            report.add(Kind::Atomicity, violation.opening(opening));
        }
    }
}

/// Whether a ticket may be open in a state: it is closed by the step that leaves what it is about.
fn explains(kind: &str, now: Option<&str>) -> bool {
    match kind {
        NO_WEBHOOK => now == Some("escalated"),
        STEP_FAILED => now.and_then(state).is_some_and(|it| it.command.is_some()),
        _ => true,
    }
}

fn escalated(run: &Run, opening: &str) -> bool {
    run.dump.history.get(opening).is_some_and(|steps| steps.iter().any(|it| it.to_state == "escalated"))
}
