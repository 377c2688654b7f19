//! Openings that wait for the bank, written with COPY: what the service would have made of them, chain and timer included.

use std::fmt::Write;

use account_opening::clock::Time;
use account_opening::domain::chain::{Hash, HistoryKey, Row};
use chrono::TimeDelta;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::numbers::{self, Kind};

/// Openings in one COPY.
const CHUNK: u64 = 20_000;

/// The key of every chain here; the service is given the same.
pub const HISTORY_KEY: [u8; 32] = [7; 32];

/// The transitions of an opening up to the wait: from, to, event, source.
const STEPS: [(Option<&str>, &str, &str, &str); 3] = [
    (None, "creating_profile", "started", "api"),
    (Some("creating_profile"), "requesting_account", "profile_created", "command"),
    (Some("requesting_account"), "awaiting_provider", "submission_accepted", "command"),
];

/// One COPY's worth of rows, as text.
#[derive(Default)]
struct Rows {
    openings: String,
    history: String,
    timers: String,
}

/// Writes openings `first..first + count`, due and past their deadline at `due`.
pub async fn waiting(connection: &mut PgConnection, first: u64, count: u64, due: Time) {
    // As a restore does it: triggers and foreign keys have nothing to say about rows that are right by their making.
    sqlx::raw_sql("set session_replication_role = replica").execute(&mut *connection).await.expect("a superuser");
    let key = HistoryKey::new(&HISTORY_KEY);
    let mut from = first;
    while from < first + count {
        let to = (from + CHUNK).min(first + count);
        let mut rows = Rows::default();
        (from..to).for_each(|n| rows.add(&key, n, due));
        rows.copy(connection).await;
        from = to;
    }
    sqlx::raw_sql("set session_replication_role = origin").execute(connection).await.expect("a superuser");
}

impl Rows {
    fn add(&mut self, key: &HistoryKey, n: u64, due: Time) {
        let (id, created) = (numbers::id(Kind::Opening, n), numbers::created(n));
        let head = self.steps(key, n, id, created);
        let (market, reference) = (numbers::market(n), numbers::reference(n));
        let updated = created + TimeDelta::seconds(2);
        let written = writeln!(
            self.openings,
            "{id}\t{market}\tcompany\tcus_{n}\t{{\"name\": \"Acme {n}\", \"email\": \"ops@acme.example\", \"country\": \
             \"{market}\"}}\tEUR\tasync\tnexusbank\tawaiting_provider\tprf_{n:024x}\t{reference}\tINITIATED\t{due}\t3\t\
             \\\\x{}\t{created}\t{updated}",
            hex::encode(head),
        );
        written.and_then(|()| writeln!(self.timers, "{id}\t{due}")).expect("memory");
    }

    /// The rows of history; the hash of the last.
    fn steps(&mut self, key: &HistoryKey, n: u64, id: Uuid, created: Time) -> Hash {
        let mut head: Option<Hash> = None;
        for (version, (from, to, event, source)) in (1_i64..).zip(STEPS) {
            let inbox_id = from.map(|_| numbers::id(Kind::Earlier, n * 2 + version.unsigned_abs()));
            let at = created + TimeDelta::seconds(version - 1);
            let row = Row { opening: id, version, from, to, event, source, inbox_id, at, detail: None };
            let hash = *head.insert(key.link(head.as_ref(), &row));
            let fact = inbox_id.map_or_else(|| "\\N".to_owned(), |it| it.to_string());
            let (from, hash) = (from.unwrap_or("\\N"), hex::encode(hash));
            let written =
                writeln!(self.history, "{id}\t{version}\t{from}\t{to}\t{event}\t{source}\t{fact}\t{at}\t\\\\x{hash}");
            written.expect("memory");
        }
        head.expect("a first step")
    }

    async fn copy(self, connection: &mut PgConnection) {
        let openings = "account_openings (id, market, customer_type, customer_reference, customer, currency, flow, \
                        provider, state, profile_id, provider_ref, provider_status, deadline_at, version, head_hash, \
                        created_at, updated_at)";
        let history = "opening_history (opening_id, version, from_state, to_state, event, source, inbox_id, at, hash)";
        for (table, rows) in
            [(openings, self.openings), (history, self.history), ("timers (opening_id, due_at)", self.timers)]
        {
            let copying = connection.copy_in_raw(&format!("copy {table} from stdin")).await;
            let mut copying = copying.expect("COPY is taken");
            copying.send(rows.into_bytes()).await.expect("rows are taken");
            copying.finish().await.expect("the rows fit their table");
        }
    }
}
