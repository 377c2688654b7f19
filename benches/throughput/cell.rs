//! The cluster, and one database of it with its openings.

use std::time::Duration;

use account_opening::clock::{Clock, Time};
use account_opening::config::{DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET};
use account_opening::db::migrations;
use account_opening::embedded::Cluster;
use account_opening::simulator::{Options, Simulator};
use chrono::TimeDelta;
use sqlx::{Connection, PgConnection};

use crate::{fill, limit};

/// Nothing of what is filled becomes due while it is measured.
const DUE_AFTER: TimeDelta = TimeDelta::hours(12);
const LOOK: Duration = Duration::from_millis(5);

/// What runs all the time.
pub struct World {
    pub cluster: Cluster,
    pub simulator: Simulator,
    due: Time,
}

impl World {
    pub async fn start() -> Self {
        let cluster = Cluster::temporary(None, 200).await.expect("a private Postgres");
        let options = Options::local(DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET);
        let simulator = Simulator::start(options).await.expect("the simulator");
        Self { cluster, simulator, due: Clock::system().now() + DUE_AFTER }
    }

    pub async fn stop(self) {
        self.simulator.stop().await;
        self.cluster.stop().await.expect("Postgres stops");
    }
}

/// A database with the schema and the functions of the limit.
pub struct Cell {
    pub url: String,
    pub connection: PgConnection,
    due: Time,
    next: u64,
}

impl Cell {
    pub async fn make(world: &World, name: &str) -> Self {
        let mut first = PgConnection::connect(world.cluster.url()).await.expect("Postgres answers");
        let create = format!("create database {name}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut first).await.expect("a database");
        first.close().await.expect("Postgres answers");
        let url = world.cluster.url_for(name);
        let mut connection = PgConnection::connect(&url).await.expect("Postgres answers");
        migrations::migrate(&mut connection, "public").await.expect("the migrations");
        limit::install(&mut connection).await;
        Self { url, connection, due: world.due, next: 1 }
    }

    /// Adds openings that wait for the bank; the number of the first.
    pub async fn fill(&mut self, count: u64) -> u64 {
        let first = self.next;
        fill::waiting(&mut self.connection, first, count, self.due).await;
        self.next += count;
        first
    }

    /// The state from which each phase begins.
    pub async fn settle(&mut self) {
        for statement in ["vacuum (analyze)", "checkpoint", "alter sequence bench_n restart"] {
            sqlx::raw_sql(statement).execute(&mut self.connection).await.expect("Postgres answers");
        }
    }

    /// Waits until no fact is pending.
    pub async fn drained(&mut self) {
        let pending = "select exists (select from inbox where status = 'pending')";
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
