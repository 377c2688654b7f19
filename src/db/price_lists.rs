//! `price_lists`: the content of every price list that ever booked a fee.

use sqlx::PgConnection;

use crate::clock::Time;
use crate::domain::fee::PriceList;

/// Stores a price list, once. Call it before the first fee is booked with it.
pub async fn insert(connection: &mut PgConnection, list: &PriceList, now: Time) -> sqlx::Result<()> {
    let is_stored = sqlx::query_scalar!(
        r#"-- price_lists::insert
        select exists (select from price_lists where sha256 = $1) as "exists!""#,
        list.sha256(),
    )
    .fetch_one(&mut *connection)
    .await?;
    // A start on a read-only database must not fail because of a list that is stored already.
    if is_stored {
        return Ok(());
    }
    sqlx::query!(
        r#"-- price_lists::insert
        insert into price_lists (sha256, content, first_used_at) values ($1, $2, $3) on conflict (sha256) do nothing"#,
        list.sha256(),
        list.text(),
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}
