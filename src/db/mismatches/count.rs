//! How many mismatches there are, by class and state.

use sqlx::PgConnection;

use super::Filter;

/// More are not counted.
pub const MOST: i64 = 10_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    pub class: String,
    pub state: String,
    pub count: i64,
}

/// The mismatches of a list, counted up to one more than [`MOST`] in all.
pub async fn count(connection: &mut PgConnection, filter: &Filter) -> sqlx::Result<Vec<Count>> {
    sqlx::query_as!(
        Count,
        r#"-- mismatches::count
        select class as "class!", state as "state!", count(*) as "count!"
          from (select class, state from mismatches m
                 where ($1::text is null or class = $1)
                   and ($2::text is null or state = $2)
                   and ($3::text is null or provider = $3)
                   and ($4::text is null or market = $4)
                   and ($5::uuid is null or opening_id = $5)
                   and ($6::uuid is null or exists (select from mismatch_reports r
                                                     where r.mismatch_id = m.id and r.report_id = $6))
                 limit $7) as counted
         group by class, state
         order by class, state"#,
        filter.class,
        filter.state,
        filter.provider,
        filter.market,
        filter.opening_id,
        filter.report,
        MOST + 1,
    )
    .fetch_all(connection)
    .await
}
