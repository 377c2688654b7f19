//! P15: dead work has a ticket. The load sends nothing unreadable, so a dead fact is always wrong; a command may die
//! after the other side's unusable answers have used up its attempts.

use std::collections::{BTreeMap, HashSet};

use super::Run;
use super::or_none;
use super::report::{Kind, Report, Violation};
use super::rules::STEP_FAILED;

/// The dead letters of both queues.
pub fn check(run: &Run, report: &mut Report) {
    let mut letters: BTreeMap<String, u64> = BTreeMap::new();
    for fact in run.dump.inbox.iter().filter(|it| it.status == "dead" && !run.is_gone(it)) {
        let cause = or_none(fact.outcome.as_deref());
        *letters.entry(format!("inbox: {cause}")).or_default() += 1;
        let what = format!("a fact from {} is dead", fact.consumer_group);
        let mut violation = Violation::of(what, "applied or ignored", cause).webhook(&fact.event_id);
        violation.opening.clone_from(&fact.opening_id);
        report.add(Kind::Dead, violation);
    }
    let explained: HashSet<&str> =
        run.dump.tickets.iter().filter(|it| it.kind == STEP_FAILED).map(|it| it.opening_id.as_str()).collect();
    for work in run.dump.outbox.iter().filter(|it| it.status == "dead") {
        let cause = or_none(work.outcome.as_deref());
        *letters.entry(format!("outbox: {}: {cause}", work.topic)).or_default() += 1;
        // The ticket follows through the inbox, so it is checked once the inbox is empty.
        let command = super::rules::STATES.iter().any(|state| state.command == Some(&work.topic));
        if run.drained && !(command && explained.contains(work.opening_id.as_str())) {
            let what = format!("{} was given up and no ticket says so", work.topic);
            let violation = Violation::of(what, STEP_FAILED, cause);
            report.add(Kind::Dead, violation.opening(&work.opening_id).key(&work.id));
        }
    }
    report.dead_letters = letters;
}
