//! Openings as the lines that COPY takes: what the service would have written of them, chain and timer included.

use std::fmt::Write;

use account_opening::clock::Time;
use account_opening::domain::chain::{Hash, HistoryKey, Row};
use chrono::TimeDelta;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::numbers::{self, Kind};
use crate::webhooks;

/// The key of every chain here; the service is given the same.
pub const HISTORY_KEY: [u8; 32] = [7; 32];

/// The transitions: from, to, event, source.
const STEPS: [(Option<&str>, &str, &str, &str); 5] = [
    (None, "creating_profile", "started", "api"),
    (Some("creating_profile"), "requesting_account", "profile_created", "command"),
    (Some("requesting_account"), "awaiting_provider", "submission_accepted", "command"),
    (Some("awaiting_provider"), "issuing_card", "provider_reported", "webhook"),
    (Some("issuing_card"), "completed", "card_issued", "command"),
];

const OPENINGS: &str = "account_openings (id, market, customer_type, customer_reference, customer, currency, flow, \
                        provider, state, profile_id, provider_ref, provider_status, iban, bic, card_id, deadline_at, \
                        version, head_hash, created_at, updated_at)";
const HISTORY: &str = "opening_history (opening_id, version, from_state, to_state, event, source, inbox_id, at, hash)";
const IBANS: &str = "opening_ibans (iban, opening_id)";
const TIMERS: &str = "timers (opening_id, due_at, asks, urgent_from)";
const INBOX: &str = "inbox (id, consumer_group, event_id, source, provider, body, body_digest, headers, opening_id, \
                     provider_ref, received_at, retry_from, status, outcome, settled_at)";

/// How far openings have come.
#[derive(Clone, Copy, Debug)]
pub enum Life {
    /// They wait for the bank, and the poller looks at this time.
    Waiting { due: Time, deadline: Time },
    /// They are completed; the webhook that told so is still in the inbox.
    Completed,
}

/// Rows of some openings.
#[derive(Default)]
pub struct Rows {
    openings: String,
    history: String,
    ibans: String,
    timers: String,
    inbox: String,
}

impl Rows {
    /// Those of the openings `from..to`.
    pub fn of(life: Life, from: u64, to: u64) -> Self {
        let key = HistoryKey::new(&HISTORY_KEY);
        let mut rows = Self::default();
        (from..to).for_each(|n| rows.add(&key, life, n).expect("memory"));
        rows
    }

    fn add(&mut self, key: &HistoryKey, life: Life, n: u64) -> std::fmt::Result {
        let (id, created, reference) = (numbers::id(Kind::Opening, n), numbers::created(n), numbers::reference(n));
        let steps = if matches!(life, Life::Completed) { STEPS.len() } else { 3 };
        let head = hex::encode(self.steps(key, steps, n, id, created)?);
        let (market, null) = (numbers::market(n), "\\N".to_owned());
        let (state, status, iban, bic, card, deadline) = match life {
            Life::Waiting { deadline, .. } => {
                ("awaiting_provider", "INITIATED", null.clone(), null.clone(), null, deadline)
            }
            Life::Completed => {
                let card = format!("card_{n:024x}");
                ("completed", "COMPLETED", numbers::iban(n), numbers::bic(n), card, created)
            }
        };
        writeln!(
            self.openings,
            "{id}\t{market}\tcompany\tcus_{n}\t{{\"reference\": \"cus_{n}\", \"name\": \"Acme {n}\", \"email\": \"ops@acme.example\", \"country\": \
             \"{market}\"}}\tEUR\tasync\tnexusbank\t{state}\tprf_{n:024x}\t{reference}\t{status}\t{iban}\t{bic}\t{card}\t\
             {deadline}\t{steps}\t\\\\x{head}\t{created}\t{created}",
        )?;
        match life {
            Life::Waiting { due, .. } => writeln!(self.timers, "{id}\t{due}\tnexusbank\t{deadline}"),
            Life::Completed => {
                writeln!(self.ibans, "{}\t{id}", numbers::iban(n))?;
                self.fact(n, id, &reference, created)
            }
        }
    }

    /// Rows of history; the hash of the last.
    fn steps(
        &mut self,
        key: &HistoryKey,
        steps: usize,
        n: u64,
        opening: Uuid,
        created: Time,
    ) -> Result<Hash, std::fmt::Error> {
        let mut head: Option<Hash> = None;
        for (version, (from, to, event, source)) in (1_i64..).zip(STEPS).take(steps) {
            let kind = if source == "webhook" { Kind::Fact } else { Kind::Earlier };
            let inbox_id = from.map(|_| numbers::id(kind, n));
            let at = created + TimeDelta::seconds(version - 1);
            let row = Row { opening, version, from, to, event, source, inbox_id, at, detail: None };
            let hash = *head.insert(key.link(head.as_ref(), &row));
            let fact = inbox_id.map_or_else(|| "\\N".to_owned(), |it| it.to_string());
            let (from, hash) = (from.unwrap_or("\\N"), hex::encode(hash));
            writeln!(self.history, "{opening}\t{version}\t{from}\t{to}\t{event}\t{source}\t{fact}\t{at}\t\\\\x{hash}")?;
        }
        Ok(head.unwrap_or_default())
    }

    /// The webhook that told of the account.
    fn fact(&mut self, n: u64, opening: Uuid, reference: &str, at: Time) -> std::fmt::Result {
        let (id, body) = (numbers::id(Kind::Fact, n), webhooks::body(n));
        let headers =
            webhooks::stored(&webhooks::headers(n, &body, at, "v1,U2lnbmVkIGJ5IG5vYm9keTogaXQgaXMgc2V0dGxlZC4u"));
        let digest = hex::encode(Sha256::digest(&body));
        writeln!(
            self.inbox,
            "{id}\twebhook:nexusbank\tmsg_{n}\twebhook\tnexusbank\t\\\\x{}\t\\\\x{digest}\t{headers}\t{opening}\t\
             {reference}\t{at}\t{at}\tapplied\tapplied\t{at}",
            hex::encode(body),
        )
    }

    /// Writes them.
    pub async fn copy(self, connection: &mut PgConnection) {
        let ours = [(OPENINGS, self.openings), (HISTORY, self.history), (TIMERS, self.timers), (INBOX, self.inbox)];
        let tables = ours.into_iter().chain([(IBANS, self.ibans)]);
        for (table, rows) in tables.filter(|(_, rows)| !rows.is_empty()) {
            let copying = connection.copy_in_raw(&format!("copy {table} from stdin")).await;
            let mut copying = copying.expect("COPY is taken");
            copying.send(rows.into_bytes()).await.expect("rows are taken");
            copying.finish().await.expect("the rows fit their table");
        }
    }
}
