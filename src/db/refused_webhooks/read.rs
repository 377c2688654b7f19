//! Reads refused webhooks.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::db::Page;

#[derive(Clone, Debug)]
pub struct Row {
    pub id: Uuid,
    pub provider: String,
    pub cause: String,
    pub received_at: Time,
    pub source: String,
    pub method: String,
    pub path: String,
    pub body_bytes: Option<i64>,
    pub body_kept: bool,
    pub verified_at: Option<Time>,
    pub event_id: Option<String>,
    pub outcome: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Whole {
    pub row: Row,
    /// As received, without credentials.
    pub headers: Value,
    pub body: Option<Vec<u8>>,
}

/// Which refused webhooks are listed.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub provider: Option<String>,
    pub cause: Option<String>,
    pub source: Option<String>,
}

macro_rules! list_among {
    ($connection:expr, $filter:expr, $page:expr, $name:literal, $among:literal, $order:literal) => {
        sqlx::query_as!(
            Row,
            "-- refused_webhooks::list"
                + $name
                + r#"
            select r.id as "id!", r.provider as "provider!", r.cause as "cause!", r.received_at as "received_at!",
                   r.source as "source!", r.method as "method!", r.path as "path!", r.body_bytes,
                   r.body is not null as "body_kept!", r.verified_at, r.event_id, r.outcome
              from ("#
                + $among
                + r#" limit (select null::bigint)) as said
             cross join lateral (select * from rejected_requests where id = said.id limit 1) as r
             where ($1::text is null or r.provider = $1) and ($2::text is null or r.cause = $2)
               and ($3::text is null or r.source = $3)
               and r.id < $4
             order by "#
                + $order
                + r#"
             limit $5"#,
            $filter.provider,
            $filter.cause,
            $filter.source,
            $page.after.unwrap_or(Uuid::max()),
            $page.limit,
        )
        .fetch_all($connection)
        .await
    };
}

/// A page of refused webhooks, newest first. Those of a source have a statement of their own. Plan: as of `mismatches::list`.
pub async fn list(connection: &mut PgConnection, filter: &Filter, page: Page<Uuid>) -> sqlx::Result<Vec<Row>> {
    if filter.source.is_none() {
        return list_among!(
            connection,
            filter,
            page,
            "",
            "select id from rejected_requests where id < $4 order by id desc",
            "said.id desc"
        );
    }
    list_among!(
        connection,
        filter,
        page,
        "_of_source",
        "select source, id from rejected_requests where source >= $3 and (source, id) < ($3, $4)
          order by source desc, id desc",
        "said.source desc, said.id desc"
    )
}

/// The refused webhooks of a cause from a source that did not verify since.
#[derive(Clone, Debug)]
pub struct Group {
    pub cause: String,
    pub source: String,
    pub count: i64,
    pub newest: Time,
}

/// Refused webhooks that did not verify since, by cause and source, the most first. The `most` newest are counted, and one more.
pub async fn groups(connection: &mut PgConnection, most: i64, shown: i64) -> sqlx::Result<Vec<Group>> {
    sqlx::query_as!(
        Group,
        r#"-- refused_webhooks::groups
        select cause, source, count(*) as "count!", max(received_at) as "newest!"
          from (select cause, source, received_at from rejected_requests
                 where verified_at is null order by id desc limit $1::bigint + 1) as requests
         group by cause, source
         order by count(*) desc, cause, source
         limit $2"#,
        most,
        shown,
    )
    .fetch_all(connection)
    .await
}

pub async fn get(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Whole>> {
    let row = sqlx::query!(
        r#"-- refused_webhooks::get
        select id, provider, cause, received_at, source, method, path, headers, body, body_bytes, verified_at, event_id,
               outcome
          from rejected_requests where id = $1"#,
        id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Whole {
        row: Row {
            id: row.id,
            provider: row.provider,
            cause: row.cause,
            received_at: row.received_at,
            source: row.source,
            method: row.method,
            path: row.path,
            body_bytes: row.body_bytes,
            body_kept: row.body.is_some(),
            verified_at: row.verified_at,
            event_id: row.event_id,
            outcome: row.outcome,
        },
        headers: row.headers,
        body: row.body,
    }))
}
