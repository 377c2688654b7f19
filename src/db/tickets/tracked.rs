//! The link between a ticket and the tracker: its key there, and whether a create call with unknown outcome is pending.
//!
//! The holder of the work's lease commits a mark before it sends the create call. After a crash or a lost answer the
//! mark remains; of two workers that want to create the ticket, the second finds the mark of the first.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::domain::TicketKind;

/// A ticket's state for tracker work.
#[derive(Clone, Debug)]
pub struct Tracked {
    pub opening_id: Uuid,
    pub kind: String,
    /// Number of changes of the ticket so far.
    pub revision: i64,
    /// The issue's key at the tracker, once known.
    pub tracker_key: Option<String>,
    /// When the relay sent a create call to the tracker; set until the relay knows the call's outcome.
    pub creation_sent_at: Option<Time>,
    /// The time at which the database server's start was noticed: marks of earlier create calls may be lost.
    pub server_noticed_at: Option<Time>,
    /// The revision of the newest pending tracker work.
    pub newest_waiting: Option<i64>,
}

pub async fn read(connection: &mut PgConnection, openings: &[Uuid]) -> sqlx::Result<Vec<Tracked>> {
    sqlx::query_as!(
        Tracked,
        r#"-- tickets::tracked::read
        select t.opening_id, t.kind, t.revision, t.tracker_key, t.creation_sent_at,
               (select noticed_at from database_starts
                 where started_at = pg_postmaster_start_time()) as server_noticed_at,
               (select max((o.payload ->> 'revision')::bigint) from outbox o
                 where o.opening_id = t.opening_id and o.topic in ('open_ticket', 'close_ticket')
                   and o.status = 'pending' and o.payload ->> 'kind' = t.kind) as newest_waiting
          from tickets t
         where t.opening_id = any ($1)"#,
        openings,
    )
    .fetch_all(connection)
    .await
}

/// Marks that a create call will be sent. `false`: do not send it, because the work's lease has ended, the ticket has a
/// key, or another create call was sent after `known_lost` (calls before that time are known to have failed).
///
/// # Errors
/// The mark may or may not be set; the call must not be sent.
pub async fn mark_creation(
    connection: &mut PgConnection,
    (opening, kind): (Uuid, TicketKind),
    (work, token): (Uuid, Uuid),
    known_lost: Time,
    now: Time,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        r#"-- tickets::tracked::mark_creation
        update tickets set creation_sent_at = $5
         where opening_id = $1 and kind = $2 and tracker_key is null
           and (creation_sent_at is null or creation_sent_at <= $6)
           and exists (select from outbox where id = $3 and lease_token = $4 and (due_at > $5) is true)"#,
        opening,
        kind.as_str(),
        work,
        token,
        now,
        known_lost,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Removes the mark of a create call that had no effect. If this fails, the mark stays and only delays the next call.
pub async fn clear_mark(
    connection: &mut PgConnection,
    (opening, kind): (Uuid, TicketKind),
    marked: Time,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- tickets::tracked::clear_mark
        update tickets set creation_sent_at = null where opening_id = $1 and kind = $2 and creation_sent_at = $3"#,
        opening,
        kind.as_str(),
        marked,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Saves the issue's key. If the ticket has another key, returns that one: the issue exists twice.
pub async fn keep_key(
    connection: &mut PgConnection,
    opening: Uuid,
    kind: TicketKind,
    key: &str,
) -> sqlx::Result<Option<String>> {
    let kept = sqlx::query_scalar!(
        r#"-- tickets::tracked::keep_key
        update tickets set tracker_key = coalesce(tracker_key, $3), creation_sent_at = null
         where opening_id = $1 and kind = $2
        returning tracker_key as "tracker_key!""#,
        opening,
        kind.as_str(),
        key,
    )
    .fetch_optional(connection)
    .await?;
    Ok(kept.filter(|kept| kept != key))
}

/// Forgets the key of an issue that was deleted at the tracker.
pub async fn forget_key(connection: &mut PgConnection, opening: Uuid, kind: TicketKind, key: &str) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- tickets::tracked::forget_key
        update tickets set tracker_key = null where opening_id = $1 and kind = $2 and tracker_key = $3"#,
        opening,
        kind.as_str(),
        key,
    )
    .execute(connection)
    .await?;
    Ok(())
}
