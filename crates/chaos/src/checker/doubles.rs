//! P3, P9: no effect happens twice.

use std::collections::{BTreeMap, BTreeSet};

use super::Run;
use super::ledger::Effect;
use super::report::{Kind, Report, Violation};

/// The ledger, the acknowledgements and the inbox.
pub fn check(run: &Run, report: &mut Report) {
    for (reference, page) in &run.ledger.pages {
        let made = [("profile", &page.profiles), ("account request", &page.requests), ("card", &page.cards)];
        for (what, effects) in made.into_iter().filter(|(_, effects)| effects.len() > 1) {
            let found: Vec<String> = effects.iter().map(shown).collect();
            let violation = Violation::of(format!("more than one {what} was made"), "one", found.join(", "));
            report.add(Kind::DoubleEffects, violation.opening(reference));
        }
    }
    // The restored database may lack an opening; its caller repeats the request and gets another one.
    if !run.restored {
        openings_per_key(run, report);
    }
    facts_stored_twice(run, report);
    facts_applied_twice(run, report);
}

fn shown(effect: &Effect) -> String {
    format!("{} under {}", effect.id, effect.key)
}

fn openings_per_key(run: &Run, report: &mut Report) {
    let mut anchors: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for anchor in run.dump.anchors.values() {
        anchors.entry(&anchor.customer_reference).or_default().insert(&anchor.id);
    }
    let mut answers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for answer in run.seen.acked_openings() {
        answers.entry(&answer.key).or_default().extend(answer.id.as_deref());
    }
    // The stored answer of a key counts as an answer: the next repeat gets it.
    for held in &run.dump.keys {
        if let Some(ids) = answers.get_mut(held.key.as_str()) {
            ids.insert(&held.opening_id);
        }
    }
    let found = [("there are two openings for one key", anchors), ("one key was answered with two openings", answers)];
    for (what, groups) in found {
        for (key, ids) in groups.into_iter().filter(|(_, ids)| ids.len() > 1) {
            let all: Vec<&str> = ids.iter().copied().collect();
            let violation = Violation::of(what, "one opening", all.join(", ")).key(key);
            report.add(Kind::DoubleEffects, violation.opening(all.first().copied().unwrap_or_default()));
        }
    }
}

fn facts_stored_twice(run: &Run, report: &mut Report) {
    let mut rows: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for fact in &run.dump.inbox {
        rows.entry((&fact.consumer_group, &fact.event_id)).or_default().push(&fact.id);
    }
    for ((group, event), ids) in rows.into_iter().filter(|(_, ids)| ids.len() > 1) {
        let violation = Violation::of(format!("{group} stands twice under one id"), "one row", ids.join(", "));
        report.add(Kind::DoubleEffects, violation.webhook(event));
    }
}

/// A body can move an opening only once.
fn facts_applied_twice(run: &Run, report: &mut Report) {
    let mut rows: BTreeMap<&str, Vec<&super::dump::Fact>> = BTreeMap::new();
    let applied = |it: &&super::dump::Fact| run.is_webhook(it) && it.outcome.as_deref() == Some("applied");
    for fact in run.dump.inbox.iter().filter(applied) {
        rows.entry(&fact.body_sha256).or_default().push(fact);
    }
    for (body, facts) in rows.into_iter().filter(|(_, facts)| facts.len() > 1) {
        let all: Vec<&str> = facts.iter().map(|it| it.event_id.as_str()).collect();
        let what = format!("the body {body} moved an opening twice");
        let mut violation = Violation::of(what, "applied once", format!("applied as {}", all.join(", ")));
        violation.opening = facts.first().and_then(|it| it.opening_id.clone());
        report.add(Kind::DoubleEffects, violation.webhook(all.first().copied().unwrap_or_default()));
    }
}
