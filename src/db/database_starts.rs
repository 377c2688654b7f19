//! `database_starts`: the starts of the database server, and when the service noticed each.
//!
//! A server that started anew may be a standby that was promoted, or hold a dump that was restored. Then commits are lost
//! whose calls to others had their effect.

use sqlx::PgConnection;

use crate::clock::Time;

/// Takes note of the server's start, unless that was done.
///
/// # Errors
/// When the database is away.
pub async fn notice(connection: &mut PgConnection, now: Time) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        r#"-- database_starts::notice
        insert into database_starts (started_at, noticed_at) values (pg_postmaster_start_time(), $1)
        on conflict (started_at) do nothing"#,
        now,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// When the server's start was noticed: of calls that were made before, the traces may be lost. None: it has not been yet.
///
/// # Errors
/// When the database is away.
pub async fn noticed_at(connection: &mut PgConnection) -> sqlx::Result<Option<Time>> {
    sqlx::query_scalar!(
        r#"-- database_starts::noticed_at
        select noticed_at from database_starts where started_at = pg_postmaster_start_time()"#
    )
    .fetch_optional(connection)
    .await
}
