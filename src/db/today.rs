//! The counts of the first page: the work that waits for a person now, each with its oldest; and a day's charts.
//!
//! Each count reads an index of its own and stops at [`MAX_COUNTED`], so that the page's cost does not grow with the tables.

use sqlx::PgConnection;
use uuid::Uuid;

use super::gauges::MAX_COUNTED;
use crate::clock::Time;

/// Something counted.
#[derive(Clone, Debug)]
pub struct Counted {
    /// `escalated`, `tickets`, `cases`, `refused`, `reports`.
    pub name: String,
    pub count: i64,
    pub oldest: Option<Time>,
}

/// The counts of one table each. Refused webhooks count that came after the id `refused_after` and were not verified since.
///
/// Plan: the escalated openings are those of `opening_counts`. The oldest of them is found by the open tickets, of which each has
/// one; without tickets it is looked for among the newest [`MAX_COUNTED`] that ever escalated, since no index covers the state.
pub async fn counts(connection: &mut PgConnection, refused_after: Uuid) -> sqlx::Result<Vec<Counted>> {
    sqlx::query_as!(
        Counted,
        r#"-- today::counts
        select 'escalated' as "name!", greatest(n, 0) as "count!",
               case when n > 0 then coalesce(
                   (select min(o.escalated_at)
                      from (select opening_id from tickets
                             where status = 'open' and kind = 'AccountOpeningWebhookNotReceived'
                             order by id limit (select $2::bigint)) as t
                     cross join lateral (select escalated_at from account_openings
                                          where id = t.opening_id and state = 'escalated' limit 1) as o),
                   (select min(escalated_at)
                      from (select escalated_at, state from account_openings
                             where escalated_at is not null order by id desc limit (select $2)) as ever
                     where state = 'escalated')) end as oldest
          from (select coalesce(sum(count), 0)::bigint as n
                  from (select count from opening_counts where state = 'escalated'
                         union all
                        select change from opening_count_changes where state = 'escalated') as either) as escalated
         union all
        select 'tickets', count(*), min(created_at)
          from (select created_at from tickets where status = 'open' order by id limit (select $2)) as open
         union all
        select 'cases', count(*), min(created_at)
          from (select created_at from cases where status = 'open' order by id limit (select $2)) as open
         union all
        select 'refused', count(*), min(received_at)
          from (select received_at from rejected_requests
                 where id > $1 and verified_at is null order by id limit (select $2)) as refused
         union all
        select 'reports', count(*), min(received_at)
          from (select received_at from reports where state = 'held' order by id limit (select $2)) as held"#,
        refused_after,
        MAX_COUNTED,
    )
    .fetch_all(connection)
    .await
}

/// Dead letters of a queue and a cause.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    pub queue: String,
    pub cause: String,
    pub count: i64,
    pub oldest: Time,
}

/// Dead letters by queue and cause, the most first.
pub async fn dead_letters(connection: &mut PgConnection) -> sqlx::Result<Vec<DeadLetters>> {
    sqlx::query_as!(
        DeadLetters,
        r#"-- today::dead_letters
        select queue as "queue!", coalesce(outcome, 'unknown') as "cause!", count(*) as "count!", min(at) as "oldest!"
          from ((select 'inbox' as queue, outcome, received_at as at from inbox
                  where status = 'dead' order by id limit (select $1::bigint))
                 union all
                (select 'outbox', outcome, created_at from outbox
                  where status = 'dead' order by id limit (select $1))) as dead
         group by queue, outcome
         order by count(*) desc, queue, outcome"#,
        MAX_COUNTED,
    )
    .fetch_all(connection)
    .await
}

/// The providers and markets for which an opening has waited since `since`, among the oldest [`MAX_COUNTED`] that have a
/// timer. A wait ends at its deadline, `wait` after its beginning. Plan: the anchors are read row by row; a join would read all.
pub async fn waiting_since(
    connection: &mut PgConnection,
    since: Time,
    wait: chrono::TimeDelta,
) -> sqlx::Result<Vec<(String, String)>> {
    let deadline = since.checked_add_signed(wait).unwrap_or(Time::MAX_UTC);
    let rows = sqlx::query!(
        r#"-- today::waiting_since
        select distinct o.provider, o.market
          from (select opening_id from timers
                 where due_at is not null order by opening_id limit (select $2::bigint)) as oldest
         cross join lateral (select provider, market from account_openings
                              where id = oldest.opening_id and state = 'awaiting_provider' and deadline_at <= $1
                              limit 1) as o"#,
        deadline,
        MAX_COUNTED,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|it| (it.provider, it.market)).collect())
}

/// The count of a source or a state within an hour.
#[derive(Clone, Debug)]
pub struct InHour {
    /// The beginning of the hour.
    pub hour: Time,
    /// A source of an answer, or a state.
    pub word: String,
    /// At most [`MAX_COUNTED`] are counted in an hour.
    pub count: i64,
}

/// The final answers of each hour by their source.
pub async fn answers(connection: &mut PgConnection, hours: &[Time]) -> sqlx::Result<Vec<InHour>> {
    sqlx::query_as!(
        InHour,
        r#"-- today::answers
        select h.at as "hour!", a.source as "word!", count(*) as "count!"
          from unnest($1::timestamptz[]) as h(at)
         cross join lateral (select source from opening_history
                              where at >= h.at and at < h.at + interval '1 hour'
                                and to_state in ('issuing_card', 'rejected', 'failed')
                              limit (select $2::bigint)) as a
         group by h.at, a.source"#,
        hours,
        MAX_COUNTED,
    )
    .fetch_all(connection)
    .await
}

/// An hour as a range of ids, which begin with the time at which they were made.
#[derive(Clone, Copy, Debug)]
pub struct HourOfIds {
    pub hour: Time,
    /// The last id before the hour.
    pub after: Uuid,
    pub last: Uuid,
}

/// The openings that started in each hour by their state now.
pub async fn started(connection: &mut PgConnection, hours: &[HourOfIds]) -> sqlx::Result<Vec<InHour>> {
    let begins: Vec<Time> = hours.iter().map(|it| it.hour).collect();
    let after: Vec<Uuid> = hours.iter().map(|it| it.after).collect();
    let last: Vec<Uuid> = hours.iter().map(|it| it.last).collect();
    sqlx::query_as!(
        InHour,
        r#"-- today::started
        select h.at as "hour!", o.state as "word!", count(*) as "count!"
          from unnest($1::timestamptz[], $2::uuid[], $3::uuid[]) as h(at, after, last)
         cross join lateral (select state from account_openings
                              where id > h.after and id <= h.last order by id limit (select $4::bigint)) as o
         group by h.at, o.state"#,
        &begins,
        &after,
        &last,
        MAX_COUNTED,
    )
    .fetch_all(connection)
    .await
}

/// Final answers of a provider's openings, by their source.
#[derive(Clone, Debug)]
pub struct Learnt {
    pub provider: String,
    pub source: String,
    pub count: i64,
}

/// The final answers since `since`, the newest [`MAX_COUNTED`], by provider and source. Plan: as of [`waiting_since`]; the order keeps
/// the planner at the index of answers.
pub async fn learnt(connection: &mut PgConnection, since: Time) -> sqlx::Result<Vec<Learnt>> {
    sqlx::query_as!(
        Learnt,
        r#"-- today::learnt
        select o.provider as "provider!", h.source as "source!", count(*) as "count!"
          from (select opening_id, source from opening_history
                 where at >= $1 and to_state in ('issuing_card', 'rejected', 'failed')
                 order by at desc limit (select $2::bigint)) as h
         cross join lateral (select provider from account_openings where id = h.opening_id limit 1) as o
         group by o.provider, h.source
         order by o.provider, h.source"#,
        since,
        MAX_COUNTED,
    )
    .fetch_all(connection)
    .await
}
