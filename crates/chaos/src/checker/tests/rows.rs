//! The rows of the database that an opening of the clean run leaves.

use serde_json::{Value, json};

use super::opening::{SINK, at, iban};
use super::world::{World, body, key, opening, time};

impl World {
    /// A fact as it was settled; its id.
    pub fn fact(&mut self, n: usize, source: &str, event: &str, outcome: &str, at: i64) -> Value {
        let (id, body) = (self.id(2), body(event));
        let digest = format!("\\x{body}");
        let status = if ["applied", "recorded", "conflict"].contains(&outcome) { "applied" } else { "ignored" };
        self.insert(
            "inbox",
            json!({"id": id, "consumer_group": format!("{source}:nexusbank"), "event_id": event, "source": source,
                   "body_digest": digest, "body_sha256": body, "opening_id": opening(n), "status": status,
                   "outcome": outcome, "settled_at": time(at)}),
        );
        json!(id)
    }

    /// A row of the outbox that was delivered at the second attempt.
    pub fn queue(&mut self, n: usize, topic: &str, payload: &Value, at: i64) {
        let id = self.id(3);
        let log = json!([{"at": time(at), "class": "timeout", "cause": ""}, {"at": time(at), "class": "delivered"}]);
        self.insert(
            "outbox",
            json!({"id": id, "opening_id": opening(n), "topic": topic, "payload": payload, "status": "delivered",
                   "outcome": "sent", "lease_token": null, "claims": 2, "attempt_log": log, "created_at": time(at),
                   "delivered_at": time(at + 1000)}),
        );
    }

    pub fn emit(&mut self, n: usize, version: usize, state: &str, at: i64) {
        let kind = match state {
            "requesting_account" => return,
            "creating_profile" => "started",
            "issuing_card" => "succeeded",
            other => other,
        };
        let id = self.id(4);
        let data = json!({"id": opening(n), "state": state, "version": version});
        let kind = format!("account_opening.{kind}");
        self.insert(
            "events",
            json!({"id": id, "opening_id": opening(n), "type": kind, "version": version, "data": data, "at": time(at)}),
        );
        self.queue(n, "deliver_event", &json!({"event_id": id, "sink": SINK}), at);
    }

    pub fn ticket(&mut self, n: usize, kind: &str, status: &str) {
        self.insert("tickets", json!({"opening_id": opening(n), "kind": kind, "status": status}));
    }

    pub fn anchor(&mut self, n: usize, version: usize, state: &str) {
        let account = state == "completed";
        let some = |wanted: bool, text: String| wanted.then_some(text);
        self.insert(
            "account_openings",
            json!({"id": opening(n), "customer_reference": key(n), "state": state, "version": version,
                   "profile_id": format!("prf-{n}"), "provider_ref": format!("aor-{n}"), "iban": some(account, iban(n)),
                   "bic": some(account, "NEXUBEBB".into()), "card_id": some(account, format!("crd-{n}")),
                   "reason": some(state == "rejected", "not_eligible".into()),
                   "deadline_at": time(at(n, 4) - 1000), "head_hash": ""}),
        );
        if !["completed", "rejected", "failed"].contains(&state) {
            let due = some(state != "escalated", time(at(n, 5)));
            self.insert("timers", json!({"opening_id": opening(n), "due_at": due, "claims": 1}));
        }
    }

    fn id(&mut self, kind: u32) -> String {
        let number = self.number();
        format!("{kind:08x}-0000-7000-8000-{number:012x}")
    }
}
