//! Refused requests that speak of an opening whose personal data is erased: they go, whoever sent them.

use sqlx::PgConnection;

use crate::domain::{Opening, ProviderRef};

/// Deletes those whose body or headers hold one of the opening's ids. Nothing of them was ever parsed, so the bytes are
/// searched.
///
/// # Errors
/// When the database is away.
pub async fn erase(connection: &mut PgConnection, opening: &Opening) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- rejected::erase
        delete from rejected_requests
         where position(convert_to($1, 'UTF8') in body) > 0 or position(convert_to($2, 'UTF8') in body) > 0
            or position($1 in headers::text) > 0 or position($2 in headers::text) > 0"#,
        opening.id.to_string(),
        opening.state.reference().map(ProviderRef::as_str),
    )
    .execute(connection)
    .await?;
    Ok(())
}
