//! Which periods reports are about.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;

/// The most reports that are read: years of daily ones.
const MOST: i64 = 5_000;

/// A report and its period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covering {
    pub id: Uuid,
    pub provider: String,
    pub kind: String,
    pub state: String,
    pub complete: bool,
    pub format: String,
    pub from: Time,
    pub until: Time,
}

/// The reports about a part of [from, until), and the first and the last report of each provider and kind, which show since when and
/// how often they come. Dry runs and discarded reports do not count.
pub async fn covering(connection: &mut PgConnection, from: Time, until: Time) -> sqlx::Result<Vec<Covering>> {
    sqlx::query_as!(
        Covering,
        r#"-- reports::covering
        with counted as (
            select id, provider, kind, state, complete, format, period_from, period_until from reports
             where not dry_run and state <> 'discarded' and period_from < period_until
        )
        select id as "id!", provider as "provider!", kind as "kind!", state as "state!", complete as "complete!",
               format as "format!", period_from as "from!", period_until as "until!"
          from counted
         where (period_until > $1 and period_from < $2)
            or id in (select distinct on (provider, kind) id from counted order by provider, kind, id)
            or id in (select distinct on (provider, kind) id from counted order by provider, kind, id desc)
         order by id desc
         limit $3"#,
        from,
        until,
        MOST,
    )
    .fetch_all(connection)
    .await
}
