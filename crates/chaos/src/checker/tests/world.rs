//! A small run that is right: 25 openings (completed, rejected, escalated) with messages that are duplicated, reordered,
//! dropped, forged and hung up on, as the three files would tell of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::chain;
use super::super::dump::Step;
use super::opening::Step as OpeningStep;
use crate::record::{Did, Fault, Plan, Row, Seen};

/// The first instant of the run: 2026-01-01.
pub const BEGAN: i64 = 1_767_225_600_000_000;
/// Microseconds in a second.
pub const SECOND: i64 = 1_000_000;
/// How many openings there are: the first are completed, then rejected, then escalated.
pub const OPENINGS: usize = 25;
pub const FIRST_REJECTED: usize = 15;
pub const FIRST_ESCALATED: usize = 20;

pub const KEY: [u8; 32] = [7; 32];

/// The content of the three files.
pub struct World {
    pub history: Vec<Seen>,
    pub ledger: Vec<Did>,
    pub rows: Vec<Row>,
    /// Numbers requests and ids.
    pub next: u64,
}

/// The id of an opening.
pub fn opening(n: usize) -> String {
    format!("00000001-0000-7000-8000-{n:012x}")
}

/// The key under which it was asked for.
pub fn key(n: usize) -> String {
    format!("key-{n}")
}

/// As Postgres writes it.
pub fn time(at: i64) -> String {
    let time = chrono::DateTime::from_timestamp_micros(at).unwrap();
    time.to_rfc3339_opts(chrono::SecondsFormat::Micros, false)
}

/// The hash of a body, in hex.
pub fn body(name: &str) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(name.as_bytes()))
}

impl World {
    pub fn clean() -> Self {
        Self::scripted(OPENINGS, &[])
    }

    /// The same, but for one opening that takes other steps.
    pub fn scripted(other: usize, steps: &[OpeningStep]) -> Self {
        let mut world = Self { history: Vec::new(), ledger: Vec::new(), rows: Vec::new(), next: 0 };
        let faults = BTreeMap::from([(Fault::KillService, 1), (Fault::ProviderError, 2)]);
        let rate = |count: usize| f64::from(u32::try_from(count).unwrap()) / 30.0;
        world.history.push(Seen::Plan(Plan {
            provider: "nexusbank".to_owned(),
            seed: 1,
            seconds: 30,
            replicas: 2,
            openings_per_second: rate(OPENINGS),
            messages_per_second: rate(2 * OPENINGS),
            reads_per_second: rate(2 * OPENINGS),
            priced: false,
            clock_offset: 0,
            faults,
        }));
        world.history.push(Seen::Load { at: BEGAN, running: true });
        for n in 0..OPENINGS {
            world.open(n, (n == other).then_some(steps));
        }
        world.forge();
        world.resend();
        let struck =
            |evidence| Seen::Fault { at: BEGAN, fault: Fault::KillService, target: "replica 0".into(), evidence };
        world.history.push(struck(Some(json!({"pid": 1}))));
        world.history.push(struck(None));
        for _ in 0..2 {
            let (fault, evidence) = (Fault::ProviderError, Some(json!({"calls": 1})));
            world.history.push(Seen::Fault { at: BEGAN, fault, target: "provider".into(), evidence });
        }
        world.history.push(Seen::Load { at: BEGAN + 30 * SECOND, running: false });
        for at in [1, 2] {
            world.ledger.push(Did::Suffered { at: BEGAN + at, endpoint: "submit".into(), fault: Fault::ProviderError });
        }
        world.tell(0);
        world.rehash();
        world
    }

    /// A message under the id of a true one, with a wrong signature: refused.
    fn forge(&mut self) {
        self.send("msg-0-1", &body("lie"), BEGAN + SECOND, true, Some(401));
    }

    /// The same body under a new id within moments: answered from the burst cache, and not stored.
    fn resend(&mut self) {
        self.send("msg-0-1-again", &body("msg-0-1"), BEGAN + 2 * SECOND, false, Some(200));
    }

    /// A request and its answer. None: the client hung up.
    pub fn send(&mut self, webhook_id: &str, sha256: &str, at: i64, forged: bool, status: Option<u16>) {
        let number = self.number();
        let (webhook_id, sha256) = (webhook_id.to_owned(), sha256.to_owned());
        let hang_up = status.is_none();
        let folded = false;
        self.history.push(Seen::Send { at, number, webhook_id, sha256, replica: 0, forged, hang_up, folded });
        self.history.push(Seen::Answer { at: at + 1000, number, status: status.unwrap_or(0) });
    }

    /// Every event from that row on is given to two readers and delivered.
    pub fn tell(&mut self, from: usize) {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let at = BEGAN + 40 * SECOND;
        for event in self.rows[from..].iter().filter(|it| it.table == "events") {
            let (id, row) = (text(&event.row["id"]), &event.row);
            for reader in [0, 1] {
                let (kind, opening) = (text(&row["type"]), text(&row["opening_id"]));
                let version = row["version"].as_i64().unwrap();
                self.history.push(Seen::Event { at, reader, id: id.clone(), kind, opening, version });
            }
            self.history.push(Seen::Delivered { at, webhook_id: id.clone(), event: id });
        }
    }

    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub fn insert(&mut self, table: &str, row: Value) {
        self.rows.push(Row { table: table.to_owned(), row });
    }

    /// The rows of a table for which something holds.
    pub fn find<'a>(
        &'a mut self,
        table: &'a str,
        which: impl Fn(&Value) -> bool + 'a,
    ) -> impl Iterator<Item = &'a mut Value> {
        self.rows.iter_mut().filter(move |it| it.table == table).map(|it| &mut it.row).filter(move |it| which(it))
    }

    /// The rows of a table about an opening.
    pub fn of<'a>(&'a mut self, table: &'a str, n: usize) -> impl Iterator<Item = &'a mut Value> {
        let column = if table == "account_openings" { "id" } else { "opening_id" };
        self.find(table, move |row| row[column] == opening(n))
    }

    /// The row of the outbox of a topic.
    pub fn work(&mut self, n: usize, topic: &'static str) -> &mut Value {
        self.find("outbox", move |row| row["opening_id"] == opening(n) && row["topic"] == topic).next().unwrap()
    }

    /// The row of the inbox of an event.
    pub fn fact_of(&mut self, event: &str) -> &mut Value {
        let event = event.to_owned();
        self.find("inbox", move |row| row["event_id"] == *event).next().unwrap()
    }

    /// Removes rows; how many.
    pub fn remove(&mut self, table: &str, which: impl Fn(&Value) -> bool) -> usize {
        let before = self.rows.len();
        self.rows.retain(|it| it.table != table || !which(&it.row));
        before - self.rows.len()
    }

    /// Links every history anew.
    pub fn rehash(&mut self) {
        let mut heads: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for row in self.rows.iter_mut().filter(|it| it.table == "opening_history") {
            let step: Step = serde_json::from_value(row.row.clone()).unwrap();
            let head = heads.entry(step.opening_id.clone()).or_default();
            *head = chain::link(&KEY, head, &step).unwrap();
            row.row["hash"] = json!(format!("\\x{}", hex::encode(head)));
        }
        for row in self.rows.iter_mut().filter(|it| it.table == "account_openings") {
            let head = &heads[row.row["id"].as_str().unwrap()];
            row.row["head_hash"] = json!(format!("\\x{}", hex::encode(head)));
        }
    }
}
