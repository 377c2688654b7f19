//! Refused requests that speak of an opening whose personal data is erased: they go, whoever sent them.

use sqlx::PgConnection;

use crate::db::mentions;
use crate::domain::Opening;

/// Deletes those whose body or headers hold one of the opening's ids. Nothing of them was ever parsed, so the bytes are
/// searched.
///
/// # Errors
/// When the database is away.
pub async fn erase(connection: &mut PgConnection, opening: &Opening) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- rejected::erase
        delete from rejected_requests
         where encode(body, 'escape') ~ $1 or headers::text ~ $1"#,
        mentions::pattern(opening),
    )
    .execute(connection)
    .await?;
    Ok(())
}
