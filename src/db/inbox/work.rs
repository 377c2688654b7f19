//! Settles facts, each in the transaction that claimed it.

use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::domain::Outcome;

/// A waiting fact, locked by the transaction that claimed it.
#[derive(Clone, Debug)]
pub struct Pending {
    pub id: Uuid,
    pub source: String,
    pub provider: String,
    /// The index of the event in the body.
    pub part: i32,
    pub body: Vec<u8>,
    pub headers: Value,
    /// The opening that our id in it names.
    pub opening_id: Option<Uuid>,
    /// The tracking id in it.
    pub provider_ref: Option<String>,
    pub received_at: Time,
    /// The start of its retries: when it was received or redriven.
    pub retry_from: Time,
    /// Errors of our own so far.
    pub attempts: i32,
}

#[derive(Clone, Debug)]
pub struct Settlement {
    pub id: Uuid,
    pub outcome: Outcome,
    pub opening_id: Uuid,
}

/// Settles decided facts. They were claimed in the same transaction, so each is exactly one row.
pub async fn settle(connection: &mut PgConnection, settled: &[Settlement], now: Time) -> sqlx::Result<()> {
    if settled.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = settled.iter().map(|it| it.id).collect();
    let outcomes: Vec<&str> = settled.iter().map(|it| it.outcome.as_str()).collect();
    let openings: Vec<Uuid> = settled.iter().map(|it| it.opening_id).collect();
    let status = |outcome| match outcome {
        Outcome::Applied | Outcome::Recorded | Outcome::Conflict => "applied",
        Outcome::Duplicate | Outcome::Superseded | Outcome::Unknown | Outcome::Parked => "ignored",
    };
    let statuses: Vec<&str> = settled.iter().map(|it| status(it.outcome)).collect();
    let done = sqlx::query!(
        r#"-- inbox::settle
        update inbox i
           set status = n.status, outcome = n.outcome, due_at = null, opening_id = n.opening_id, settled_at = $5
          from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[]) as n(id, status, outcome, opening_id)
         where i.id = n.id and i.status = 'pending'"#,
        &ids,
        &statuses as &[&str],
        &outcomes as &[&str],
        &openings,
        now,
    )
    .execute(connection)
    .await?;
    if done.rows_affected() == ids.len() as u64 { Ok(()) } else { Err(sqlx::Error::RowNotFound) }
}

/// Records an error of our own: the fact is retried at `next`, or dead if None. Contention does not count, because it
/// says nothing about the fact.
pub async fn fail(
    connection: &mut PgConnection,
    id: Uuid,
    cause: &str,
    counts: bool,
    next: Option<Time>,
    now: Time,
) -> sqlx::Result<()> {
    let entry = json!([{"at": now, "class": if counts { "error" } else { "contention" }, "cause": cause}]);
    let (status, outcome) = if next.is_some() { ("pending", None) } else { ("dead", Some("processing_failed")) };
    sqlx::query!(
        r#"-- inbox::fail
        update inbox
           set attempts = attempts + $6, attempt_log = attempt_log || $2, status = $3, outcome = $4,
               due_at = $5
         where id = $1 and status = 'pending'"#,
        id,
        entry,
        status,
        outcome,
        next,
        i32::from(counts),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes a fact that cannot be read a dead letter.
pub async fn mark_unreadable(connection: &mut PgConnection, id: Uuid, cause: &str, now: Time) -> sqlx::Result<()> {
    let entry = json!([{"at": now, "class": "unreadable", "cause": cause}]);
    sqlx::query!(
        r#"-- inbox::mark_unreadable
        update inbox set status = 'dead', outcome = 'unreadable', due_at = null, attempt_log = attempt_log || $2
         where id = $1 and status = 'pending'"#,
        id,
        entry,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The number of our own errors with a fact.
pub async fn attempts(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<i32> {
    let attempts = sqlx::query_scalar!(
        r#"-- inbox::attempts
        select attempts from inbox where id = $1"#,
        id
    )
    .fetch_optional(connection)
    .await?;
    Ok(attempts.unwrap_or_default())
}

/// The newest poll's fact of each opening: `(opening, received at, body)`. Those that were archived are left out.
pub async fn last_polls(connection: &mut PgConnection, openings: &[Uuid]) -> sqlx::Result<Vec<(Uuid, Time, Vec<u8>)>> {
    if openings.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        r#"-- inbox::last_polls
        select o.id as "id!", i.received_at as "received_at!", i.body as "body!"
          from unnest($1::uuid[]) as o(id)
         cross join lateral (select received_at, body from inbox
                              where opening_id = o.id and source = 'poll' and status in ('applied', 'ignored')
                              order by id desc limit 1) as i"#,
        openings,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|it| (it.id, it.received_at, it.body)).collect())
}
