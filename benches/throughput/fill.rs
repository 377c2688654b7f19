//! Fills a database with openings, by COPY.

use sqlx::{AssertSqlSafe, PgConnection};

use crate::rows::{Life, Rows};

/// Openings in one COPY.
const CHUNK: u64 = 20_000;
/// More than so many are told of while they are written.
const MANY: u64 = 100_000;

/// Writes openings `first..first + count`.
pub async fn fill(connection: &mut PgConnection, life: Life, first: u64, count: u64) {
    // As a restore does it: triggers and foreign keys have nothing to say about rows that are right by their making.
    run(connection, "set session_replication_role = replica").await;
    let (end, (send, mut made)) = (first + count, tokio::sync::mpsc::channel(1));
    // Rows are made while those before them are written.
    let making = tokio::task::spawn_blocking(move || {
        let mut from = first;
        while from < end {
            let to = (from + CHUNK).min(end);
            send.blocking_send((to, Rows::of(life, from, to))).expect("the rows are written");
            from = to;
        }
    });
    while let Some((to, rows)) = made.recv().await {
        rows.copy(connection).await;
        if count >= MANY && (to - first).is_multiple_of(MANY) {
            eprintln!("{} of {count} openings written", to - first);
        }
    }
    making.await.expect("rows are made");
    run(connection, "set session_replication_role = origin").await;
}

/// The same for many: indexes that do not rise with the openings are made after them.
pub async fn fill_many(connection: &mut PgConnection, life: Life, first: u64, count: u64) {
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "select format('alter table %s drop constraint %I', conrelid::regclass, conname),
                format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
           from pg_constraint
          where contype = 'u' and conrelid in ('account_openings'::regclass, 'opening_history'::regclass, 'inbox'::regclass)
          union all
         select format('drop index %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
           from pg_index i
          where indrelid in ('account_openings'::regclass, 'opening_history'::regclass, 'inbox'::regclass)
            and not indisunique",
    )
    .fetch_all(&mut *connection)
    .await
    .expect("Postgres answers");
    for (drop, _) in &indexes {
        run(connection, drop).await;
    }
    fill(connection, life, first, count).await;
    eprintln!("{count} openings written; making {} indexes", indexes.len());
    run(connection, "set maintenance_work_mem = '512MB'").await;
    for (_, make) in &indexes {
        run(connection, make).await;
    }
}

/// Runs a statement that gives nothing back.
pub async fn run(connection: &mut PgConnection, statement: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(connection).await;
    done.expect("Postgres does as it is told");
}
