//! P10: a step was committed together with its command, event, deliveries and the caller's key.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::dump::{Dump, Event, Step, Work};
use super::ledger::Effect;
use super::report::{Kind, Report, Violation};
use super::rules::{CONTRADICTION, DELIVERY, STATES, State, state};
use super::{Run, grouped, or_none};
use crate::provider::{Bank, SubmissionKey};

/// Histories against outbox and events, and the reverse.
pub fn check(run: &Run, report: &mut Report) {
    let dump = &run.dump;
    let works = grouped(&dump.outbox, |it| (it.opening_id.as_str(), it.topic.as_str()));
    let of_openings: Vec<&Event> = dump.events.iter().filter(|it| it.is_of_opening()).collect();
    let events = grouped(&of_openings, |it| it.opening_id.as_str());
    let contradictions: Vec<_> = dump.contradictions().collect();
    let cases = grouped(&contradictions, |it| it.0);
    let mut openings: BTreeSet<&str> = dump.history.keys().map(String::as_str).collect();
    openings.extend(dump.outbox.iter().map(|it| it.opening_id.as_str()).filter(|it| !it.is_empty()));
    openings.extend(of_openings.iter().map(|it| it.opening_id.as_str()));
    for opening in openings {
        let steps = dump.history.get(opening).map(Vec::as_slice).unwrap_or_default();
        let mut wrong = Vec::new();
        for state in &STATES {
            let Some(topic) = state.command else { continue };
            let works = works.get(&(opening, topic)).map(Vec::as_slice).unwrap_or_default();
            wrong.extend(commands(dump, state, steps, works));
        }
        let events = events.get(opening).map(Vec::as_slice).unwrap_or_default();
        let events: Vec<&Event> = events.iter().map(|it| **it).collect();
        wrong.extend(told_steps(steps, &events));
        wrong.extend(events.iter().filter_map(|event| untold(event, steps)));
        let cases = cases.get(opening).map_or(0, Vec::len);
        let contradictions = events.iter().filter(|it| it.kind == CONTRADICTION).count();
        if cases != contradictions {
            let found = format!("{contradictions} contradictions");
            wrong.push(Violation::of("cases and contradictions differ in number", format!("{cases} cases"), found));
        }
        for violation in wrong {
            report.add(Kind::Atomicity, violation.opening(opening));
        }
    }
    deliveries(run, report);
    keys(run, report);
    if run.drained {
        effects(run, report);
    }
}

fn commands(dump: &Dump, state: &State, steps: &[Step], works: &[&Work]) -> Vec<Violation> {
    let topic = state.command.unwrap_or_default();
    let entered: Vec<&Step> = steps.iter().filter(|it| it.to_state == state.name).collect();
    let mut wrong = Vec::new();
    if entered.len() != works.len() {
        let expected = format!("{}, as often as {} was entered", entered.len(), state.name);
        wrong.push(Violation::of(
            format!("{topic} and its step do not go together"),
            expected,
            works.len().to_string(),
        ));
    } else if let ([step], [work]) = (entered.as_slice(), works)
        && step.at != work.created_at
    {
        let what = format!("{topic} was not written with its step");
        wrong.push(Violation::of(what, step.at.0.to_string(), work.created_at.0.to_string()).key(&work.id));
    }
    for work in works.iter().filter(|it| it.status == "pending") {
        let now = dump.anchors.get(&work.opening_id).map(|it| it.state.as_str());
        if now != Some(state.name) {
            let what = format!("{topic} is pending though its state was left");
            wrong.push(Violation::of(what, "cancelled with that step", or_none(now)).key(&work.id));
        }
    }
    wrong
}

fn told_steps(steps: &[Step], events: &[&Event]) -> Vec<Violation> {
    let mut wrong = Vec::new();
    for step in steps {
        let Some(kind) = state(&step.to_state).and_then(|it| it.event) else { continue };
        let told: Vec<&&Event> = events.iter().filter(|it| it.version == step.version && it.kind == kind).collect();
        match told.as_slice() {
            [event] if event.at == step.at => {}
            [event] => {
                let what = format!("{kind} of version {} was not written with its step", step.version);
                wrong.push(Violation::of(what, step.at.0.to_string(), event.at.0.to_string()));
            }
            _ => {
                let what = format!("{kind} of version {} and its step do not go together", step.version);
                wrong.push(Violation::of(what, "one event", told.len().to_string()));
            }
        }
    }
    wrong
}

/// The problem of an event without a step, or with another snapshot of the opening.
fn untold(event: &Event, steps: &[Step]) -> Option<Violation> {
    let step = steps.iter().find(|it| it.version == event.version);
    let brought = step.and_then(|it| state(&it.to_state)).and_then(|it| it.event);
    if step.is_none() || (event.kind != CONTRADICTION && brought != Some(&event.kind)) {
        let what = format!("no step brought the event {}", event.id);
        return Some(Violation::of(what, or_none(brought), format!("{} of version {}", event.kind, event.version)));
    }
    let shown = |field: &str| event.data[field].as_str().unwrap_or_default().to_owned();
    let expected = (event.opening_id.clone(), step.map(|it| it.to_state.clone()).unwrap_or_default(), event.version);
    let found = (shown("id"), shown("state"), event.data["version"].as_i64().unwrap_or_default());
    (expected != found).then(|| {
        let what = format!("the event {} shows another opening or state", event.id);
        Violation::of(what, format!("{expected:?}"), format!("{found:?}"))
    })
}

/// Each event has one delivery per sink; a run has at least one.
fn deliveries(run: &Run, report: &mut Report) {
    let mut works: BTreeMap<&str, Vec<&Work>> = BTreeMap::new();
    let mut sinks = BTreeSet::new();
    for work in run.dump.outbox.iter().filter(|it| it.topic == DELIVERY) {
        works.entry(work.payload["event_id"].as_str().unwrap_or_default()).or_default().push(work);
        sinks.insert(work.payload["sink"].as_str().unwrap_or_default());
    }
    let wanted = sinks.len().max(1);
    for event in &run.dump.events {
        let works = works.remove(event.id.as_str()).unwrap_or_default();
        let to: BTreeSet<&str> = works.iter().filter_map(|it| it.payload["sink"].as_str()).collect();
        let is_its = |it: &Work| !event.is_of_opening() || it.opening_id == event.opening_id;
        let together = works.iter().all(|it| it.created_at == event.at && is_its(it));
        if works.len() != wanted || to.len() != wanted || !together {
            let what = format!("the event {} and its deliveries do not go together", event.id);
            let expected = format!("{wanted}, one for each sink, written with it");
            let found = format!("{}, written with it: {together}", works.len());
            report.add(Kind::Atomicity, Violation::of(what, expected, found).opening(&event.opening_id));
        }
    }
    for work in works.into_values().flatten() {
        let violation = Violation::of("a delivery has no event", "an event", work.payload.to_string());
        report.add(Kind::Atomicity, violation.opening(&work.opening_id).key(&work.id));
    }
}

/// No key without an opening, and no opening without its key. (Acknowledged keys are checked as lost.)
fn keys(run: &Run, report: &mut Report) {
    for held in run.dump.keys.iter().filter(|it| !run.dump.anchors.contains_key(&it.opening_id)) {
        let violation = Violation::of("a key has no opening", "an anchor", "none").key(&held.key);
        report.add(Kind::Atomicity, violation.opening(&held.opening_id));
    }
    let held: BTreeSet<&str> = run.dump.keys.iter().map(|it| it.opening_id.as_str()).collect();
    let promised: BTreeSet<&str> = run.seen.acked_openings().map(|it| it.key.as_str()).collect();
    for anchor in run.dump.anchors.values() {
        let key = anchor.customer_reference.as_str();
        if !held.contains(anchor.id.as_str()) && !promised.contains(key) {
            let violation = Violation::of("an opening has no key", "an idempotency key", "none").key(key);
            report.add(Kind::Atomicity, violation.opening(&anchor.id));
        }
    }
}

/// Whether an effect has the key that it must have.
fn is_right(wanted: SubmissionKey, key: &str, opening: &str, row: &str) -> bool {
    match wanted {
        SubmissionKey::Row => key == row,
        SubmissionKey::Opening => key == opening,
        SubmissionKey::None => key.is_empty(),
    }
}

/// Every effect was requested by an outbox row, under the key of its bank. (Double effects are checked elsewhere.)
fn effects(run: &Run, report: &mut Report) {
    let mut works: HashMap<(&str, &str), Vec<&Work>> = HashMap::new();
    for work in &run.dump.outbox {
        works.entry((&work.topic, &work.opening_id)).or_default().push(work);
    }
    let submission = Bank::named(run.bank()).unwrap_or_default().submission_key();
    for (reference, page) in &run.ledger.pages {
        let made =
            [("create_profile", &page.profiles), ("submit_request", &page.requests), ("issue_card", &page.cards)];
        for (topic, effects) in made {
            let [Effect { key, id, .. }] = effects.as_slice() else { continue };
            let wanted = if topic == "submit_request" { submission } else { SubmissionKey::Row };
            let works = works.get(&(topic, reference.as_str()));
            let asked = works.is_some_and(|it| it.iter().any(|work| is_right(wanted, key, reference, &work.id)));
            if !asked && run.dump.anchors.contains_key(reference) {
                let what = format!("{id} was made under a key that is no {topic} of this opening");
                let violation = Violation::of(what, "the key of a row of the outbox", &**key);
                report.add(Kind::Atomicity, violation.opening(reference).key(key));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submission_has_the_key_of_its_bank_and_no_other() {
        for (bank, right) in [("nexusbank", "row"), ("airwallex", "opening"), ("adyen", "opening"), ("solaris", "")] {
            for key in ["row", "opening", "", "another"] {
                let wanted = Bank::named(bank).unwrap().submission_key();
                assert_eq!(is_right(wanted, key, "opening", "row"), key == right, "{bank}: {key}");
            }
        }
    }
}
