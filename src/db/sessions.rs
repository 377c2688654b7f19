//! `sessions`: sign-ins of people at the dashboard.
//!
//! A session is found by the digest of its cookie, and only while it is neither ended, nor idle, nor too old. Each request looks it
//! up, so that an end holds on all replicas at once.

use chrono::TimeDelta;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;

#[derive(Clone, Debug)]
pub struct New<'a> {
    pub id: Uuid,
    /// SHA-256 of the cookie.
    pub cookie_digest: &'a [u8],
    /// The name of the token that signed in.
    pub who: &'a str,
    /// SHA-256 of cookie and token.
    pub token_binding: &'a [u8],
    pub at: Time,
}

#[derive(Clone, Debug)]
pub struct Session {
    pub id: Uuid,
    pub who: String,
    pub token_binding: Vec<u8>,
    pub created_at: Time,
    pub seen_at: Time,
}

/// The oldest times that a live session may have.
#[derive(Clone, Copy, Debug)]
pub struct Oldest {
    /// Of its last page.
    pub seen_at: Time,
    /// Of its sign-in.
    pub created_at: Time,
}

impl Oldest {
    /// With these limits of idle time and age.
    #[must_use]
    pub fn at(now: Time, idle: TimeDelta, max: TimeDelta) -> Self {
        Self { seen_at: now - idle, created_at: now - max }
    }
}

/// Stores a session. Idempotent by id, so a retried request stores it once.
pub async fn insert(connection: &mut PgConnection, new: &New<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- sessions::insert
        insert into sessions (id, cookie_digest, who, token_binding, created_at, seen_at)
        values ($1, $2, $3, $4, $5, $5)
        on conflict (id) do nothing"#,
        new.id,
        new.cookie_digest,
        new.who,
        new.token_binding,
        new.at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The live session of a cookie; it is seen now.
pub async fn visit(
    connection: &mut PgConnection,
    cookie_digest: &[u8],
    oldest: Oldest,
    now: Time,
) -> sqlx::Result<Option<Session>> {
    sqlx::query_as!(
        Session,
        r#"-- sessions::visit
        update sessions set seen_at = greatest(seen_at, $2)
         where cookie_digest = $1 and ended_at is null and seen_at > $3 and created_at > $4
        returning id, who, token_binding, created_at, seen_at"#,
        cookie_digest,
        now,
        oldest.seen_at,
        oldest.created_at,
    )
    .fetch_optional(connection)
    .await
}

/// The live session of a cookie, without making it live longer.
pub async fn look(
    connection: &mut PgConnection,
    cookie_digest: &[u8],
    oldest: Oldest,
) -> sqlx::Result<Option<Session>> {
    sqlx::query_as!(
        Session,
        r#"-- sessions::look
        select id, who, token_binding, created_at, seen_at
          from sessions
         where cookie_digest = $1 and ended_at is null and seen_at > $2 and created_at > $3"#,
        cookie_digest,
        oldest.seen_at,
        oldest.created_at,
    )
    .fetch_optional(connection)
    .await
}

/// Ends a live session of this person. Returns whether it did.
pub async fn end(connection: &mut PgConnection, id: Uuid, who: &str, now: Time) -> sqlx::Result<bool> {
    let ended = sqlx::query!(
        r#"-- sessions::end
        update sessions set ended_at = $3 where id = $1 and who = $2 and ended_at is null"#,
        id,
        who,
        now,
    )
    .execute(connection)
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// The live sessions of a person, newest first; at most 100.
pub async fn of_person(connection: &mut PgConnection, who: &str, oldest: Oldest) -> sqlx::Result<Vec<Session>> {
    sqlx::query_as!(
        Session,
        r#"-- sessions::of_person
        select id, who, token_binding, created_at, seen_at
          from sessions
         where who = $1 and ended_at is null and seen_at > $2 and created_at > $3
         order by id desc limit 100"#,
        who,
        oldest.seen_at,
        oldest.created_at,
    )
    .fetch_all(connection)
    .await
}

/// Deletes sessions that are no longer live, at most `limit`.
pub async fn expire(connection: &mut PgConnection, oldest: Oldest, limit: i64) -> sqlx::Result<u64> {
    let expired = sqlx::query!(
        r#"-- sessions::expire
        delete from sessions
         where id in (select id from sessions
                       where ended_at is not null or seen_at <= $1 or created_at <= $2
                       limit (select $3::bigint) for update skip locked)"#,
        oldest.seen_at,
        oldest.created_at,
        limit,
    )
    .execute(connection)
    .await?;
    Ok(expired.rows_affected())
}
