//! Settling without a lease: only in a build for the controls of the chaos run.

use std::collections::HashSet;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::faults::broken::{Defence, mattered};

/// Ids, statuses, outcomes, times of the next try, counted attempts, entries of the log.
type Columns<'a> =
    (&'a [Uuid], &'a [&'static str], &'a [Option<&'a str>], &'a [Option<Time>], &'a [i32], &'a [serde_json::Value]);

/// Settles whatever stands there.
///
/// # Errors
/// When the database is away.
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
            set status = n.status, outcome = n.outcome, next_attempt_at = coalesce(n.next, o.next_attempt_at),
                attempts = o.attempts + n.attempts, attempt_log = o.attempt_log || n.log,
                lease_token = null, lease_until = null,
                delivered_at = case when n.status = 'delivered' then $7::timestamptz end
           from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::int[], $6::jsonb[])
             as n(id, status, outcome, next, attempts, log)
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
