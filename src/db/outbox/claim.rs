//! Claiming work under a lease: a share of every lane, so that neither a market's flood nor a sink that fails delays the
//! work of others.

use sqlx::PgConnection;
use uuid::Uuid;

use super::Claimed;
use crate::clock::Time;
use crate::domain::Topic;

/// Claims due work of one topic under a lease, at most `limit`: an equal share of each lane, as
/// [`inbox::claim`](crate::db::inbox::claim) does. Only the holder of `token` can settle that work. The claim passes over
/// `shut` lanes: the gate would defer their work, which would take the place of work that can be sent. A claim moves
/// `due_at` to the end of the lease: work of a crashed worker is then due by itself, and claimed work takes no share of its
/// lane. For work of providers, a shut lane is a provider's name, and stands for its lanes in all markets.
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
            (select o.lane, o.due_at from outbox o
              where o.topic = $1 and o.due_at is not null
              order by o.lane, o.due_at
              limit 1)
             union all
            (select next.lane, next.due_at from heads
              cross join lateral (select o.lane, o.due_at from outbox o
                                   where o.topic = $1 and o.due_at is not null and o.lane > heads.lane
                                   order by o.lane, o.due_at
                                   limit 1) as next)
        ), open as materialized (
            select lane, at, greatest(1, $5 / count(*) over ()) as share from heads
             where at <= $3 and case when $8 then split_part(lane, '/', 1) else lane end <> all ($6)
             order by hashtextextended(lane, $7)
        ), due as materialized (
            select id, count(*) over (partition by lane) >= share as fills_share
              from (select mine.id, open.lane, open.share from open
                     cross join lateral (select o.id from outbox o
                                          where o.topic = $1 and o.lane = open.lane
                                            and o.due_at between open.at and $3
                                          order by o.due_at, o.id
                                          limit open.share
                                            for update skip locked) as mine
                     limit (select $5)) as locked
        )
        update outbox o
           set lease_token = $2, due_at = $4, claims = o.claims + 1
          from due
         where o.id = due.id
        returning o.id, o.opening_id, o.payload, o.attempts, o.claims, o.attempt_log, o.retry_from,
                  due.fills_share as "fills_share!""#,
        topic.as_str(),
        token,
        now,
        lease_until,
        limit,
        shut,
        now.timestamp_micros(),
        topic.is_for_provider(),
    )
    .fetch_all(connection)
    .await
}

/// Claims work on tickets at the tracker: of each ticket one row at a time, in the order of its revisions. Dead letters block
/// nothing.
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
             where topic = $1 and lane = '' and due_at <= $3
               and not exists (
                   select from outbox other
                    where other.opening_id = o.opening_id and other.id <> o.id
                      and other.topic in ('open_ticket', 'close_ticket')
                      and other.due_at is not null
                      and other.payload ->> 'kind' = o.payload ->> 'kind'
                      and ((other.payload ->> 'revision')::bigint < (o.payload ->> 'revision')::bigint
                           or (other.lease_token is not null and other.due_at > $3)))
             order by due_at, id
             limit $5
               for update skip locked
        )
        update outbox o
           set lease_token = $2, due_at = $4, claims = o.claims + 1
          from due
         where o.id = due.id
        returning o.id, o.opening_id, o.payload, o.attempts, o.claims, o.attempt_log, o.retry_from,
                  false as "fills_share!""#,
        topic.as_str(),
        token,
        now,
        lease_until,
        limit,
    )
    .fetch_all(connection)
    .await
}
