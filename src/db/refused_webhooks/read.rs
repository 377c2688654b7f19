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

/// A page of refused webhooks, newest first.
pub async fn list(connection: &mut PgConnection, filter: &Filter, page: Page<Uuid>) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"-- refused_webhooks::list
        select id, provider, cause, received_at, source, method, path, body_bytes, body is not null as "body_kept!",
               verified_at, event_id, outcome
          from rejected_requests
         where ($1::text is null or provider = $1) and ($2::text is null or cause = $2)
           and ($3::text is null or source = $3)
           and id < $4
         order by id desc
         limit $5"#,
        filter.provider,
        filter.cause,
        filter.source,
        page.after.unwrap_or(Uuid::max()),
        page.limit,
    )
    .fetch_all(connection)
    .await
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
