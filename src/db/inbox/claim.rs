//! Claiming facts that are due: a share of every lane, so that nobody's flood stands before others' facts.
//!
//! A fact is claimed by locking its row until the end of the transaction: what another worker holds is passed over, and a
//! worker that dies leaves nothing behind.

use sqlx::PgConnection;
use uuid::Uuid;

use super::Pending;
use crate::clock::Time;

/// The most bytes of bodies in one claim, of which a larger one stands alone: what is read at once is held in memory.
pub const MAX_BYTES: usize = 8 * 1_024 * 1_024;

/// Claims facts that are due, at most `limit` and [`MAX_BYTES`] of bodies: of each lane that has any an equal share, one at
/// the least, in the order of time; what some lanes leave goes to those that have more. With more lanes than `limit` it is the
/// turn of other lanes each time. Beyond the bytes, lanes are cut off whose turn is another time: they are begun with by chance.
///
/// The lanes are found by going from the head of one to the head of the next, so that their number counts and not their
/// length. The limits are sub-selects: a plan that is made for the numbers would be made anew for each claim.
pub async fn claim(connection: &mut PgConnection, now: Time, limit: i64) -> sqlx::Result<Vec<Pending>> {
    let mut claimed = sqlx::query_as!(
        Pending,
        r#"-- inbox::claim
        with recursive heads (lane, at) as (
            (select i.lane, i.next_attempt_at from inbox i
              where i.status = 'pending'
              order by i.lane, i.next_attempt_at
              limit 1)
             union all
            (select next.lane, next.next_attempt_at from heads
              cross join lateral (select i.lane, i.next_attempt_at from inbox i
                                   where i.status = 'pending' and i.lane > heads.lane
                                   order by i.lane, i.next_attempt_at
                                   limit 1) as next)
        ), due as materialized (
            select lane, at, greatest(1, $2 / count(*) over ()) as share from heads
             where at <= $1
             order by hashtextextended(lane, $3)
        )
        select id as "id!", source as "source!", provider as "provider!", part as "part!", body as "body!",
               headers as "headers!", opening_id, provider_ref, received_at as "received_at!",
               retry_from as "retry_from!", attempts as "attempts!"
          from (select *, sum(octet_length(body)) over (rows unbounded preceding) - octet_length(body) as before from (
                select mine.* from due
                 cross join lateral (select i.* from inbox i
                                      where i.status = 'pending' and i.lane = due.lane
                                        and i.next_attempt_at between due.at and $1
                                      order by i.next_attempt_at, i.id
                                      limit due.share
                                        for update skip locked) as mine
                 union all
                -- Read only if the shares left room.
                select more.* from due
                 cross join lateral (select i.* from inbox i
                                      where i.status = 'pending' and i.lane = due.lane
                                        and i.next_attempt_at between due.at and $1
                                      order by i.next_attempt_at, i.id
                                     offset due.share limit (select $2)
                                        for update skip locked) as more
                 limit (select $2)) as locked) as claimed
         where before < $4"#,
        now,
        limit,
        now.timestamp_micros(),
        i64::try_from(MAX_BYTES).unwrap_or(i64::MAX),
    )
    .fetch_all(connection)
    .await?;
    // In the order of receipt. One that another worker let go while this ran could stand in a share and behind it.
    claimed.sort_unstable_by_key(|it| it.id);
    claimed.dedup_by_key(|it| it.id);
    Ok(claimed)
}

/// How many facts are due, counted as far as `most`. From the index alone: it does not ask what they are.
pub async fn due(connection: &mut PgConnection, now: Time, most: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"-- inbox::due
        select count(*) as "count!"
          from (select from inbox where status = 'pending' and next_attempt_at <= $1 limit (select $2::bigint)) as due"#,
        now,
        most,
    )
    .fetch_one(connection)
    .await
}

/// Claims these facts, as far as they still are due and nobody holds them.
pub async fn claim_these(connection: &mut PgConnection, ids: &[Uuid], now: Time) -> sqlx::Result<Vec<Pending>> {
    sqlx::query_as!(
        Pending,
        r#"-- inbox::claim_these
        select id, source, provider, part, body, headers, opening_id, provider_ref, received_at, retry_from, attempts
          from inbox
         where id = any($1) and status is not distinct from 'pending' and next_attempt_at <= $2
         order by id
           for update skip locked"#,
        ids,
        now,
    )
    .fetch_all(connection)
    .await
}
