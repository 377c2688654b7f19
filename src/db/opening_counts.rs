//! `opening_counts`: the number of openings per state and market.
//!
//! A trigger on the history records each statement's changes (`0008_archive_and_counts.sql`). The total is the counts plus
//! these changes; adding changes up moves them into the counts in one commit, so the total is right at any time.

use sqlx::PgConnection;

use super::gauges::Count;

pub async fn all(connection: &mut PgConnection) -> sqlx::Result<Vec<Count>> {
    sqlx::query_as!(
        Count,
        r#"-- opening_counts::all
        select state as "first!", market as "second!", sum(count)::bigint as "count!"
          from (select state, market, count from opening_counts
                 union all
                select state, market, change from opening_count_changes) as either
         group by state, market"#,
    )
    .fetch_all(connection)
    .await
}

/// Adds at most `limit` changes up; returns how many.
pub async fn add_up(connection: &mut PgConnection, limit: i64) -> sqlx::Result<u64> {
    let added = sqlx::query_scalar!(
        r#"-- opening_counts::add_up
        with changes as (
            delete from opening_count_changes
             where ctid = any(array(select ctid from opening_count_changes limit $1))
            returning state, market, change
        ), counts as (
            insert into opening_counts as held (state, market, count)
            select state, market, sum(change) from changes group by state, market order by state, market
                on conflict (state, market) do update set count = held.count + excluded.count
        )
        select count(*) as "count!" from changes"#,
        limit,
    )
    .fetch_one(connection)
    .await?;
    Ok(added.unsigned_abs())
}
