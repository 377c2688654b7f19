//! What we know of a ticket at the tracker: its key, and whether a creation is out whose outcome is unknown.
//!
//! The mark of a creation is committed before it is sent, by whom holds the lease of its work, so that a crash or a lost
//! answer leaves a trace, and of two that would create the second finds the first one's mark.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::domain::TicketKind;

/// A ticket as work for the tracker needs it.
#[derive(Clone, Debug)]
pub struct Tracked {
    /// The opening.
    pub opening_id: Uuid,
    /// Which of its tickets.
    pub kind: String,
    /// Counts what happened to it.
    pub revision: i64,
    /// What the tracker calls it, once known.
    pub tracker_key: Option<String>,
    /// When a creation was sent whose outcome is unknown.
    pub creation_sent_at: Option<Time>,
    /// When the start of the database server was noticed: the mark of a creation that was sent before may be lost.
    pub server_noticed_at: Option<Time>,
    /// Whether work for the tracker waits that is newer than some.
    pub newest_waiting: Option<i64>,
}

/// The tickets of these openings.
///
/// # Errors
/// When the database is away.
pub async fn read(connection: &mut PgConnection, openings: &[Uuid]) -> sqlx::Result<Vec<Tracked>> {
    sqlx::query_as!(
        Tracked,
        r#"-- tickets::tracked::read
        select t.opening_id, t.kind, t.revision, t.tracker_key, t.creation_sent_at,
               (select noticed_at from database_starts
                 where started_at = pg_postmaster_start_time()) as server_noticed_at,
               (select max((o.payload ->> 'revision')::bigint) from outbox o
                 where o.opening_id = t.opening_id and o.topic in ('open_ticket', 'close_ticket')
                   and o.status is not distinct from 'pending' and o.payload ->> 'kind' = t.kind) as newest_waiting
          from tickets t
         where t.opening_id = any ($1)"#,
        openings,
    )
    .fetch_all(connection)
    .await
}

/// Marks that a creation is about to be sent. `false`: it must not be, since the lease of the work that wants it is over, it
/// has a key by now, or another creation was sent after `known_lost`, before which an unanswered one is known to have had none.
///
/// # Errors
/// When the database is away; then it may be marked or not, and nothing may be sent.
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
           and exists (select from outbox where id = $3 and lease_token = $4 and lease_until > $5
                          and status is not distinct from 'pending')"#,
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

/// The creation that was marked then had no effect.
///
/// # Errors
/// When the database is away; the mark then stays, which costs a wait and nothing else.
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

/// Keeps what the tracker calls a ticket. The key that it has instead, if it has another one: there are two of it.
///
/// # Errors
/// When the database is away.
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

/// Forgets what the tracker called a ticket: the issue is gone there.
///
/// # Errors
/// When the database is away.
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
