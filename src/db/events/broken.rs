//! Events in the order of the transactions that wrote them: only in a build for the controls of the chaos run, whose database
//! has the column for it.

use sqlx::PgConnection;

use super::super::Page;
use super::Event;

/// A page of events of transactions after one, and before every one that still runs. The numbers are those of a cluster: in
/// another one they begin anew.
pub async fn by_transaction(connection: &mut PgConnection, page: Page<i64>) -> sqlx::Result<Vec<(i64, Event)>> {
    type Columns = (i64, uuid::Uuid, uuid::Uuid, String, serde_json::Value, crate::clock::Time);
    let rows: Vec<Columns> = sqlx::query_as(
        "select xid::text::bigint, id, coalesce(subject, opening_id), type, data, at from events
          where xid > $1::text::xid8 and xid < pg_snapshot_xmin(pg_current_snapshot())
          order by xid fetch first $2 rows with ties",
    )
    .bind(page.after.unwrap_or_default().to_string())
    .bind(page.limit)
    .fetch_all(connection)
    .await?;
    let events =
        rows.into_iter().map(|(xid, id, subject, kind, data, at)| (xid, Event { id, subject, kind, data, at }));
    Ok(events.collect())
}
