//! `heartbeats`: one row, written to learn whether the database still takes writes.

use sqlx::PgConnection;

use crate::clock::Time;

/// Writes the row and waits for the commit, and takes some room on the disk for a moment. One statement of its own, so that
/// its lock on the row, which all replicas share, is given back by the server even when we stand still.
///
/// # Errors
/// When it cannot be written: the database is away or read-only, its disk is full, or the right is missing.
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
