//! The content of the database in one snapshot.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use rust_decimal::Decimal;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::lines;
use super::rules::ESCALATION;
use crate::record::Row;

/// The rows, sorted so that the report does not depend on their order in the file.
#[derive(Default)]
pub struct Dump {
    pub anchors: BTreeMap<String, Anchor>,
    /// By opening and version.
    pub history: BTreeMap<String, Vec<Step>>,
    pub inbox: Vec<Fact>,
    pub outbox: Vec<Work>,
    pub events: Vec<Event>,
    pub cases: Vec<Case>,
    pub tickets: Vec<Ticket>,
    /// By opening; the time, if it runs.
    pub timers: HashMap<String, Option<Time>>,
    pub keys: Vec<Key>,
    pub reports: Vec<BankReport>,
    pub mismatches: Vec<Mismatch>,
    pub mismatch_reports: Vec<SaidBy>,
    pub fee_ledger: Vec<LedgerLine>,
    pub fee_sums: Vec<FeeSum>,
}

/// How the types of events about openings begin.
const OF_OPENINGS: &str = "account_opening.";

/// Microseconds since the epoch, from Postgres' text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i64);

/// A row of `account_openings`.
#[derive(Deserialize)]
pub struct Anchor {
    pub id: String,
    pub customer_reference: String,
    pub state: String,
    pub profile_id: Option<String>,
    pub provider_ref: Option<String>,
    pub iban: Option<String>,
    pub bic: Option<String>,
    pub card_id: Option<String>,
    pub reason: Option<String>,
    pub deadline_at: Time,
    pub version: i64,
    pub head_hash: String,
}

/// A row of `opening_history`.
#[derive(Deserialize)]
pub struct Step {
    pub opening_id: String,
    pub version: i64,
    pub from_state: Option<String>,
    pub to_state: String,
    pub event: String,
    pub source: String,
    pub inbox_id: Option<String>,
    pub at: Time,
    pub detail: Option<String>,
    pub hash: String,
}

/// A row of `inbox`.
#[derive(Deserialize)]
pub struct Fact {
    pub id: String,
    pub consumer_group: String,
    pub event_id: String,
    pub source: String,
    pub body_digest: String,
    pub body_sha256: String,
    pub opening_id: Option<String>,
    pub status: String,
    pub outcome: Option<String>,
    pub settled_at: Option<Time>,
}

/// A row of `outbox`.
#[derive(Deserialize)]
pub struct Work {
    pub id: String,
    /// Empty: it belongs to no opening.
    pub opening_id: String,
    pub topic: String,
    pub payload: Value,
    pub status: String,
    pub outcome: Option<String>,
    pub lease_token: Option<String>,
    pub claims: i64,
    pub attempt_log: Vec<Attempt>,
    pub created_at: Time,
    pub delivered_at: Option<Time>,
}

/// An entry of an `attempt_log`.
#[derive(Deserialize)]
pub struct Attempt {
    pub class: String,
}

/// A row of `events`.
#[derive(Deserialize)]
pub struct Event {
    pub id: String,
    /// The opening; of an event of reconciliation the report or the case.
    pub opening_id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub version: i64,
    pub data: Value,
    pub at: Time,
}

impl Event {
    pub fn is_of_opening(&self) -> bool {
        self.kind.starts_with(OF_OPENINGS)
    }
}

/// A row of `cases`.
#[derive(Deserialize)]
pub struct Case {
    #[serde(default)]
    pub id: String,
    /// None: a row of a report that belongs to no opening.
    pub opening_id: Option<String>,
    pub kind: String,
    /// Of a report's case it begins with the id of the mismatch.
    pub cause: Option<String>,
}

/// A row of `reports`.
#[derive(Deserialize)]
pub struct BankReport {
    pub id: String,
    pub state: String,
}

/// A row of `mismatches`.
#[derive(Deserialize)]
pub struct Mismatch {
    pub id: String,
    pub subject: String,
    pub class: String,
    pub state: String,
    pub opening_id: Option<String>,
}

/// A row of `mismatch_reports`.
#[derive(Deserialize)]
pub struct SaidBy {
    pub mismatch_id: String,
    pub report_id: String,
    /// 0 where a row is missing.
    pub line: i64,
}

/// A row of `fee_ledger`.
#[derive(Deserialize)]
pub struct LedgerLine {
    pub id: String,
    pub cause: String,
    pub debit: String,
    pub credit: String,
    #[serde(deserialize_with = "rust_decimal::serde::str::deserialize")]
    pub amount: Decimal,
    pub currency: String,
    pub opening_id: Option<String>,
    pub code: Option<String>,
    pub report_id: Option<String>,
    pub settles: Option<String>,
    pub reverses: Option<String>,
}

/// A row of `fee_sums`.
#[derive(Deserialize)]
pub struct FeeSum {
    pub debit: String,
    pub credit: String,
    #[serde(deserialize_with = "rust_decimal::serde::str::deserialize")]
    pub amount: Decimal,
    pub currency: String,
}

/// A row of `tickets`.
#[derive(Deserialize)]
pub struct Ticket {
    pub opening_id: String,
    pub kind: String,
    pub status: String,
}

#[derive(Deserialize)]
struct Timer {
    opening_id: String,
    due_at: Option<Time>,
}

/// A row of `idempotency_keys`.
#[derive(Deserialize)]
pub struct Key {
    pub key: String,
    pub opening_id: String,
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = chrono::DateTime::parse_from_rfc3339(&text).map_err(D::Error::custom)?;
        Ok(Self(time.timestamp_micros()))
    }
}

impl Dump {
    /// The passed deadlines of escalated openings, from the escalation event; every later step sets a new deadline.
    pub fn passed_deadlines(&self) -> HashMap<&str, Time> {
        let escalations = self.events.iter().filter(|it| it.kind == ESCALATION);
        let told = |event: &Event| Time::deserialize(&event.data["deadline_at"]).ok();
        let held = |event: &Event| self.anchors.get(&event.opening_id).map(|it| it.deadline_at);
        escalations.filter_map(|it| Some((it.opening_id.as_str(), told(it).or_else(|| held(it))?))).collect()
    }

    /// The cases that a report opened: the cause of each begins with the id of its mismatch.
    pub fn cases_of_reports(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(|case| self.is_of_report(case))
    }

    fn is_of_report(&self, case: &Case) -> bool {
        let mismatch = case.cause.as_deref().and_then(|it| it.split(':').next());
        self.mismatches.iter().any(|it| mismatch == Some(it.id.as_str()))
    }

    /// The cases that `decide` opened, without those of mismatches.
    pub fn contradictions(&self) -> impl Iterator<Item = (&str, &Case)> {
        self.cases.iter().filter(|case| !self.is_of_report(case)).filter_map(|it| Some((it.opening_id.as_deref()?, it)))
    }

    /// Reads the dump and the problems of the file.
    ///
    /// # Errors
    /// If it cannot be opened or read.
    pub fn read(path: &Path) -> anyhow::Result<(Self, Vec<String>)> {
        let mut dump = Self::default();
        // A dump is always complete: it is finished before it is passed on.
        let broken = lines::each(path, "dump", false, |row| dump.take(row))?;
        for steps in dump.history.values_mut() {
            steps.sort_by_key(|step| step.version);
        }
        dump.inbox.sort_by(|a, b| a.id.cmp(&b.id));
        dump.outbox.sort_by(|a, b| a.id.cmp(&b.id));
        dump.mismatches.sort_by(|a, b| a.id.cmp(&b.id));
        dump.fee_ledger.sort_by(|a, b| a.id.cmp(&b.id));
        dump.events.sort_by(|a, b| a.id.cmp(&b.id));
        Ok((dump, broken))
    }

    fn take(&mut self, row: Row) -> Result<(), String> {
        let Row { table, row } = row;
        match table.as_str() {
            "account_openings" => {
                let anchor: Anchor = typed(row)?;
                if let Some(twice) = self.anchors.insert(anchor.id.clone(), anchor) {
                    return Err(format!("opening {} stands twice", twice.id));
                }
            }
            "opening_history" => {
                let step: Step = typed(row)?;
                self.history.entry(step.opening_id.clone()).or_default().push(step);
            }
            "inbox" => self.inbox.push(typed(row)?),
            "outbox" => self.outbox.push(typed(row)?),
            "events" => self.events.push(typed(row)?),
            "cases" => self.cases.push(typed(row)?),
            "tickets" => self.tickets.push(typed(row)?),
            "timers" => {
                let timer: Timer = typed(row)?;
                self.timers.insert(timer.opening_id, timer.due_at);
            }
            "idempotency_keys" => self.keys.push(typed(row)?),
            "reports" => self.reports.push(typed(row)?),
            "mismatches" => self.mismatches.push(typed(row)?),
            "mismatch_reports" => self.mismatch_reports.push(typed(row)?),
            "fee_ledger" => self.fee_ledger.push(typed(row)?),
            "fee_sums" => self.fee_sums.push(typed(row)?),
            other => return Err(format!("no such table: {other}")),
        }
        Ok(())
    }
}

fn typed<T: DeserializeOwned>(row: Value) -> Result<T, String> {
    serde_json::from_value(row).map_err(|error| error.to_string())
}
