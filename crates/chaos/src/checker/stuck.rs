//! P13, P21: after the faults stopped, no work is left, and every opening is terminal, escalated or has a ticket.

use std::collections::HashSet;

use super::Run;
use super::dump::Anchor;
use super::report::{Kind, Report, Violation};
use super::rules::{NO_WEBHOOK, STEP_FAILED, is_terminal, state};
use super::seen::Sent;
use crate::provider::Bank;

/// How long before the deadline the bank must have decided to count as in time, in microseconds.
const IN_TIME: i64 = 5_000_000;

/// Three poll intervals plus the longest fault: a decision this long before the deadline must be learnt. The time in which the bank
/// failed calls is added, because strikes follow each other; and what the wrong clock is ahead, because its replica escalates so
/// much sooner.
const REPAIRED_WITHIN: i64 = 15_000_000;
/// The words of a decision.
const FINAL: [&str; 3] = ["COMPLETED", "SUCCEEDED", "REJECTED"];

/// Queues, openings, timers and the bank's decisions; only for a drained run.
pub fn check(run: &Run, report: &mut Report) {
    if !run.drained {
        return;
    }
    for fact in run.dump.inbox.iter().filter(|it| it.status == "pending" && !run.is_gone(it)) {
        let found = fact.outcome.clone().unwrap_or_else(|| "pending".to_owned());
        let what = format!("a fact from {} waits", fact.consumer_group);
        let mut violation = Violation::of(what, "settled", found).webhook(&fact.event_id);
        violation.opening.clone_from(&fact.opening_id);
        report.add(Kind::Stuck, violation);
    }
    for work in run.dump.outbox.iter().filter(|it| it.status == "pending") {
        let found = if work.lease_token.is_some() { "leased" } else { "pending" };
        let violation = Violation::of(format!("{} waits", work.topic), "settled", found);
        report.add(Kind::Stuck, violation.opening(&work.opening_id).key(&work.id));
    }
    let open: HashSet<(&str, &str)> = run
        .dump
        .tickets
        .iter()
        .filter(|it| it.status == "open")
        .map(|it| (it.opening_id.as_str(), it.kind.as_str()))
        .collect();
    for anchor in run.dump.anchors.values() {
        for violation in forgotten(run, anchor, &open) {
            report.add(Kind::Stuck, violation.opening(&anchor.id).key(&anchor.customer_reference));
        }
    }
    lost_decisions(run, report);
}

fn forgotten(run: &Run, anchor: &Anchor, open: &HashSet<(&str, &str)>) -> Vec<Violation> {
    let mut wrong = Vec::new();
    let (state, timer) = (anchor.state.as_str(), run.dump.timers.get(&anchor.id));
    let has = |kind| open.contains(&(anchor.id.as_str(), kind));
    let looked_after = is_terminal(state) || has(STEP_FAILED) || (state == "escalated" && has(NO_WEBHOOK));
    if !looked_after {
        wrong.push(Violation::of("an opening is neither at its end nor before a person", "either", state));
    }
    let right = match state {
        _ if is_terminal(state) => timer.is_none(),
        // Polling has stopped; the row keeps the number of polls.
        "escalated" => timer.is_some(),
        _ => timer.is_some_and(Option::is_some),
    };
    if !right {
        let expected = if is_terminal(state) { "no timer" } else { "a timer" };
        let found = timer.map_or("none", |due| if due.is_some() { "one that runs" } else { "one that does not run" });
        wrong.push(Violation::of(format!("a {state} opening has the wrong timer"), expected, found));
    }
    wrong
}

/// The bank's decisions, as made and as sent to the service.
fn lost_decisions(run: &Run, report: &mut Report) {
    untold(run, report);
    if !run.restored {
        unrepaired(run, report);
    }
    for (reference, page) in &run.ledger.pages {
        let Some(anchor) = run.dump.anchors.get(reference) else { continue };
        let known = anchor.state == "escalated" || state(&anchor.state).is_some_and(|it| it.decided);
        for decision in page.decisions.iter().filter(|it| !known && it.at < anchor.deadline_at.0 - IN_TIME) {
            let before = anchor.deadline_at.0 - decision.at;
            let what = format!("the bank decided {} {before} microseconds before the deadline", decision.tracking_id);
            let violation = Violation::of(what, format!("{} or escalated", decision.status), &*anchor.state);
            report.add(Kind::LostDecisions, violation.opening(reference).key(&anchor.customer_reference));
        }
    }
}

/// A decision that the service acknowledged must be known to it. A restore may take the message away; then a bank's list of decisions
/// brings it back, and without such a list people must have the opening.
fn untold(run: &Run, report: &mut Report) {
    let lists = Bank::named(run.bank()).unwrap_or_default().lists_decisions();
    let is_gone = |at: i64| run.seen.restored.as_ref().is_some_and(|it| (it.dumped_at..it.at).contains(&at));
    let sends = || run.seen.acked_sends().filter(|it| !it.forged);
    let key = |it: &Sent| (it.webhook_id.clone(), it.sha256.clone());
    let acked: HashSet<(String, String)> = sends().map(key).collect();
    let kept: HashSet<(String, String)> = sends().filter(|it| !is_gone(it.at)).map(key).collect();
    for message in run.seen.messages.iter().filter(|it| FINAL.contains(&it.status.as_str())) {
        let sent = (message.webhook_id.clone(), message.sha256.clone());
        let Some(anchor) = run.dump.anchors.get(&message.reference).filter(|_| acked.contains(&sent)) else { continue };
        let is_with_people = anchor.state == "escalated" && !lists && !kept.contains(&sent);
        if !is_with_people && !state(&anchor.state).is_some_and(|it| it.decided) {
            let what = "a decision was acknowledged and not acted on";
            let violation = Violation::of(what, &*message.status, &*anchor.state).webhook(&message.webhook_id);
            report.add(Kind::LostDecisions, violation.opening(&anchor.id).key(&anchor.customer_reference));
        }
    }
}

/// A decision long before the deadline was learnt by webhook or poll, without an escalation.
fn unrepaired(run: &Run, report: &mut Report) {
    let ahead = run.seen.plan.as_ref().map_or(0, |plan| plan.clock_offset.max(0) * 1_000);
    for (reference, deadline) in run.dump.passed_deadlines() {
        let decisions = run.ledger.pages.get(reference).into_iter().flat_map(|it| &it.decisions);
        let within = |from: i64| REPAIRED_WITHIN + ahead + run.ledger.failing(from, deadline.0);
        for decision in decisions.filter(|it| deadline.0 - it.at > within(it.at)) {
            let before = deadline.0 - decision.at;
            let what = format!("the bank decided {before} microseconds before the deadline, and people were told");
            let violation = Violation::of(what, &*decision.status, "escalated");
            report.add(Kind::LostDecisions, violation.opening(reference));
        }
    }
}
