//! Stores refused webhooks and deletes the oldest in the same transaction, so that no commit exceeds the bound.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Cause;
use crate::clock::Time;

/// Rows that the first statement examines; each further one examines twice as many. A commit that displaces a few rows
/// must not lock a thousand.
const FIRST: i64 = 32;
/// Maximum rows examined by one statement.
const BATCH: i64 = 1_000;
/// Statements per transaction: far more than a batch of inserts displaces. Only a lowered bound needs more than one
/// transaction.
const ROUNDS: usize = 100;

#[derive(Clone, Debug)]
pub struct NewRefusedWebhook {
    pub id: Uuid,
    pub provider: String,
    pub cause: Cause,
    pub received_at: Time,
    pub source: String,
    pub method: String,
    pub path: String,
    pub headers: Value,
    pub body: Option<Vec<u8>>,
    pub body_bytes: Option<i64>,
    pub bytes: i64,
}

/// Stores rows; idempotent by id. Call it in a transaction, followed by [`trim`].
pub async fn insert(connection: &mut PgConnection, rows: &[&NewRefusedWebhook]) -> sqlx::Result<()> {
    // Lock order: this lock precedes all row locks, so its holder waits for no transaction that waits for it.
    sqlx::query!(
        r"-- refused_webhooks::lock
        select 1 as one from rejected_total for update",
    )
    .fetch_all(&mut *connection)
    .await?;
    let ids: Vec<Uuid> = rows.iter().map(|it| it.id).collect();
    let providers: Vec<String> = rows.iter().map(|it| it.provider.clone()).collect();
    let causes: Vec<String> = rows.iter().map(|it| it.cause.to_string()).collect();
    let received: Vec<Time> = rows.iter().map(|it| it.received_at).collect();
    let sources: Vec<String> = rows.iter().map(|it| it.source.clone()).collect();
    let methods: Vec<String> = rows.iter().map(|it| it.method.clone()).collect();
    let paths: Vec<String> = rows.iter().map(|it| it.path.clone()).collect();
    let headers: Vec<Value> = rows.iter().map(|it| it.headers.clone()).collect();
    let bodies: Vec<Option<&[u8]>> = rows.iter().map(|it| it.body.as_deref()).collect();
    let lengths: Vec<Option<i64>> = rows.iter().map(|it| it.body_bytes).collect();
    let bytes: Vec<i64> = rows.iter().map(|it| it.bytes).collect();
    sqlx::query!(
        r#"-- refused_webhooks::insert
        insert into rejected_requests (id, provider, cause, received_at, source, method, path, headers, body, body_bytes,
                                       bytes)
        select * from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
                             $8::jsonb[], $9::bytea[], $10::bigint[], $11::bigint[])
        on conflict (id) do nothing"#,
        &ids,
        &providers,
        &causes,
        &received,
        &sources,
        &methods,
        &paths,
        &headers,
        &bodies as &[Option<&[u8]>],
        &lengths as &[Option<i64>],
        &bytes,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes the oldest rows until no source of `sources` holds more than half of `most` bytes, and all together at most
/// `most`. Returns the number.
pub async fn trim(connection: &mut PgConnection, sources: &[String], most: i64) -> sqlx::Result<u64> {
    let half = most / 2;
    let over = sqlx::query!(
        r#"-- refused_webhooks::over_half
        select source, bytes from rejected_sources where source = any($1) and bytes > $2 order by source"#,
        sources,
        half,
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut gone = 0;
    for row in over {
        gone += evict(connection, Some(&row.source), row.bytes - half).await?;
    }
    let total = sqlx::query_scalar!(
        r#"-- refused_webhooks::total
        select bytes from rejected_total"#,
    )
    .fetch_one(&mut *connection)
    .await?;
    Ok(gone + evict(connection, None, total - most).await?)
}

/// Deletes the oldest rows, of one source or of all, until `excess` bytes are free.
async fn evict(connection: &mut PgConnection, source: Option<&str>, mut excess: i64) -> sqlx::Result<u64> {
    let (mut gone, mut batch) = (0, FIRST);
    for _ in 0..ROUNDS {
        if excess <= 0 {
            break;
        }
        let freed = match source {
            Some(source) => oldest_of(connection, source, excess, batch).await?,
            None => oldest(connection, excess, batch).await?,
        };
        if freed.is_empty() {
            break;
        }
        excess -= freed.iter().sum::<i64>();
        gone += freed.len() as u64;
        batch = (batch * 2).min(BATCH);
    }
    Ok(gone)
}

/// SKIP LOCKED: an erasure or a repeated verification may hold these rows and wait for ours (deadlock).
async fn oldest(connection: &mut PgConnection, excess: i64, batch: i64) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"-- refused_webhooks::oldest
        with oldest as materialized (
            select id, bytes from rejected_requests order by id limit $2 for update skip locked
        ), summed as (
            select id, sum(bytes) over (order by id) - bytes as before from oldest
        )
        delete from rejected_requests where id in (select id from summed where before < $1::bigint)
        returning bytes"#,
        excess,
        batch,
    )
    .fetch_all(connection)
    .await
}

async fn oldest_of(connection: &mut PgConnection, source: &str, excess: i64, batch: i64) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"-- refused_webhooks::oldest_of
        with oldest as materialized (
            select id, bytes from rejected_requests where source = $3 order by id limit $2 for update skip locked
        ), summed as (
            select id, sum(bytes) over (order by id) - bytes as before from oldest
        )
        delete from rejected_requests where id in (select id from summed where before < $1::bigint)
        returning bytes"#,
        excess,
        batch,
        source,
    )
    .fetch_all(connection)
    .await
}
