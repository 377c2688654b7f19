//! `database_starts`: starts of the database server, with the time at which the service noticed each.
//!
//! After a start the server may be a promoted standby or hold a restored dump. Commits may then be lost although their
//! calls to other systems took effect.

use sqlx::PgConnection;

use crate::clock::Time;

/// Records the server's current start, if it is new.
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

/// The time at which the server's current start was noticed; records of calls made before it may be lost. None: not
/// noticed yet.
pub async fn noticed_at(connection: &mut PgConnection) -> sqlx::Result<Option<Time>> {
    sqlx::query_scalar!(
        r#"-- database_starts::noticed_at
        select noticed_at from database_starts where started_at = pg_postmaster_start_time()"#
    )
    .fetch_optional(connection)
    .await
}
