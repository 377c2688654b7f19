//! A database of the cluster, with its openings.

use std::time::Duration;

use sqlx::{Connection, PgConnection};

use crate::fill::{fill, fill_many, run};
use crate::limit;
use crate::rows::Life;
use crate::service::{Build, migrate, this_build};
use crate::world::World;

const LOOK: Duration = Duration::from_millis(5);

/// Builds before `inbox.due_at` gave settled facts a time, which the rows that are filled in do not have.
const SETTLED_WITHOUT_A_TIME: &str = "do $$ begin
    if exists (select from information_schema.columns where table_name = 'inbox' and column_name = 'next_attempt_at') then
        alter table inbox alter column next_attempt_at drop not null;
    end if;
end $$";

/// A database with the schema and the functions of the limit.
pub struct Cell {
    pub url: String,
    pub connection: PgConnection,
    /// Of openings that are added.
    waiting: Life,
    next: u64,
}

impl Cell {
    pub async fn make(world: &World, name: &str) -> Self {
        Self::of(world, name, this_build()).await
    }

    /// The same with the schema of another build.
    pub async fn of(world: &World, name: &str, build: Build<'_>) -> Self {
        let mut first = PgConnection::connect(world.cluster.url()).await.expect("Postgres answers");
        run(&mut first, &format!("create database {name}")).await;
        first.close().await.expect("Postgres answers");
        let url = world.cluster.url_for(name);
        migrate(build, &url).await;
        let mut connection = PgConnection::connect(&url).await.expect("Postgres answers");
        run(&mut connection, SETTLED_WITHOUT_A_TIME).await;
        limit::install(&mut connection).await;
        Self { url, connection, waiting: world.waiting(), next: 1 }
    }

    /// Adds openings that wait for the bank; the number of the first.
    pub async fn fill(&mut self, count: u64) -> u64 {
        let first = self.next;
        fill(&mut self.connection, self.waiting, first, count).await;
        self.next += count;
        first
    }

    /// Adds many openings.
    pub async fn fill_many(&mut self, life: Life, count: u64) {
        fill_many(&mut self.connection, life, self.next, count).await;
        self.next += count;
    }

    /// The state from which each phase begins.
    pub async fn settle(&mut self) {
        for statement in ["vacuum (analyze)", "checkpoint", "alter sequence bench_n restart"] {
            run(&mut self.connection, statement).await;
        }
    }

    /// Reads what webhooks look up at random places, their tracking ids and IBANs: where a service has been running for a while,
    /// Postgres or the system holds that in memory.
    pub async fn warm(&mut self) {
        run(&mut self.connection, "set enable_seqscan = off; set enable_sort = off").await;
        for columns in ["provider, provider_ref", "iban"] {
            let all = format!("select {columns} from account_openings order by {columns} offset 0");
            run(&mut self.connection, &format!("select count(*) from ({all}) o")).await;
        }
        run(&mut self.connection, "reset enable_seqscan; reset enable_sort").await;
    }

    /// Waits until no fact is pending but those that were filled in to wait an hour for their opening.
    pub async fn drained(&mut self) {
        let pending = "select exists (select from inbox where due_at < now() + interval '10 minutes')";
        while sqlx::query_scalar(pending).fetch_one(&mut self.connection).await.expect("Postgres answers") {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Bytes of WAL written so far, by all databases.
    pub async fn wal(&mut self) -> f64 {
        let wal = "select (pg_current_wal_insert_lsn() - '0/0')::float8";
        sqlx::query_scalar(wal).fetch_one(&mut self.connection).await.expect("Postgres answers")
    }
}
