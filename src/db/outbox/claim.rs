//! Claiming work under a lease: a share of every lane, so that neither a market's flood nor a subscriber that is out of order
//! stands before the others' work.

use sqlx::PgConnection;
use uuid::Uuid;

use super::Claimed;
use crate::clock::Time;
use crate::domain::Topic;

/// Claims due work of one topic under a lease, at most `limit`, in the way of [`inbox::claim`](crate::db::inbox::claim): of
/// each lane an equal share, and what some leave goes to the others. Only who holds `token` can settle it. What is for one
/// of the subscribers that are `shut` stays as it is, and due: claimed only to be held, it would keep others waiting. Their
/// lanes are passed over, however much is in them; what an older version wrote has no lane, and is told by its payload.
pub async fn claim(
    connection: &mut PgConnection,
    topic: Topic,
    token: Uuid,
    now: Time,
    lease_until: Time,
    shut: &[String],
    limit: i64,
) -> sqlx::Result<Vec<Claimed>> {
    sqlx::query_as!(
        Claimed,
        r#"-- outbox::claim
        with recursive heads (lane, at) as (
            (select o.lane, o.next_attempt_at from outbox o
              where o.topic = $1 and o.status = 'pending'
              order by o.lane, o.next_attempt_at
              limit 1)
             union all
            (select next.lane, next.next_attempt_at from heads
              cross join lateral (select o.lane, o.next_attempt_at from outbox o
                                   where o.topic = $1 and o.status = 'pending' and o.lane > heads.lane
                                   order by o.lane, o.next_attempt_at
                                   limit 1) as next)
        ), open as materialized (
            select lane, at, greatest(1, $5 / count(*) over ()) as share from heads
             where at <= $3 and lane <> all ($6)
             order by hashtextextended(lane, $7)
        ), due as materialized (
            select id from (
                select mine.id from open
                 cross join lateral (select o.id from outbox o
                                      where o.topic = $1 and o.status = 'pending' and o.lane = open.lane
                                        and o.next_attempt_at between open.at and $3
                                        and (o.lease_until is null or o.lease_until <= $3)
                                        and (o.lane <> '' or coalesce(o.payload ->> 'subscriber', '') <> all ($6))
                                      order by o.next_attempt_at, o.id
                                      limit open.share
                                        for update skip locked) as mine
                 union all
                -- Read only if the shares left room.
                select more.id from open
                 cross join lateral (select o.id from outbox o
                                      where o.topic = $1 and o.status = 'pending' and o.lane = open.lane
                                        and o.next_attempt_at between open.at and $3
                                        and (o.lease_until is null or o.lease_until <= $3)
                                        and (o.lane <> '' or coalesce(o.payload ->> 'subscriber', '') <> all ($6))
                                      order by o.next_attempt_at, o.id
                                     offset open.share limit (select $5)
                                        for update skip locked) as more
            ) as claimed
             limit (select $5)
        )
        update outbox o
           set lease_token = $2, lease_until = $4, claims = o.claims + 1
          from due
         where o.id = due.id
        returning o.id, o.opening_id, o.payload, o.attempts, o.claims, o.attempt_log, o.retry_from"#,
        topic.as_str(),
        token,
        now,
        lease_until,
        limit,
        shut,
        now.timestamp_micros(),
    )
    .fetch_all(connection)
    .await
}

/// The same for tickets at the tracker, of which each is worked on one after the other: in the order of what happened to it,
/// and never twice at the same time. What is dead blocks nothing.
pub async fn claim_in_turn(
    connection: &mut PgConnection,
    topic: Topic,
    token: Uuid,
    now: Time,
    lease_until: Time,
    limit: i64,
) -> sqlx::Result<Vec<Claimed>> {
    sqlx::query_as!(
        Claimed,
        r#"-- outbox::claim_in_turn
        with due as (
            select id from outbox o
             where topic = $1 and lane = '' and status = 'pending' and next_attempt_at <= $3
               and (lease_until is null or lease_until <= $3)
               and not exists (
                   select from outbox other
                    where other.opening_id = o.opening_id and other.id <> o.id
                      and other.topic in ('open_ticket', 'close_ticket')
                      and other.status is not distinct from 'pending'
                      and other.payload ->> 'kind' = o.payload ->> 'kind'
                      and ((other.payload ->> 'revision')::bigint < (o.payload ->> 'revision')::bigint
                           or other.lease_until > $3))
             order by next_attempt_at, id
             limit $5
               for update skip locked
        )
        update outbox o
           set lease_token = $2, lease_until = $4, claims = o.claims + 1
          from due
         where o.id = due.id
        returning o.id, o.opening_id, o.payload, o.attempts, o.claims, o.attempt_log, o.retry_from"#,
        topic.as_str(),
        token,
        now,
        lease_until,
        limit,
    )
    .fetch_all(connection)
    .await
}
