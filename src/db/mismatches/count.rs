//! How many mismatches there are, by class and state.

use sqlx::PgConnection;
use uuid::Uuid;

use super::place::{Filter, Place, in_place};

/// More are not counted: each is read by its id, as the list reads it.
pub const MOST: i64 = 1_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    pub class: String,
    pub state: String,
    pub count: i64,
}

macro_rules! count_among {
    ($connection:expr, $filter:expr, $most:expr, $name:literal, $among:literal, $order:literal, $fits:literal) => {
        sqlx::query_as!(
            Count,
            "-- mismatches::count"
                + $name
                + r#"
            select class as "class!", state as "state!", count(*) as "count!"
              from (select m.class, m.state
                      from ("#
                + $among
                + r#" limit (select null::bigint)) as said
                     cross join lateral (select * from mismatches where id = said.id limit 1) as m
                     where "#
                + $fits
                + r#"
                     order by "#
                + $order
                + r#"
                     limit $9) as counted
             group by class, state
             order by class, state"#,
            $filter.id,
            $filter.class,
            $filter.state,
            $filter.provider,
            $filter.market,
            $filter.opening_id,
            $filter.report,
            Uuid::max(),
            $most,
        )
        .fetch_all($connection)
        .await
    };
}

/// The mismatches of a list, counted up to one more than [`MOST`] in all; they are found as the list finds them.
pub async fn count(connection: &mut PgConnection, filter: &Filter) -> sqlx::Result<Vec<Count>> {
    if filter.place() == Place::All {
        return count_all(connection, filter).await;
    }
    in_place!(count_among, connection, filter, MOST + 1)
}

/// In the order in which they stand in the table: reading thousands one by one would take longer than all else on the page.
async fn count_all(connection: &mut PgConnection, filter: &Filter) -> sqlx::Result<Vec<Count>> {
    sqlx::query_as!(
        Count,
        r#"-- mismatches::count_all
        select class as "class!", state as "state!", count(*) as "count!"
          from (select class, state from mismatches
                 where ($1::text is null or provider = $1) and ($2::text is null or market = $2)
                 limit (select $3::bigint)) as counted
         group by class, state
         order by class, state"#,
        filter.provider,
        filter.market,
        MOST + 1,
    )
    .fetch_all(connection)
    .await
}
