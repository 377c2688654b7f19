//! Reading cases, for people.

use sqlx::PgConnection;
use uuid::Uuid;

use super::Row;
use crate::db::Page;

#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub id: Option<Uuid>,
    pub status: Option<&'static str>,
    pub kind: Option<String>,
    pub opening: Option<Uuid>,
}

macro_rules! list_among {
    ($connection:expr, $filter:expr, $page:expr, $name:literal, $among:literal, $order:literal) => {
        sqlx::query_as!(
            Row,
            "-- cases::list"
                + $name
                + r#"
            select c.id as "id!", c.opening_id, c.kind as "kind!", c.ours as "ours!", c.theirs as "theirs!",
                   c.evidence as "evidence!", c.status as "status!", c.reason, c.resolved_by, c.resolved_at,
                   c.created_at as "created_at!",
                   coalesce((select jsonb_agg(jsonb_build_object('report_id', r.report_id, 'line', r.line)
                                              order by r.report_id, r.line)
                               from mismatches m join mismatch_reports r on r.mismatch_id = m.id
                              where m.case_id = c.id), '[]') as "report_rows!"
              from ("#
                + $among
                + r#" limit (select null::bigint)) as said
             cross join lateral (select * from cases where id = said.id limit 1) as c
             where ($1::text is null or c.status = $1)
               and ($2::uuid is null or c.opening_id = $2)
               and ($3::text is null or c.kind = $3)
               and ($4::uuid is null or c.id = $4)
               and c.id < $5
             order by "#
                + $order
                + r#"
             limit $6"#,
            $filter.status,
            $filter.opening,
            $filter.kind,
            $filter.id,
            $page.after.unwrap_or(Uuid::max()),
            $page.limit,
        )
        .fetch_all($connection)
        .await
    };
}

/// A page of cases, newest first, with a statement for each way to find them. Plan: as of `mismatches::list`.
pub async fn list(connection: &mut PgConnection, filter: &Filter, page: Page<Uuid>) -> sqlx::Result<Vec<Row>> {
    match filter {
        Filter { id: Some(_), .. } => {
            list_among!(connection, filter, page, "_by_id", "select id from cases where id = $4", "said.id desc")
        }
        Filter { opening: Some(_), .. } => list_among!(
            connection,
            filter,
            page,
            "_of_opening",
            "select id from (select id from cases where opening_id = $2 offset 0) as those order by id desc",
            "said.id desc"
        ),
        Filter { status: Some("open"), .. } => list_among!(
            connection,
            filter,
            page,
            "_open",
            "select id from cases where status = 'open' and id < $5 order by id desc",
            "said.id desc"
        ),
        Filter { kind: Some(_), .. } => list_among!(
            connection,
            filter,
            page,
            "_of_kind",
            "select kind, id from cases where kind >= $3 and (kind, id) < ($3, $5) order by kind desc, id desc",
            "said.kind desc, said.id desc"
        ),
        _ => list_among!(
            connection,
            filter,
            page,
            "",
            "select id from cases where id < $5 order by id desc",
            "said.id desc"
        ),
    }
}

pub async fn get(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Row>> {
    let filter = Filter { id: Some(id), ..Filter::default() };
    Ok(list(connection, &filter, Page { limit: 1, after: None }).await?.pop())
}
