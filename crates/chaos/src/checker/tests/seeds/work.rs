//! P9, P12, P15: work settled twice, dead letters, tickets.

use serde_json::json;

use super::super::super::report::Kind;
use super::*;

/// Seeds that are found at any moment.
pub const SEEDS: &[Seed] = &[
    ("an attempt after the last", Kind::SettledTwice, |world| {
        log(world, json!([{"class": "delivered"}, {"class": "timeout"}]))
    }),
    ("delivered twice", Kind::SettledTwice, |world| {
        log(world, json!([{"class": "delivered"}, {"class": "delivered"}]))
    }),
    ("delivered without an attempt", Kind::SettledTwice, |world| log(world, json!([{"class": "timeout"}]))),
    ("settled more often than claimed", Kind::SettledTwice, |world| {
        log(world, json!([{"class": "timeout"}, {"class": "timeout"}, {"class": "delivered"}]))
    }),
    ("finished and leased", Kind::SettledTwice, |world| {
        world.work(4, "create_profile")["lease_token"] = json!("00000009-0000-7000-8000-000000000000");
        opening_of(4)
    }),
    ("a dead fact", Kind::Dead, |world| {
        dead(world.find("inbox", |row| row["event_id"] == "msg-4-0").next().unwrap(), "processing_failed")
    }),
    ("two tickets of a kind", Kind::DoubleTickets, |world| {
        world.ticket(FIRST_ESCALATED, "AccountOpeningWebhookNotReceived", "open");
        opening_of(FIRST_ESCALATED)
    }),
    ("a conflict of event ids", Kind::Dead, |world| {
        // The same id with another body: stored as a conflict, although the load never sent it.
        world.send("msg-4-0", &body("other"), BEGAN + SECOND, false, Some(200));
        let id = format!("msg-4-0!{}", body("other"));
        world.fact(4, "webhook", &id, "superseded", BEGAN);
        let fact = world.fact_of(&id);
        fact["body_sha256"] = json!(body("other"));
        fact["body_digest"] = json!(format!("\\x{}", body("other")));
        dead(fact, "event_id_conflict")
    }),
];
