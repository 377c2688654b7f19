//! Deletes refused webhooks that mention an erased opening or its customer, from any sender.

use sqlx::PgConnection;

use crate::db::mentions::Mentions;

/// Deletes refused webhooks whose body, headers or path mention the opening or its customer. The service never parsed them, so the statement
/// searches their bytes.
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
