//! Settling without a lease token, and work written after the commit of its step; only in builds for the chaos run's
//! controls.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{NewWork, insert};
use crate::clock::Time;
use crate::faults::broken::{Defence, mattered, pool};

/// Ids, statuses, outcomes, next attempts, counted attempts, log entries.
type Columns<'a> =
    (&'a [Uuid], &'a [&'static str], &'a [Option<&'a str>], &'a [Option<Time>], &'a [i32], &'a [serde_json::Value]);

/// Settles rows without checking their lease.
pub async fn settle(
    connection: &mut PgConnection,
    token: Uuid,
    (ids, statuses, outcomes, next, attempts, logs): Columns<'_>,
    now: Time,
) -> sqlx::Result<HashSet<Uuid>> {
    let others: bool = sqlx::query_scalar(
        "select exists (select 1 from outbox where id = any($1) and lease_token is distinct from $2)",
    )
    .bind(ids)
    .bind(token)
    .fetch_one(&mut *connection)
    .await?;
    if others {
        mattered(Defence::LeaseToken);
    }
    sqlx::query(
        "update outbox o
            set status = n.status, outcome = n.outcome, due_at = n.due_at,
                attempts = o.attempts + n.attempts, attempt_log = o.attempt_log || n.log,
                lease_token = null,
                delivered_at = case when n.status = 'delivered' then $7::timestamptz end
           from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::int[], $6::jsonb[])
             as n(id, status, outcome, due_at, attempts, log)
          where o.id = n.id",
    )
    .bind(ids)
    .bind(statuses)
    .bind(outcomes)
    .bind(next)
    .bind(attempts)
    .bind(logs)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(ids.iter().copied().collect())
}

/// Inserts work a moment after the commit of its step, if the process lives that long.
pub fn insert_later(work: Vec<NewWork>, now: Time) {
    tokio::spawn(async move {
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let Ok(pool) = pool() else { return };
            let Ok(mut connection) = pool.acquire().await else { continue };
            if insert(&mut connection, &work, now).await.is_ok() {
                return;
            }
        }
    });
}
