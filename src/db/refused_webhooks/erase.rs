//! Refused requests that speak of an opening whose personal data is erased, or of its customer: they go, whoever sent them.

use sqlx::PgConnection;

use crate::db::mentions::Mentions;

/// Deletes those whose body, headers or path mention either. Nothing of them was ever parsed, so the bytes are searched.
///
/// # Errors
/// When the database is away.
pub async fn erase(connection: &mut PgConnection, mentions: &Mentions) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- refused_webhooks::erase
        delete from rejected_requests
         where coalesce(encode(body, 'escape'), '') || headers::text || path ~ $1
            or coalesce(encode(body, 'escape'), '') || headers::text || path ~* $2"#,
        mentions.ids,
        mentions.customer,
    )
    .execute(connection)
    .await?;
    Ok(())
}
