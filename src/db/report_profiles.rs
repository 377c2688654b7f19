//! `report_profiles`: the content of every profile that ever read a report.

use sqlx::PgConnection;

use crate::clock::Time;

/// Stores a profile, once. Call it in the commit that stores the report.
pub async fn insert(connection: &mut PgConnection, sha256: &[u8], content: &str, now: Time) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- report_profiles::insert
        insert into report_profiles (sha256, content, first_used_at) values ($1, $2, $3) on conflict (sha256) do nothing"#,
        sha256,
        content,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}
