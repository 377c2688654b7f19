//! Claiming facts that are due: of every lane a share, so that a flood in one lane does not delay the facts of others.
//!
//! A fact is claimed by locking its row until the end of the transaction. SKIP LOCKED passes over facts that another worker
//! holds, and a crashed worker leaves nothing behind.

use sqlx::PgConnection;
use uuid::Uuid;

use super::Pending;
use crate::clock::Time;

/// The most bytes of bodies in one claim, which is held in memory. A larger body is claimed alone.
const MAX_BYTES: i64 = 8 * 1_024 * 1_024;

/// The result of a claim.
pub struct Claim {
    /// In the order of receipt.
    pub facts: Vec<Pending>,
    /// Whether more may be due: a lane filled its share, or the bytes ended the claim.
    pub may_be_more: bool,
}

/// Claims facts that are due, at most `limit` and `MAX_BYTES` of bodies: of each lane an equal share, at least one fact, in the
/// order of time. Lanes take turns by a hash that changes with time, so that those cut off by limit or bytes differ each time.
///
/// The recursion goes from the head of one lane to the head of the next, so that the number of lanes counts and not their
/// length. The limits are sub-selects: with numbers, Postgres would plan each claim anew.
pub async fn claim(connection: &mut PgConnection, now: Time, limit: i64) -> sqlx::Result<Claim> {
    let rows = sqlx::query!(
        r#"-- inbox::claim
        with recursive heads (lane, at) as (
            (select i.lane, i.due_at from inbox i
              where i.due_at is not null
              order by i.lane, i.due_at
              limit 1)
             union all
            (select next.lane, next.due_at from heads
              cross join lateral (select i.lane, i.due_at from inbox i
                                   where i.due_at is not null and i.lane > heads.lane
                                   order by i.lane, i.due_at
                                   limit 1) as next)
        ), due as materialized (
            select lane, at, greatest(1, $2 / count(*) over ()) as share,
                   row_number() over (order by hashtextextended(lane, $3)) as turn
              from heads
             where at <= $1
        )
        select id as "id!", source as "source!", provider as "provider!", part as "part!", body as "body!",
               headers as "headers!", opening_id, provider_ref, received_at as "received_at!",
               retry_from as "retry_from!", attempts as "attempts!", fills_share as "fills_share!",
               before + octet_length(body) >= $4 as "ends_claim!"
          from (select locked.*, count(*) over (partition by turn) >= share as fills_share,
                       sum(octet_length(body)) over (order by turn, due_at, id rows unbounded preceding)
                           - octet_length(body) as before
                  from (select mine.*, due.share, due.turn from (select * from due order by turn) as due
                         cross join lateral (select i.* from inbox i
                                              where i.lane = due.lane and i.due_at between due.at and $1
                                              order by i.due_at, i.id
                                              limit due.share
                                                for update skip locked) as mine
                         limit (select $2)) as locked) as claimed
         where before < $4
         order by id"#,
        now,
        limit,
        now.timestamp_micros(),
        MAX_BYTES,
    )
    .fetch_all(connection)
    .await?;
    let may_be_more = rows.iter().any(|row| row.fills_share || row.ends_claim);
    let facts = rows.into_iter().map(|row| Pending {
        id: row.id,
        source: row.source,
        provider: row.provider,
        part: row.part,
        body: row.body,
        headers: row.headers,
        opening_id: row.opening_id,
        provider_ref: row.provider_ref,
        received_at: row.received_at,
        retry_from: row.retry_from,
        attempts: row.attempts,
    });
    Ok(Claim { facts: facts.collect(), may_be_more })
}

/// Counts the facts that are due, as far as `max`, from the index alone.
pub async fn due(connection: &mut PgConnection, now: Time, max: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"-- inbox::due
        select count(*) as "count!"
          from (select from inbox where due_at <= $1 limit (select $2::bigint)) as due"#,
        now,
        max,
    )
    .fetch_one(connection)
    .await
}

/// Counts the webhooks that all replicas have stored after this id, up to `max`: ids rise with time.
pub async fn webhooks_after(connection: &mut PgConnection, id: Uuid, max: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"-- inbox::webhooks_after
        select count(*) as "count!" from (select from inbox where id > $1 and source = 'webhook' limit $2) as came"#,
        id,
        max,
    )
    .fetch_one(connection)
    .await
}

/// Claims those of these facts that are still due and not locked. Plan: as every query by id, `is true` (see [`crate::db`]).
pub async fn claim_these(connection: &mut PgConnection, ids: &[Uuid], now: Time) -> sqlx::Result<Vec<Pending>> {
    sqlx::query_as!(
        Pending,
        r#"-- inbox::claim_these
        select id, source, provider, part, body, headers, opening_id, provider_ref, received_at, retry_from, attempts
          from inbox
         where id = any($1) and (due_at <= $2) is true
         order by id
           for update skip locked"#,
        ids,
        now,
    )
    .fetch_all(connection)
    .await
}
