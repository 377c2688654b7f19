//! `events`: what subscribers are told, in an order in which none is skipped.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Page;
use crate::clock::Time;
use crate::domain::{EventType, OpeningId};

/// An event to be written.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The same on every delivery.
    pub id: Uuid,
    /// The opening that it is about.
    pub opening_id: OpeningId,
    /// What happened.
    pub kind: EventType,
    /// The opening's version: it gives the order.
    pub version: i64,
    /// The opening as it was then.
    pub data: Value,
}

/// An event as it is read back.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns of events")]
pub struct Event {
    pub id: Uuid,
    pub opening_id: Uuid,
    pub kind: String,
    pub data: Value,
    pub at: Time,
    pub xid: i64,
}

/// Inserts events.
///
/// # Errors
/// When the database is away.
pub async fn insert(connection: &mut PgConnection, events: &[NewEvent], now: Time) -> sqlx::Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = events.iter().map(|it| it.id).collect();
    let openings: Vec<Uuid> = events.iter().map(|it| it.opening_id.0).collect();
    let kinds: Vec<String> = events.iter().map(|it| it.kind.to_string()).collect();
    let versions: Vec<i64> = events.iter().map(|it| it.version).collect();
    let data: Vec<Value> = events.iter().map(|it| it.data.clone()).collect();
    sqlx::query!(
        r#"-- events::insert
        insert into events (id, opening_id, type, version, data, at)
        select id, opening_id, type, version, data, $6
          from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::jsonb[])
            as n(id, opening_id, type, version, data)"#,
        &ids,
        &openings,
        &kinds,
        &versions,
        &data,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A page of events beyond `(xid, id)`. Only events of transactions that are older than every one still running are
/// returned: an event that commits later sorts later, so a reader that goes on from its last row misses none.
///
/// # Errors
/// When the database is away.
pub async fn list(connection: &mut PgConnection, page: Page<(i64, Uuid)>) -> sqlx::Result<Vec<Event>> {
    let (xid, id) = page.after.unwrap_or((0, Uuid::nil()));
    sqlx::query_as!(
        Event,
        r#"-- events::list
        select id, opening_id, type as kind, data, at, xid::text::bigint as "xid!"
          from events
         where (xid, id) > ($1::text::xid8, $2)
           and xid < pg_snapshot_xmin(pg_current_snapshot())
         order by xid, id
         limit $3"#,
        xid.to_string(),
        id,
        page.limit,
    )
    .fetch_all(connection)
    .await
}

/// Reads events by their ids.
///
/// # Errors
/// When the database is away.
pub async fn get(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Event>> {
    sqlx::query_as!(
        Event,
        r#"-- events::get
        select id, opening_id, type as kind, data, at, xid::text::bigint as "xid!"
          from events where id = any($1)"#,
        ids,
    )
    .fetch_all(connection)
    .await
}

/// Takes what is personal out of an opening's events: who reads them later is told that it was erased.
///
/// # Errors
/// When the database is away.
pub async fn erase(connection: &mut PgConnection, opening: OpeningId, scrub: &Value) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- events::erase
        update events
           set data = data || $2 || case when data ->> 'reason' is null then '{"reason": null}'::jsonb else '{}' end
         where opening_id = $1"#,
        opening.0,
        scrub,
    )
    .execute(connection)
    .await?;
    Ok(())
}
