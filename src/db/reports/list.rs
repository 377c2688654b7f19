//! Reading reports, for people.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::db::Page;

#[derive(Clone, Debug)]
pub struct Report {
    pub id: Uuid,
    pub provider: String,
    pub kind: String,
    pub format: String,
    pub file_name: Option<String>,
    pub bytes: i64,
    /// None while the worker still reads the list of a pull: there is no file yet.
    pub sha256: Option<Vec<u8>>,
    pub state: String,
    pub complete: bool,
    pub period_from: Option<Time>,
    pub period_until: Option<Time>,
    pub as_of: Option<Time>,
    pub rows: i64,
    pub bad_rows: i64,
    pub counts: Value,
    pub sums: Value,
    pub dry_run: bool,
    pub supersedes: Option<Uuid>,
    pub failure: Option<String>,
    pub received_by: String,
    pub received_at: Time,
    pub finished_at: Option<Time>,
}

#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub id: Option<Uuid>,
    pub provider: Option<String>,
    pub kind: Option<String>,
    pub state: Option<String>,
}

macro_rules! list_among {
    ($connection:expr, $filter:expr, $page:expr, $name:literal, $among:literal) => {
        sqlx::query_as!(
            Report,
            $name
                + r#"
            select id, provider, kind, format, file_name, bytes, sha256, state, complete, period_from, period_until, as_of,
                   rows, bad_rows, counts, sums, dry_run, supersedes, failure, received_by, received_at, finished_at
              from reports
             where "#
                + $among
                + r#"
               and ($1::uuid is null or id = $1)
               and ($2::text is null or provider = $2)
               and ($3::text is null or kind = $3)
               and ($4::text is null or state = $4)
               and id < $5
             order by id desc
             limit $6"#,
            $filter.id,
            $filter.provider,
            $filter.kind,
            $filter.state,
            $page.after.unwrap_or(Uuid::max()),
            $page.limit,
        )
        .fetch_all($connection)
        .await
    };
}

/// A page of reports, newest first. One report has a statement of its own: plans are generic, so one statement for all would walk
/// every newer report.
pub async fn list(connection: &mut PgConnection, filter: &Filter, page: Page<Uuid>) -> sqlx::Result<Vec<Report>> {
    if filter.id.is_some() {
        return list_among!(connection, filter, page, "-- reports::list_by_id", "id = $1");
    }
    list_among!(connection, filter, page, "-- reports::list", "true")
}

pub async fn get(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Report>> {
    let filter = Filter { id: Some(id), ..Filter::default() };
    Ok(list(connection, &filter, Page { limit: 1, after: None }).await?.pop())
}
