//! `idempotency_keys`: the first answer to each key.
//!
//! A key is the caller's text and may name the customer. When the opening's personal data is erased, `erased:` plus the
//! key's SHA-256 replaces the key, so a repeat is still recognised. Reads look for both forms, so no second row is
//! written for an erased key before it expires.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::domain::OpeningId;

#[derive(Clone, Debug)]
pub struct Answer {
    pub digest: Vec<u8>,
    pub status: i32,
    pub body: String,
    pub opening_id: Uuid,
    /// Until when the caller waits for a better answer. None: this answer is final.
    pub waits_until: Option<Time>,
}

/// A key: the name of the caller's token and the key itself.
pub type Key<'a> = (&'a str, &'a str);

/// Inserts answers under their keys, which must be distinct; returns how many keys were free or expired. Waits for a
/// concurrent transaction that has inserted the same key.
pub async fn insert(
    connection: &mut PgConnection,
    answers: &[(Key<'_>, &Answer)],
    now: Time,
    expires_at: Time,
) -> sqlx::Result<usize> {
    let (names, keys): (Vec<&str>, Vec<&str>) = answers.iter().map(|(key, _)| *key).unzip();
    let digests: Vec<&[u8]> = answers.iter().map(|(_, it)| it.digest.as_slice()).collect();
    let statuses: Vec<i32> = answers.iter().map(|(_, it)| it.status).collect();
    let bodies: Vec<&str> = answers.iter().map(|(_, it)| it.body.as_str()).collect();
    let openings: Vec<Uuid> = answers.iter().map(|(_, it)| it.opening_id).collect();
    let waits: Vec<Option<Time>> = answers.iter().map(|(_, it)| it.waits_until).collect();
    let done = sqlx::query!(
        r#"-- idempotency::insert
        insert into idempotency_keys as k (token_name, key, digest, status, body, opening_id, expires_at, waits_until)
        select token_name, key, digest, status, body, opening_id, $7, waits_until
          from unnest($1::text[], $2::text[], $3::bytea[], $4::int[], $5::text[], $6::uuid[], $9::timestamptz[])
            as n(token_name, key, digest, status, body, opening_id, waits_until)
         -- Whoever writes some of the same keys takes them in the same order.
         order by token_name, key
        on conflict (token_name, key) do update
           set digest = excluded.digest, status = excluded.status, body = excluded.body,
               opening_id = excluded.opening_id, expires_at = excluded.expires_at, waits_until = excluded.waits_until
         where k.expires_at <= $8"#,
        &names as &[&str],
        &keys as &[&str],
        &digests as &[&[u8]],
        &statuses,
        &bodies as &[&str],
        &openings,
        expires_at,
        now,
        &waits as &[Option<Time>],
    )
    .execute(connection)
    .await?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

/// The first answer to a key, unless it has expired.
pub async fn get(connection: &mut PgConnection, key: Key<'_>, now: Time) -> sqlx::Result<Option<Answer>> {
    let under = look(connection, &[key], true, now).await?.pop();
    Ok(under.and_then(|it| if let Under::Answer(answer) = it { Some(answer) } else { None }))
}

/// The current state of a key.
#[derive(Clone, Debug)]
pub enum Under {
    Answer(Answer),
    /// The key is free or expired. The caller's transaction holds its lock until it ends.
    Nothing,
    /// Another transaction holds the key's lock.
    Held,
}

/// The state of keys, in their order. `waits`: takes no locks; an insert then waits for concurrent inserts of the same
/// keys.
pub async fn look(connection: &mut PgConnection, keys: &[Key<'_>], waits: bool, now: Time) -> sqlx::Result<Vec<Under>> {
    let (names, keys): (Vec<&str>, Vec<&str>) = keys.iter().copied().unzip();
    let rows = sqlx::query!(
        r#"-- idempotency::look
        select k.digest as "digest?", k.status as "status?", k.body as "body?", k.opening_id as "opening_id?", k.waits_until,
               case when k.key is not null or $4 then true
                    else pg_try_advisory_xact_lock(hashtextextended(
                             current_schema() || '.idempotency_keys.' || asked.token_name || ' ' || asked.key, 0)) end
                 as "is_free!"
          from unnest($1::text[], $2::text[]) with ordinality as asked(token_name, key, place)
          left join lateral (
              -- A branch for each form: with `key in (…)`, a plan that Postgres made while the table was empty reads all keys of the
              -- token.
              select * from idempotency_keys k
               where k.token_name = asked.token_name and k.key = asked.key and (k.expires_at > $3) is true
              union all
              select * from idempotency_keys k
               where k.token_name = asked.token_name and (k.expires_at > $3) is true
                 and k.key = 'erased:' || encode(sha256(convert_to(asked.key, 'UTF8')), 'hex')
               limit 1
          ) as k on true
         order by asked.place"#,
        &names as &[&str],
        &keys as &[&str],
        now,
        waits,
    )
    .fetch_all(connection)
    .await?;
    let under = rows.into_iter().map(|row| match (row.digest, row.status, row.body, row.opening_id) {
        (Some(digest), Some(status), Some(body), Some(opening_id)) => {
            Under::Answer(Answer { digest, status, body, opening_id, waits_until: row.waits_until })
        }
        _ if row.is_free => Under::Nothing,
        _ => Under::Held,
    });
    Ok(under.collect())
}

/// Replaces the interim answer with the final one. Only the first call has an effect.
pub async fn settle(
    connection: &mut PgConnection,
    (token_name, key): Key<'_>,
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

/// Erases personal data in the keys and answers of an opening and ends a pending wait. The digests stay, so a repeat
/// still opens nothing.
pub async fn erase(connection: &mut PgConnection, opening: OpeningId, scrub: &Value) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- idempotency::erase
        update idempotency_keys
           set waits_until = null,
               key = case when key ~ '^erased:[0-9a-f]{64}$' then key
                          else 'erased:' || encode(sha256(convert_to(key, 'UTF8')), 'hex') end,
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

/// Deletes at most `limit` expired keys; returns how many.
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
