//! P11: every event reaches every reader and the subscriber, and only committed events do.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::Run;
use super::dump::Event;
use super::report::{Kind, Report, Violation};
use super::rules::DELIVERY;

/// Events against their readers.
pub fn check(run: &Run, report: &mut Report) {
    let events: HashMap<&str, &Event> = run.dump.events.iter().map(|it| (it.id.as_str(), it)).collect();
    if !run.restored {
        unheld(run, &events, report);
    }
    if run.drained {
        unread(run, report);
        undelivered(run, report);
    }
}

/// An event that a reader received was committed, so it must exist.
fn unheld(run: &Run, events: &HashMap<&str, &Event>, report: &mut Report) {
    for (reader, told) in &run.seen.told {
        report.readers.insert(*reader, u64::try_from(told.len()).unwrap_or(u64::MAX));
        for it in told {
            let held = events.get(it.id.as_str());
            if held
                .is_none_or(|held| (&held.kind, &held.opening_id, held.version) != (&it.kind, &it.opening, it.version))
            {
                let what = format!("reader {reader} was given the event {} otherwise than it stands", it.id);
                let expected =
                    held.map_or("none".to_owned(), |held| format!("{} of version {}", held.kind, held.version));
                let violation = Violation::of(what, expected, format!("{} of version {}", it.kind, it.version));
                report.add(Kind::Unexpected, violation.opening(&it.opening));
            }
        }
    }
    let mut unknown: Vec<&String> = run.seen.delivered.iter().filter(|it| !events.contains_key(it.as_str())).collect();
    unknown.sort();
    for id in unknown {
        let violation = Violation::of("the subscriber was told of an event that is not there", "an event", "none");
        report.add(Kind::Unexpected, violation.webhook(id));
    }
}

fn unread(run: &Run, report: &mut Report) {
    let readers = run.seen.plan.as_ref().map_or(0, |plan| plan.replicas);
    // A reader without any event counts, too.
    let readers: BTreeSet<usize> = (0..readers).chain(run.seen.told.keys().copied()).collect();
    for reader in readers {
        let told = run.seen.told.get(&reader).into_iter().flatten();
        let told: HashSet<&str> = told.map(|it| it.id.as_str()).collect();
        for event in run.dump.events.iter().filter(|it| !told.contains(it.id.as_str())) {
            let what = format!("reader {reader} was never given {} of version {}", event.kind, event.version);
            let violation = Violation::of(what, format!("the event {}", event.id), "nothing");
            report.add(Kind::SkippedEvents, violation.opening(&event.opening_id));
        }
    }
}

/// A delivery's webhook id is the event's id.
fn undelivered(run: &Run, report: &mut Report) {
    let sent = run.dump.outbox.iter().filter(|it| it.topic == DELIVERY && it.status == "delivered");
    for work in sent.filter(|it| it.outcome.as_deref() != Some("no_longer_subscribed")) {
        let event = work.payload["event_id"].as_str().unwrap_or_default();
        if !run.seen.delivered.contains(event) {
            let what = "a delivery counts as made and never reached the subscriber";
            let violation = Violation::of(what, format!("the event {event}"), "nothing").webhook(event);
            report.add(Kind::SkippedEvents, violation.opening(&work.opening_id).key(&work.id));
        }
    }
}
