//! The inbox as it is in the database, and a way to have its inserts wait or fail.

use sqlx::{AssertSqlSafe, Postgres, Transaction};

use super::{TestApp, eventually};

/// A webhook as it was stored.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct InboxRow {
    pub event_id: String,
    pub body: Vec<u8>,
    pub status: String,
    pub outcome: Option<String>,
    pub duplicates: i32,
}

impl InboxRow {
    /// Status and outcome.
    pub fn settled(&self) -> (&str, Option<&str>) {
        (&self.status, self.outcome.as_deref())
    }
}

impl TestApp {
    /// The webhooks that were stored, in the order of their receipt.
    pub async fn inbox(&self) -> Vec<InboxRow> {
        sqlx::query_as(
            "select event_id, body, status, outcome, duplicates from inbox where source = 'webhook' order by id",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    /// Has every insert into the inbox wait until the transaction ends.
    pub async fn lock_inbox(&self) -> Transaction<'static, Postgres> {
        self.lock_table("inbox").await
    }

    /// Has every statement about the table wait until the transaction ends.
    pub async fn lock_table(&self, table: &str) -> Transaction<'static, Postgres> {
        let mut transaction = self.pool.begin().await.unwrap();
        let lock = AssertSqlSafe(format!("lock table {table} in access exclusive mode"));
        sqlx::query(lock).execute(&mut *transaction).await.unwrap();
        transaction
    }

    /// Returns when an insert waits for the lock.
    pub async fn an_insert_waits(&self) {
        self.a_statement_waits("inbox").await;
    }

    /// Returns when a statement waits for the table. Databases of tests are copies of one template, so a table has the same oid
    /// in all of them: only locks of this one count.
    pub async fn a_statement_waits(&self, table: &str) {
        let waits = "select exists (select 1 from pg_locks join pg_database d on d.oid = database and d.datname = current_database()
             where relation = $1::text::regclass and not granted)";
        eventually("a statement that waits", async || {
            let waits: bool = sqlx::query_scalar(waits).bind(table).fetch_one(&self.pool).await.unwrap();
            waits.then_some(())
        })
        .await;
    }

    /// Cuts the connections with inserts that wait for the lock.
    pub async fn cut_waiting_inserts(&self) {
        self.cut_waiting("inbox").await;
    }

    /// Postgres ends the connections that wait for the table's lock. The function returns when their processes have ended.
    pub async fn cut_waiting(&self, table: &str) {
        sqlx::query(
            "select pg_terminate_backend(pid, 10000) from pg_locks join pg_database d on d.oid = database and d.datname = current_database()
             where relation = $1::text::regclass and not granted",
        )
        .bind(table)
        .execute(&self.pool)
        .await
        .unwrap();
    }
}
