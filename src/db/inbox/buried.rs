//! Facts that an older neighbour could not read, while two versions run beside each other: it buries them as unreadable, and
//! whoever can read them digs them up.

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Pending;
use crate::clock::Time;

/// Unreadable facts of our own making and items of a provider's list: no stranger wrote them, so if we can read one, it was
/// buried by a version that could not. At most `limit` of those since `since`, newest first.
pub async fn buried(connection: &mut PgConnection, since: Time, limit: i64) -> sqlx::Result<Vec<Pending>> {
    sqlx::query_as!(
        Pending,
        r#"-- inbox::buried
        select id, source, provider, part, body, headers, opening_id, provider_ref, received_at, retry_from, attempts
          from inbox
         where status = 'dead' and outcome = 'unreadable' and source in ('list', 'operator') and erased_at is null
           and received_at > $1
         order by id desc
         limit $2"#,
        since,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Makes facts pending again that were buried as unreadable. Returns how many.
pub async fn dig_up(connection: &mut PgConnection, ids: &[Uuid], now: Time) -> sqlx::Result<u64> {
    if ids.is_empty() {
        return Ok(0);
    }
    let entry = json!([{"at": now, "class": "dug_up", "cause": "an older version could not read it"}]);
    let done = sqlx::query!(
        r#"-- inbox::dig_up
        update inbox
           set status = 'pending', outcome = null, next_attempt_at = $2, retry_from = $2, attempt_log = attempt_log || $3
         where id = any($1) and status = 'dead' and outcome = 'unreadable'"#,
        ids,
        now,
        entry,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
