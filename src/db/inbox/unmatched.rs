//! Facts that match no opening, waiting or dead.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::db::Page;
use crate::db::gauges::MAX_COUNTED;

#[derive(Clone, Debug)]
pub struct Unmatched {
    pub id: Uuid,
    pub source: String,
    pub provider: String,
    pub provider_ref: Option<String>,
    pub opening_id: Option<Uuid>,
    pub received_at: Time,
    /// The time that `PARKED_TTL` counts from: the receipt, or the redrive.
    pub retry_from: Time,
    pub status: String,
    /// None: dead.
    pub due_at: Option<Time>,
}

/// A page of them, newest first. A fact parked until its time although its opening exists is left out. Plan: `offset 0` keeps the
/// planner from hashing all openings for the facts that it looks at.
pub async fn unmatched(connection: &mut PgConnection, page: Page<Uuid>) -> sqlx::Result<Vec<Unmatched>> {
    sqlx::query_as!(
        Unmatched,
        r#"-- inbox::unmatched
        select id, source, provider, provider_ref, opening_id, received_at, retry_from, status, due_at
          from inbox i
         where outcome in ('parked', 'no_matching_opening') and id < $1
           and (outcome = 'no_matching_opening'
                or not exists (select from account_openings o where o.id = i.opening_id offset 0)
                   and not exists (select from account_openings o
                                    where o.provider = i.provider and o.provider_ref = i.provider_ref offset 0))
         order by id desc
         limit $2"#,
        page.after.unwrap_or(Uuid::max()),
        page.limit,
    )
    .fetch_all(connection)
    .await
}

/// Facts that matched no opening in their time, and the receipt of the oldest of them: dead letters, and those that have waited since
/// `cutoff` and are not dead yet. Each kind is counted up to [`MAX_COUNTED`].
pub async fn unmatched_in_time(connection: &mut PgConnection, cutoff: Time) -> sqlx::Result<(i64, Option<Time>)> {
    let row = sqlx::query!(
        r#"-- inbox::unmatched_in_time
        select count(*) as "count!", min(received_at) as oldest
          from ((select received_at from inbox i
                  where i.due_at is not null and i.outcome = 'parked' and i.retry_from <= $1
                    and not exists (select from account_openings o where o.id = i.opening_id)
                    and not exists (select from account_openings o
                                     where o.provider = i.provider and o.provider_ref = i.provider_ref)
                  order by i.retry_from limit (select $2::bigint))
                 union all
                (select received_at from inbox where status = 'dead' and outcome = 'no_matching_opening'
                  order by id limit (select $2))) as facts"#,
        cutoff,
        MAX_COUNTED,
    )
    .fetch_one(connection)
    .await?;
    Ok((row.count, row.oldest))
}
