//! P11, P13, P21: what is wrong only when nothing is left to do.

use serde_json::{Value, json};

use super::super::super::report::Kind;
use super::*;

/// Seeds that are found in a drained run alone.
pub const SEEDS: &[Seed] = &[
    ("an opening that nobody asked for", Kind::Unexpected, |world| {
        world.history.retain(|line| match line {
            Seen::Open { key: asked, .. } | Seen::Opened { key: asked, .. } => *asked != key(20),
            _ => true,
        });
        opening_of(20)
    }),
    ("a webhook that nobody sent", Kind::Unexpected, |world| {
        world.fact(5, "webhook", "msg-unknown", "recorded", BEGAN);
        "msg-unknown".into()
    }),
    ("a true body under an id that it was not sent with", Kind::Unexpected, |world| {
        world.fact(5, "webhook", "msg-unknown", "duplicate", BEGAN);
        let fact = world.fact_of("msg-unknown");
        fact["body_sha256"] = json!(body("msg-5-0"));
        fact["body_digest"] = json!(format!("\\x{}", body("msg-5-0")));
        "msg-unknown".into()
    }),
    ("an effect for nobody", Kind::Unexpected, |world| {
        let (reference, key, profile_id) = (opening(901), "k".to_owned(), "prf-901".to_owned());
        world.ledger.push(Did::Profile { at: BEGAN, reference, key, profile_id });
        opening_of(901)
    }),
    ("an effect under another key", Kind::Atomicity, |world| {
        let Some(Did::Profile { key, .. }) = world.ledger.first_mut() else { panic!("no profile") };
        *key = "another".into();
        opening_of(0)
    }),
    ("an event that a reader skipped", Kind::SkippedEvents, |world| {
        let skipped = world.history.iter().rposition(|it| matches!(it, Seen::Event { reader: 1, .. })).unwrap();
        let Seen::Event { opening, .. } = world.history.remove(skipped) else { panic!("no event") };
        opening
    }),
    ("a reader that was given nothing", Kind::SkippedEvents, |world| {
        world.history.retain(|it| !matches!(it, Seen::Event { reader: 1, .. }));
        "reader 1 was never given".into()
    }),
    ("a decision that was acknowledged and forgotten", Kind::LostDecisions, |world| {
        let message = world.history.iter_mut().rev().find_map(|it| match it {
            Seen::Message { status, reference, .. } if *reference == opening(24) => Some(status),
            _ => None,
        });
        *message.unwrap() = "COMPLETED".into();
        opening_of(24)
    }),
    ("people who were told of what the bank had long decided", Kind::LostDecisions, |world| {
        decided_before(world, 60);
        opening_of(LATE)
    }),
    ("people who were told of what the bank had decided before it failed for a while", Kind::LostDecisions, |world| {
        decided_before_faults(world, 26, "status", Fault::ProviderGarbage)
    }),
    ("people who were told of what the bank had decided while a sink failed", Kind::LostDecisions, |world| {
        decided_before_faults(world, 24, "event", Fault::ProviderError)
    }),
    ("people who were told of what the bank had decided while it sent long ids", Kind::LostDecisions, |world| {
        decided_before_faults(world, 24, "status", Fault::LongId)
    }),
    ("a delivery that never came", Kind::SkippedEvents, |world| {
        let lost = world.history.iter().rposition(|it| matches!(it, Seen::Delivered { .. })).unwrap();
        let Seen::Delivered { webhook_id, .. } = world.history.remove(lost) else { panic!("no delivery") };
        webhook_id
    }),
    ("a fact that waits", Kind::Stuck, |world| {
        let fact = world.fact_of("msg-9-0");
        (fact["status"], fact["outcome"], fact["settled_at"]) = (json!("pending"), json!("parked"), Value::Null);
        "msg-9-0".into()
    }),
    ("a delivery that waits", Kind::Stuck, |world| {
        let work = world.work(9, "deliver_event");
        unsettled(work, "pending");
        work["lease_token"] = json!("00000009-0000-7000-8000-000000000000");
        opening_of(9)
    }),
    ("an opening that waits for ever", Kind::Stuck, |world| {
        *world = World::scripted(24, &STARTED);
        opening_of(24)
    }),
    ("an opening without its timer", Kind::Stuck, |world| {
        *world = World::scripted(24, &STARTED[..2]);
        world.ticket(24, STEP_FAILED, "open");
        assert_eq!(world.remove("timers", |row| row["opening_id"] == opening(24)), 1);
        opening_of(24)
    }),
    ("a timer of an opening at its end", Kind::Stuck, |world| {
        world.insert("timers", json!({"opening_id": opening(3), "due_at": time(BEGAN)}));
        opening_of(3)
    }),
    ("an escalation whose ticket was closed", Kind::Stuck, |world| {
        world.of("tickets", 23).next().unwrap()["status"] = json!("closed");
        opening_of(23)
    }),
    ("a command given up without a ticket", Kind::Dead, |world| {
        let work = world.work(3, "create_profile");
        unsettled(work, "dead");
        work["outcome"] = json!("unusable");
        opening_of(3)
    }),
    ("a delivery given up", Kind::Dead, |world| {
        world.ticket(3, STEP_FAILED, "closed");
        unsettled(world.work(3, "deliver_event"), "dead");
        opening_of(3)
    }),
    ("a decision that was lost", Kind::LostDecisions, |world| {
        *world = World::scripted(19, &STARTED[..2]);
        world.ticket(19, STEP_FAILED, "open");
        anchor(world, 19, "deadline_at", json!(time(at(19, 4) + 6 * SECOND)))
    }),
];
