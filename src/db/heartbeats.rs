//! `heartbeats`: one row, written to check that the database accepts writes.

use sqlx::PgConnection;

use crate::clock::Time;

/// Writes the row, waits for the commit, and briefly allocates disk space. A single auto-commit statement: the server
/// releases the lock on the row, which all replicas share, even if this process stalls.
///
/// # Errors
/// If the write fails: database down or read-only, disk full, or missing right.
pub async fn beat(connection: &mut PgConnection, now: Time) -> sqlx::Result<()> {
    sqlx::query!(
        r"-- heartbeats::beat
        insert into heartbeats (id, at) select true, $1 where room_on_disk() > 0
        on conflict (id) do update set at = excluded.at",
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}
