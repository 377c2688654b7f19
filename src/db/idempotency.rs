//! `idempotency_keys`: the first answer to each key.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::domain::OpeningId;

/// The first answer to a key.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns of idempotency_keys")]
pub struct Answer {
    pub digest: Vec<u8>,
    pub status: i32,
    pub body: String,
    pub opening_id: Uuid,
    /// Until when at the latest its caller waits for a better one; none: this one is for good.
    pub waits_until: Option<Time>,
}

/// Takes a key for an answer that is committed with it. `false`: the key is taken, and not expired. A writer of the same
/// key that has not committed yet is waited for.
///
/// # Errors
/// When the database is away.
pub async fn insert(
    connection: &mut PgConnection,
    token_name: &str,
    key: &str,
    answer: &Answer,
    now: Time,
    expires_at: Time,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        r#"-- idempotency::insert
        insert into idempotency_keys as k (token_name, key, digest, status, body, opening_id, expires_at, waits_until)
        values ($1, $2, $3, $4, $5, $6, $7, $9)
        on conflict (token_name, key) do update
           set digest = excluded.digest, status = excluded.status, body = excluded.body,
               opening_id = excluded.opening_id, expires_at = excluded.expires_at, waits_until = excluded.waits_until
         where k.expires_at <= $8"#,
        token_name,
        key,
        answer.digest,
        answer.status,
        answer.body,
        answer.opening_id,
        expires_at,
        now,
        answer.waits_until,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The first answer to a key, unless it has expired.
///
/// # Errors
/// When the database is away.
pub async fn get(
    connection: &mut PgConnection,
    token_name: &str,
    key: &str,
    now: Time,
) -> sqlx::Result<Option<Answer>> {
    sqlx::query_as!(
        Answer,
        r#"-- idempotency::get
        select digest, status, body, opening_id, waits_until from idempotency_keys
         where token_name = $1 and key = $2 and expires_at > $3"#,
        token_name,
        key,
        now,
    )
    .fetch_optional(connection)
    .await
}

/// Puts the answer that a caller waited for in the place of the one that stood there meanwhile. Whoever comes first gives
/// it; for all others nothing changes.
///
/// # Errors
/// When the database is away.
pub async fn settle(
    connection: &mut PgConnection,
    token_name: &str,
    key: &str,
    opening_id: Uuid,
    (status, body): (i32, &str),
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- idempotency::settle
        update idempotency_keys set status = $4, body = $5, waits_until = null
         where token_name = $1 and key = $2 and opening_id = $3 and waits_until is not null"#,
        token_name,
        key,
        opening_id,
        status,
        body,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes what is personal out of the answers about an opening, and of one that a caller waits for nothing more comes. Key and
/// digest stay: a repeat still opens nothing.
///
/// # Errors
/// When the database is away.
pub async fn erase(connection: &mut PgConnection, opening: OpeningId, scrub: &Value) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- idempotency::erase
        update idempotency_keys
           set waits_until = null,
               body = (body::jsonb || $2
                       || case when body::jsonb ->> 'reason' is null then '{"reason": null}'::jsonb else '{}' end)::text
         where opening_id = $1"#,
        opening.0,
        scrub,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes expired keys, at most `limit`. Returns how many.
///
/// # Errors
/// When the database is away.
pub async fn expire(connection: &mut PgConnection, now: Time, limit: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        r#"-- idempotency::expire
        delete from idempotency_keys
         where (token_name, key) in (select token_name, key from idempotency_keys
                                      where expires_at <= $1 limit $2 for update skip locked)"#,
        now,
        limit,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
