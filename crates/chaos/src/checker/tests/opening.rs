//! One opening of the clean run, from the caller's request to its end, in all three files.

use serde_json::{Value, json};

use super::world::{BEGAN, FIRST_ESCALATED, FIRST_REJECTED, SECOND, World, body, key, opening, time};
use crate::record::{Did, Seen};

/// A step: the state entered, the event, the source.
pub type Step = (&'static str, &'static str, &'static str);

pub const STARTED: [Step; 3] = [
    ("creating_profile", "started", "api"),
    ("requesting_account", "profile_created", "command"),
    ("awaiting_provider", "submission_accepted", "command"),
];
pub const COMPLETED: [Step; 2] =
    [("issuing_card", "provider_reported", "webhook"), ("completed", "card_issued", "command")];
pub const REJECTED: [Step; 1] = [("rejected", "provider_reported", "webhook")];
pub const ESCALATED: [Step; 1] = [("escalated", "provider_polled", "poll")];

/// The opening that was escalated and then completed.
pub const LATE: usize = 14;
pub const SINK: &str = "localhost/events";

/// The steps of an opening of the clean run.
fn usual(n: usize) -> Vec<Step> {
    let ending = match n {
        LATE => [&ESCALATED[..], &COMPLETED].concat(),
        _ if n < FIRST_REJECTED => COMPLETED.to_vec(),
        _ if n < FIRST_ESCALATED => REJECTED.to_vec(),
        _ => ESCALATED.to_vec(),
    };
    [&STARTED[..], &ending].concat()
}

/// When an opening takes the step to a version.
pub fn at(n: usize, version: usize) -> i64 {
    BEGAN + SECOND * i64::try_from(n).unwrap() + 200_000 * i64::try_from(version).unwrap()
}

/// The IBAN that the bank gives it.
pub fn iban(n: usize) -> String {
    format!("BE{n:014}")
}

impl World {
    /// An opening and everything that comes of it.
    pub fn open(&mut self, n: usize, script: Option<&[Step]>) {
        let steps = script.map_or_else(|| usual(n), <[Step]>::to_vec);
        self.ask(n);
        self.messages(n, steps.iter().any(|(.., source)| *source == "webhook"));
        let mut from = None;
        for (version, step) in (1..).zip(&steps) {
            self.step(n, version, from, *step);
            from = Some(step.0);
        }
        if steps.iter().any(|(state, ..)| *state == "escalated") {
            let status = if from == Some("escalated") { "open" } else { "closed" };
            self.ticket(n, "AccountOpeningWebhookNotReceived", status);
        }
        self.anchor(n, steps.len(), from.unwrap());
        self.effects(n);
        let read = |version: usize, late: i64, replica: usize| Seen::Read {
            at: at(n, version) + late,
            replica,
            id: opening(n),
            version: i64::try_from(version).unwrap(),
            state: steps[version - 1].0.to_owned(),
        };
        self.history.extend([read(steps.len(), 1000, 1), read(steps.len().min(3), 1500, 0)]);
    }

    fn ask(&mut self, n: usize) {
        let (key, replica, id) = (key(n), n % 3, Some(opening(n)));
        let asked = at(n, 1) - 1000;
        let open = |at, first, hang_up| Seen::Open { at, key: key.clone(), replica, first, hang_up };
        let opened = |at, status, id, replayed| Seen::Opened { at, key: key.clone(), replica, status, id, replayed };
        if n == 3 {
            self.history.extend([open(asked, true, true), opened(asked + 5, 0, None, false)]);
            self.history.extend([open(asked + 10, false, false), opened(asked + 9000, 202, id, true)]);
        } else {
            self.history.extend([open(asked, true, false), opened(asked + 2000, 202, id, false)]);
        }
        self.insert(
            "idempotency_keys",
            json!({"token_name": "load", "key": key, "opening_id": opening(n), "status": 202}),
        );
    }

    /// Two messages of the bank: progress, which is recorded, and its answer, which is applied.
    fn messages(&mut self, n: usize, moves: bool) {
        for part in 0..2 {
            let (webhook_id, number) = (format!("msg-{n}-{part}"), 2 * n + part);
            let (dropped, copies) = (number % 10 == 4, u32::from(number % 5 == 1));
            let (sha256, at) = (body(&webhook_id), at(n, 3 + part) - 5000);
            self.history.push(Seen::Message {
                at,
                webhook_id: webhook_id.clone(),
                sha256: sha256.clone(),
                reference: opening(n),
                tracking_id: format!("aor-{n}"),
                status: "IN_PROGRESS".into(),
                dropped,
                reordered: number % 5 == 2,
                copies,
            });
            if dropped {
                continue;
            }
            if number % 10 == 8 && number < 30 {
                self.send(&webhook_id, &sha256, at, false, None);
            }
            for _ in 0..=copies {
                self.send(&webhook_id, &sha256, at, false, Some(200));
            }
            if part == 0 || !moves {
                self.fact(n, "webhook", &webhook_id, "recorded", at + 2000);
            }
        }
    }

    fn step(&mut self, n: usize, version: usize, from: Option<&str>, (to, event, source): Step) {
        let at = at(n, version);
        let fact = match source {
            "api" => Value::Null,
            "webhook" => self.fact(n, source, &format!("msg-{n}-1"), "applied", at),
            _ => self.fact(n, source, &format!("{source}:{}:{version}", opening(n)), "applied", at),
        };
        self.insert(
            "opening_history",
            json!({"opening_id": opening(n), "version": version, "from_state": from, "to_state": to, "event": event,
                   "source": source, "inbox_id": fact, "at": time(at), "detail": null, "hash": ""}),
        );
        let command = match to {
            "creating_profile" => Some("create_profile"),
            "requesting_account" => Some("submit_request"),
            "issuing_card" => Some("issue_card"),
            _ => None,
        };
        if let Some(topic) = command {
            self.queue(n, topic, &json!({}), at);
        }
        self.emit(n, version, to, at);
    }

    /// The outside world's page, under the keys of the outbox.
    fn effects(&mut self, n: usize) {
        let (reference, profile_id, tracking_id) = (opening(n), format!("prf-{n}"), format!("aor-{n}"));
        let mut asked = |topic| self.work(n, topic)["id"].as_str().unwrap().to_owned();
        let (profile, request) = (asked("create_profile"), asked("submit_request"));
        let card = (n < FIRST_REJECTED).then(|| asked("issue_card"));
        let made =
            Did::Profile { at: at(n, 2), reference: reference.clone(), key: profile, profile_id: profile_id.clone() };
        let (taken, page) = (tracking_id.clone(), profile_id.clone());
        let asked = Did::Request {
            at: at(n, 3),
            reference: reference.clone(),
            key: request,
            tracking_id: taken,
            profile_id: page,
        };
        self.ledger.extend([made, asked]);
        let (status, iban, reason) = match n {
            _ if n < FIRST_REJECTED => ("COMPLETED", Some(iban(n)), None),
            _ if n < FIRST_ESCALATED => ("REJECTED", None, Some("not_eligible".to_owned())),
            _ => return,
        };
        self.ledger.push(Did::Decided {
            at: at(n, 4) - 9000,
            reference: reference.clone(),
            tracking_id,
            status: status.to_owned(),
            iban: iban.clone(),
            bic: iban.as_ref().map(|_| "NEXUBEBB".to_owned()),
            rejection_reason: reason,
        });
        if let (Some(key), Some(iban)) = (card, iban) {
            self.ledger.push(Did::Card { at: at(n, 5), reference, key, card_id: format!("crd-{n}"), iban, profile_id });
        }
    }
}
