//! P15: what was given up is before a person. The load sends nothing that cannot be read, so a fact is never rightly dead;
//! a command may be, when the other side answered with garbage until the attempts were used up.

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
        // The ticket follows the death by way of the inbox: judged when that is empty.
        let command = super::rules::STATES.iter().any(|state| state.command == Some(&work.topic));
        if run.drained && !(command && explained.contains(work.opening_id.as_str())) {
            let what = format!("{} was given up and no ticket says so", work.topic);
            let violation = Violation::of(what, STEP_FAILED, cause);
            report.add(Kind::Dead, violation.opening(&work.opening_id).key(&work.id));
        }
    }
    report.dead_letters = letters;
}
