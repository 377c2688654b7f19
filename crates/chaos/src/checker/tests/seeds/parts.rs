//! P10: parts of one commit without the others.

use serde_json::json;

use super::super::super::report::Kind;
use super::*;

/// Seeds that are found at any moment.
pub const SEEDS: &[Seed] = &[
    ("a command without its step", Kind::Atomicity, |world| {
        world.queue(FIRST_REJECTED, "issue_card", &json!({}), BEGAN);
        opening_of(FIRST_REJECTED)
    }),
    ("a command of another commit", Kind::Atomicity, |world| {
        world.work(2, "issue_card")["created_at"] = json!(time(BEGAN));
        opening_of(2)
    }),
    ("a step without its event", Kind::Atomicity, |world| {
        let event = world.of("events", 17).next().unwrap()["id"].as_str().unwrap().to_owned();
        forget(world, &event);
        opening_of(17)
    }),
    ("an event without its step", Kind::Atomicity, |world| {
        tell(world, 18, 9, "rejected", at(18, 4));
        opening_of(18)
    }),
    ("an event that shows another state", Kind::Atomicity, |world| {
        world.of("events", 18).next().unwrap()["data"]["state"] = json!("completed");
        opening_of(18)
    }),
    ("an event without its delivery", Kind::Atomicity, |world| {
        let event = world.of("events", 19).next().unwrap()["id"].clone();
        assert_eq!(world.remove("outbox", |row| row["payload"]["event_id"] == event), 1);
        opening_of(19)
    }),
    ("a case without its event", Kind::Atomicity, |world| {
        world.insert("cases", json!({"opening_id": opening(19), "kind": "second_profile"}));
        opening_of(19)
    }),
    ("a fact applied without a step", Kind::Atomicity, |world| {
        world.find("inbox", |row| row["event_id"] == "msg-9-0").next().unwrap()["outcome"] = json!("applied");
        "msg-9-0".into()
    }),
    ("a conflict without a case", Kind::Atomicity, |world| {
        world.find("inbox", |row| row["event_id"] == "msg-9-0").next().unwrap()["outcome"] = json!("conflict");
        "msg-9-0".into()
    }),
    ("a step whose fact was not applied", Kind::Atomicity, |world| {
        world.find("inbox", |row| row["event_id"] == "msg-9-1").next().unwrap()["outcome"] = json!("recorded");
        "msg-9-1".into()
    }),
    ("a step whose fact was settled later", Kind::Atomicity, |world| {
        world.find("inbox", |row| row["event_id"] == "msg-9-1").next().unwrap()["settled_at"] = json!(time(BEGAN));
        "msg-9-1".into()
    }),
    ("a step without its fact", Kind::Atomicity, |world| {
        assert_eq!(world.remove("inbox", |row| row["event_id"] == format!("poll:{}:4", opening(21))), 1);
        opening_of(21)
    }),
    ("a key without its opening", Kind::Atomicity, |world| {
        world.insert("idempotency_keys", json!({"key": "key-900", "opening_id": opening(900)}));
        "key-900".into()
    }),
    ("an opening without its key", Kind::Atomicity, |world| {
        world.history.iter_mut().for_each(|line| {
            if let Seen::Opened { key: answered, status, .. } = line
                && *answered == key(20)
            {
                *status = 0;
            }
        });
        assert_eq!(world.remove("idempotency_keys", |row| row["opening_id"] == opening(20)), 1);
        key(20)
    }),
    ("a ticket without its escalation", Kind::Atomicity, |world| {
        world.ticket(3, "AccountOpeningWebhookNotReceived", "closed");
        opening_of(3)
    }),
    ("a ticket that was not closed", Kind::Atomicity, |world| {
        world.ticket(3, STEP_FAILED, "open");
        opening_of(3)
    }),
    ("a step without its command", Kind::Atomicity, |world| {
        let id = world.work(16, "submit_request")["id"].clone();
        assert_eq!(world.remove("outbox", |row| row["id"] == id), 1);
        opening_of(16)
    }),
    ("a delivery without its event", Kind::Atomicity, |world| {
        world.queue(19, "deliver_event", &json!({"event_id": "nowhere", "sink": SINK}), BEGAN);
        let work = world.find("outbox", |row| row["payload"]["event_id"] == "nowhere").next().unwrap();
        unsettled(work, "cancelled");
        "nowhere".into()
    }),
    ("an escalation without its ticket", Kind::Atomicity, |world| {
        assert_eq!(world.remove("tickets", |row| row["opening_id"] == opening(LATE)), 1);
        opening_of(LATE)
    }),
    ("an event of another commit", Kind::Atomicity, |world| {
        let id = world.of("events", 18).next().unwrap()["id"].clone();
        for row in world.find("events", |row| row["id"] == id) {
            row["at"] = json!(time(BEGAN));
        }
        for row in world.find("outbox", |row| row["payload"]["event_id"] == id) {
            row["created_at"] = json!(time(BEGAN));
        }
        opening_of(18)
    }),
    ("a delivery to the same subscriber twice", Kind::Atomicity, |world| {
        let again = world.work(18, "deliver_event").clone();
        world.insert("outbox", again);
        opening_of(18)
    }),
    ("a fact whose status and outcome disagree", Kind::Atomicity, |world| {
        world.fact_of("msg-9-0")["status"] = json!("ignored");
        "msg-9-0".into()
    }),
    ("a step by a fact about another opening", Kind::Atomicity, |world| {
        world.fact_of(&format!("command:{}:2", opening(9)))["opening_id"] = json!(opening(10));
        opening_of(9)
    }),
    ("a step by a fact from elsewhere", Kind::Atomicity, |world| {
        world.fact_of(&format!("command:{}:2", opening(9)))["source"] = json!("poll");
        opening_of(9)
    }),
    ("a step by nothing", Kind::Atomicity, |world| {
        let fact = world.fact_of(&format!("command:{}:2", opening(9)));
        (fact["status"], fact["outcome"]) = (json!("ignored"), json!("superseded"));
        for row in world.of("opening_history", 9).filter(|row| row["version"] == 2) {
            row["inbox_id"] = json!(null);
        }
        world.rehash();
        opening_of(9)
    }),
];
