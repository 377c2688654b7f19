//! Reading mismatches, for people.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::place::{Filter, Place, in_place};
use crate::clock::Time;
use crate::db::Page;
use crate::db::reports::Report;

#[derive(Clone, Debug)]
pub struct Listed {
    pub id: Uuid,
    pub provider: String,
    pub kind: String,
    pub class: String,
    pub state: String,
    pub due_at: Option<Time>,
    pub opening_id: Option<Uuid>,
    pub market: Option<String>,
    pub subject: String,
    pub aspect: String,
    pub ours: Value,
    pub theirs: Value,
    pub differences: Value,
    pub suggested: Value,
    pub case_id: Option<Uuid>,
    pub created_at: Time,
    pub updated_at: Time,
}

macro_rules! list_among {
    ($connection:expr, $filter:expr, $page:expr, $name:literal, $among:literal, $order:literal, $fits:literal) => {
        sqlx::query_as!(
            Listed,
            "-- mismatches::list"
                + $name
                + r#"
            select m.id as "id!", m.provider as "provider!", m.kind as "kind!", m.class as "class!", m.state as "state!",
                   m.due_at, m.opening_id, m.market, m.subject as "subject!", m.aspect as "aspect!", m.ours as "ours!",
                   m.theirs as "theirs!", m.differences as "differences!", m.suggested as "suggested!", m.case_id,
                   m.created_at as "created_at!", m.updated_at as "updated_at!"
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
             limit $9"#,
            $filter.id,
            $filter.class,
            $filter.state,
            $filter.provider,
            $filter.market,
            $filter.opening_id,
            $filter.report,
            $page.after.unwrap_or(Uuid::max()),
            $page.limit,
        )
        .fetch_all($connection)
        .await
    };
}

/// A page of mismatches, newest first, with a statement for each way to find them.
pub async fn list(connection: &mut PgConnection, filter: &Filter, page: Page<Uuid>) -> sqlx::Result<Vec<Listed>> {
    in_place!(list_among, connection, filter, page)
}

pub async fn get(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Listed>> {
    let filter = Filter { id: Some(id), ..Filter::default() };
    Ok(list(connection, &filter, Page { limit: 1, after: None }).await?.pop())
}

/// Why a report was held. None: it was not.
pub async fn why_held(connection: &mut PgConnection, report: &Report) -> sqlx::Result<Option<String>> {
    let why = sqlx::query_scalar!(
        r#"-- mismatches::why_held
        select suggested -> 'because' ->> 0 from mismatches
         where provider = $1 and kind = $2 and subject = $3 and aspect = 'report' and class = 'TOO_MANY_DIFFERENCES'"#,
        report.provider,
        report.kind,
        report.id.to_string(),
    );
    Ok(why.fetch_optional(connection).await?.flatten())
}

/// A row of a report that says a mismatch; line 0 where a row is missing.
#[derive(Clone, Debug)]
pub struct Said {
    pub mismatch_id: Uuid,
    pub report_id: Uuid,
    pub line: i64,
}

/// The report rows that say these mismatches, in the order in which the reports came.
pub async fn said(connection: &mut PgConnection, mismatches: &[Uuid]) -> sqlx::Result<Vec<Said>> {
    sqlx::query_as!(
        Said,
        r#"-- mismatches::said
        select mismatch_id, report_id, line from mismatch_reports
         where mismatch_id = any($1)
         order by mismatch_id, report_id, line"#,
        mismatches,
    )
    .fetch_all(connection)
    .await
}
