//! Reading mismatches, for people.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::db::Page;

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

#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub id: Option<Uuid>,
    pub class: Option<String>,
    pub state: Option<String>,
    pub provider: Option<String>,
    pub market: Option<String>,
    pub opening_id: Option<Uuid>,
    pub report: Option<Uuid>,
}

/// A page of mismatches, newest first.
pub async fn list(connection: &mut PgConnection, filter: &Filter, page: Page<Uuid>) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(
        Listed,
        r#"-- mismatches::list
        select id, provider, kind, class, state, due_at, opening_id, market, subject, aspect, ours, theirs, differences,
               suggested, case_id, created_at, updated_at
          from mismatches m
         where ($1::uuid is null or id = $1)
           and ($2::text is null or class = $2)
           and ($3::text is null or state = $3)
           and ($4::text is null or provider = $4)
           and ($5::text is null or market = $5)
           and ($6::uuid is null or opening_id = $6)
           and ($7::uuid is null or exists (select from mismatch_reports r
                                             where r.mismatch_id = m.id and r.report_id = $7))
           and id < $8
         order by id desc
         limit $9"#,
        filter.id,
        filter.class,
        filter.state,
        filter.provider,
        filter.market,
        filter.opening_id,
        filter.report,
        page.after.unwrap_or(Uuid::max()),
        page.limit,
    )
    .fetch_all(connection)
    .await
}

pub async fn get(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Listed>> {
    let filter = Filter { id: Some(id), ..Filter::default() };
    Ok(list(connection, &filter, Page { limit: 1, after: None }).await?.pop())
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
