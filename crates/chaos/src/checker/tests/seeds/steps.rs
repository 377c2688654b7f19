//! P6, P7, P22: histories, and what was read of them.

use serde_json::json;

use super::super::super::report::Kind;
use super::*;

/// Seeds that are found at any moment.
pub const SEEDS: &[Seed] = &[
    ("an anchor that is elsewhere", Kind::IllegalTransitions, |world| anchor(world, 13, "version", json!(4))),
    ("people who were told before the deadline", Kind::IllegalTransitions, |world| {
        anchor(world, 24, "deadline_at", json!(time(at(24, 4) + 60 * SECOND)));
        opening_of(24)
    }),
    ("a reading that went backwards", Kind::IllegalTransitions, |world| {
        read(world, 3, at(3, 5) + 10_100_000, 3, "awaiting_provider");
        opening_of(3)
    }),
    ("a reading of what never was", Kind::IllegalTransitions, |world| {
        read(world, 3, at(3, 3), 3, "escalated");
        opening_of(3)
    }),
    ("a reading of an end that was left", Kind::IllegalTransitions, |world| {
        read(world, 3, at(3, 6), 6, "rejected");
        opening_of(3)
    }),
    ("an edited row", Kind::BrokenChains, |world| {
        world.of("opening_history", 14).next().unwrap()["detail"] = json!("edited");
        opening_of(14)
    }),
    ("another head", Kind::BrokenChains, |world| {
        anchor(world, 15, "head_hash", json!("\\x00"));
        opening_of(15)
    }),
    ("a step that is none", Kind::IllegalTransitions, |world| {
        *world = World::scripted(11, &[STARTED[0], STARTED[1], COMPLETED[0], COMPLETED[1]]);
        "requesting_account -> issuing_card".into()
    }),
    ("a start that is none", Kind::IllegalTransitions, |world| {
        for row in world.of("opening_history", 21).filter(|row| row["version"] == 1) {
            row["from_state"] = json!("awaiting_provider");
        }
        world.rehash();
        opening_of(21)
    }),
    ("an end that was left and reached again", Kind::IllegalTransitions, |world| {
        let again = ("issuing_card", "provider_polled", "poll");
        *world = World::scripted(12, &[&STARTED[..], &COMPLETED, &[again, COMPLETED[1]]].concat());
        "a terminal state was reached twice".into()
    }),
    ("an end that was left", Kind::IllegalTransitions, |world| {
        let again = ("awaiting_provider", "provider_polled", "poll");
        let back = ("rejected", "provider_polled", "poll");
        *world = World::scripted(FIRST_REJECTED, &[&STARTED[..], &REJECTED, &[again, back]].concat());
        "a terminal state was left".into()
    }),
    ("a gap in the versions", Kind::IllegalTransitions, |world| {
        for table in ["opening_history", "events", "account_openings"] {
            for row in world.of(table, 24).filter(|row| row["version"] == 4) {
                row["version"] = json!(5);
                if table == "events" {
                    row["data"]["version"] = json!(5);
                }
            }
        }
        for line in &mut world.history {
            match line {
                Seen::Read { id: opening, version, .. } | Seen::Event { opening, version, .. }
                    if *opening == opening_of(24) && *version == 4 =>
                {
                    *version = 5;
                }
                _ => {}
            }
        }
        world.rehash();
        opening_of(24)
    }),
    ("an anchor without history", Kind::IllegalTransitions, |world| {
        let key = "key-800".to_owned();
        world.insert(
            "account_openings",
            json!({"id": opening(800), "customer_reference": key, "state": "creating_profile", "version": 1,
                   "deadline_at": time(BEGAN), "head_hash": ""}),
        );
        world.insert("idempotency_keys", json!({"key": key, "opening_id": opening(800)}));
        world.insert("timers", json!({"opening_id": opening(800), "due_at": time(BEGAN)}));
        world.ticket(800, STEP_FAILED, "open");
        world.history.push(Seen::Open { at: BEGAN - 1, key, replica: 0, first: false, hang_up: false });
        opening_of(800)
    }),
];
