//! P12: work settled by one worker is not settled again by another.

use super::Run;
use super::dump::Work;
use super::report::{Kind, Report, Violation};

/// Attempts that must be the last one.
const FINAL: [&str; 3] = ["delivered", "cancelled", "discard"];
/// Attempts of an operator instead of a claim.
const BY_HAND: [&str; 2] = ["redrive", "discard"];

/// The attempts of every row of the outbox.
pub fn check(run: &Run, report: &mut Report) {
    for work in &run.dump.outbox {
        for violation in wrong(work) {
            report.add(Kind::SettledTwice, violation.opening(&work.opening_id).key(&work.id));
        }
    }
}

fn wrong(work: &Work) -> Vec<Violation> {
    let log: Vec<&str> = work.attempt_log.iter().map(|it| it.class.as_str()).collect();
    let shown = || format!("{} after {}", work.status, log.join(", "));
    let mut wrong = Vec::new();
    let mut say = |what: &str, expected: &str, found: String| {
        wrong.push(Violation::of(format!("{}: {what}", work.topic), expected, found));
    };
    let first_final = log.iter().position(|class| FINAL.contains(class));
    if first_final.is_some_and(|at| at + 1 < log.len()) {
        say("something follows a final attempt", "nothing after it", shown());
    }
    let delivered = log.contains(&"delivered");
    if (work.delivered_at.is_some(), work.status == "delivered") != (delivered, delivered) {
        let found = format!("delivered_at {:?}, {}", work.delivered_at.map(|at| at.0), shown());
        say("status, delivered_at and attempts disagree", "delivered in all three or in none", found);
    }
    if first_final.is_some() && work.status == "pending" {
        say("it was finished and is pending", "a final status", shown());
    }
    let settled = log.iter().filter(|class| !BY_HAND.contains(class)).count();
    if i64::try_from(settled).is_ok_and(|settled| settled > work.claims) {
        say("it was settled more often than claimed", &format!("at most {} times", work.claims), shown());
    }
    if work.status != "pending" && work.lease_token.is_some() {
        say("it is finished and still leased", "no lease", shown());
    }
    wrong
}
