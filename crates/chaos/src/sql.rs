//! All SQL of the chaos run, directly against Postgres as superuser, without the proxies.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use futures::TryStreamExt;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::record::Row;

/// The services' cell: a schema that no session uses by default.
pub const CELL: &str = "chaos";

/// The dumped tables and their select lists.
const TABLES: [(&str, &str); 14] = [
    ("account_openings", "select row_to_json(t) from account_openings t"),
    ("opening_history", "select row_to_json(t) from opening_history t order by opening_id, version"),
    (
        "inbox",
        "select row_to_json(t) from (select id, consumer_group, event_id, source, provider, part, body_digest,
                encode(sha256(body), 'hex') as body_sha256, opening_id, provider_ref, received_at, status, outcome, attempts,
                due_at, attempt_log, duplicates, settled_at from inbox) t",
    ),
    (
        "outbox",
        "select row_to_json(t) from (select id, coalesce(opening_id::text, '') as opening_id, topic, payload, status, outcome,
                lease_token, claims, attempt_log, created_at, delivered_at from outbox) t",
    ),
    (
        "events",
        "select row_to_json(t) from (select id, coalesce(subject, opening_id) as opening_id, type, version, data, at
                from events) t",
    ),
    ("cases", "select row_to_json(t) from cases t"),
    ("tickets", "select row_to_json(t) from tickets t"),
    ("timers", "select row_to_json(t) from timers t"),
    ("idempotency_keys", "select row_to_json(t) from idempotency_keys t"),
    ("reports", "select row_to_json(t) from (select id, state from reports) t"),
    (
        "mismatches",
        "select row_to_json(t) from (select id, subject, class, state, opening_id from mismatches) t",
    ),
    ("mismatch_reports", "select row_to_json(t) from mismatch_reports t"),
    (
        "fee_ledger",
        "select row_to_json(t) from (select id, cause, debit, credit, amount::text, currency, opening_id, code, report_id,
                settles, reverses from fee_ledger) t",
    ),
    ("fee_sums", "select row_to_json(t) from (select debit, credit, amount::text, currency from fee_sums) t"),
];

/// A connection of the supervisor's own.
pub async fn connect(url: &str) -> anyhow::Result<PgConnection> {
    let connecting = tokio::time::timeout(Duration::from_secs(5), PgConnection::connect(url));
    let mut connection = connecting.await.context("Postgres does not answer")??;
    let settings = format!("set timezone = 'UTC'; set application_name = 'chaos'; set search_path = {CELL}");
    connection.execute(AssertSqlSafe(settings)).await?;
    Ok(connection)
}

/// Writes every table to `path`, as it is at one moment.
pub async fn dump(url: &str, path: &Path) -> anyhow::Result<()> {
    let mut connection = connect(url).await?;
    let mut file = BufWriter::new(File::create(path).context("the dump")?);
    let mut transaction = connection.begin_with("begin isolation level repeatable read read only").await?;
    for (table, query) in TABLES {
        let mut rows = sqlx::query_scalar::<_, Value>(query).fetch(&mut *transaction);
        while let Some(row) = rows.try_next().await? {
            serde_json::to_writer(&mut file, &Row { table: table.to_owned(), row })?;
            file.write_all(b"\n")?;
        }
    }
    file.flush().context("the dump")
}

/// The remaining work: waiting facts, commands and deliveries, and openings that are neither terminal nor escalated.
pub async fn backlog(connection: &mut PgConnection) -> sqlx::Result<(i64, i64, i64)> {
    sqlx::query_as(
        // A fact about a missing opening may wait for it: whether it may is for the judge. The events of some banks name the tracking id alone.
        "select (select count(*) from inbox i where status = 'pending'
                    and (i.outcome is distinct from 'parked'
                         or exists (select 1 from account_openings o
                                     where o.id = i.opening_id or o.provider_ref = i.provider_ref))),
                (select count(*) from outbox where status = 'pending'),
                (select count(*) from account_openings o
                  where state not in ('completed', 'rejected', 'failed')
                    and not exists (select 1 from tickets t where t.opening_id = o.id and t.status = 'open'))",
    )
    .fetch_one(connection)
    .await
}

/// Terminates every connection of the services; returns their number.
pub async fn terminate_backends(connection: &mut PgConnection) -> sqlx::Result<i64> {
    let query = "select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity
                  where application_name = 'account-opening'";
    sqlx::query_scalar(query).fetch_one(connection).await
}

/// Connects as soon as possible: Postgres may be restarting.
pub async fn connect_patiently(url: &str) -> anyhow::Result<PgConnection> {
    for _ in 0..40 {
        if let Ok(connection) = connect(url).await {
            return Ok(connection);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    connect(url).await
}

/// Locks a table for a time; returns the maximum number of waiting sessions observed.
pub async fn storm(url: &str, table: &str, length: Duration) -> anyhow::Result<i64> {
    let (mut holder, mut watcher) = (connect_patiently(url).await?, connect_patiently(url).await?);
    let me: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut holder).await?;
    let mut transaction = holder.begin().await?;
    transaction.execute(AssertSqlSafe(format!("lock table {table} in exclusive mode"))).await?;
    let until = tokio::time::Instant::now() + length;
    let mut waiting = 0;
    while tokio::time::Instant::now() < until {
        let query = "select count(*) from pg_stat_activity where $1 = any(pg_blocking_pids(pid))";
        // A Postgres killed meanwhile ends the storm; keep what was observed.
        let Ok(now) = sqlx::query_scalar::<_, i64>(query).bind(me).fetch_one(&mut watcher).await else { break };
        waiting = waiting.max(now);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Closing the connection releases the lock.
    drop(transaction);
    Ok(waiting)
}

/// Makes a role that may log in and nothing else.
pub async fn create_role(connection: &mut PgConnection, name: &str, password: &str) -> sqlx::Result<()> {
    connection.execute(AssertSqlSafe(format!("create role {name} login password '{password}'"))).await.map(|_| ())
}

/// The number of rows in the default schema.
pub async fn outside_the_cell(url: &str) -> anyhow::Result<i64> {
    let query = "select (select count(*) from public.account_openings) + (select count(*) from public.inbox)
                      + (select count(*) from public.outbox)";
    Ok(sqlx::query_scalar(query).fetch_one(&mut connect(url).await?).await?)
}

/// The folder of Postgres' own programs.
pub async fn programs(connection: &mut PgConnection) -> sqlx::Result<String> {
    sqlx::query_scalar("select setting from pg_config where name = 'BINDIR'").fetch_one(connection).await
}

/// Uses up transaction ids, so that later ones are higher.
pub async fn use_up_transactions(url: &str, count: u32) -> anyhow::Result<()> {
    let mut connection = connect(url).await?;
    connection.execute("set synchronous_commit = off").await?;
    let each = format!("do $$ begin for i in 1..{count} loop perform pg_current_xact_id(); commit; end loop; end $$");
    connection.execute(AssertSqlSafe(each)).await?;
    Ok(())
}

/// The id of the next transaction.
pub async fn next_transaction(url: &str) -> anyhow::Result<i64> {
    let query = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
    Ok(sqlx::query_scalar(query).fetch_one(&mut connect(url).await?).await?)
}

/// When Postgres was started.
pub async fn started(connection: &mut PgConnection) -> sqlx::Result<String> {
    sqlx::query_scalar("select pg_postmaster_start_time()::text").fetch_one(connection).await
}

/// Drops the unique key of events: a control's damage to the schema.
pub async fn drop_unique_key(connection: &mut PgConnection) -> sqlx::Result<()> {
    connection.execute("alter table inbox drop constraint an_event_is_stored_once").await?;
    connection.execute("create index an_event_is_stored on inbox (consumer_group, event_id)").await?;
    Ok(())
}

/// Numbers events by their transaction: a control's damage to the schema.
pub async fn number_events_by_transaction(connection: &mut PgConnection) -> sqlx::Result<()> {
    connection.execute("alter table events add column xid xid8 not null default pg_current_xact_id()").await.map(|_| ())
}
