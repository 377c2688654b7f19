//! Archives facts: copies settled ones and empties them; deletes their keys from the inbox later.

use chrono::TimeDelta;
use sqlx::PgConnection;
use uuid::Uuid;

use super::walk::{Seen, Stretch, Walk};
use super::{Candidate, Moved, free};
use crate::clock::Time;

/// Copies facts settled for `age` to the archive and empties them in the inbox. Call it in a transaction. Does nothing
/// if another replica holds the walk.
pub async fn facts(connection: &mut PgConnection, age: TimeDelta, now: Time) -> sqlx::Result<Moved> {
    let Some(walk) = Walk::take(connection, "facts").await? else { return Ok(Moved::default()) };
    let cutoff = now - age;
    let mut seen = settled(connection, &walk.ahead(cutoff), cutoff).await?;
    let more = walk.go_on(connection, &seen, age, now).await?;
    let ids = free(connection, std::mem::take(&mut seen.due)).await?;
    Ok(Moved { rows: copy(connection, &ids, now).await?, more })
}

async fn settled(connection: &mut PgConnection, stretch: &Stretch, cutoff: Time) -> sqlx::Result<Seen> {
    let row = sqlx::query!(
        r#"-- archive::settled
        with seen as materialized (
            select id, provider, provider_ref, opening_id, settled_at,
                   archived_at is null and status <> 'dead' as stays, archived_at is null and settled_at <= $1 as due
              from inbox where id > $2 and id <= $3 order by id limit $5
        ), waited_for as materialized (
            select id from seen where stays and due is not true and id > $4 order by id limit 1
        ), passed as materialized (
            select * from seen where not exists (select from waited_for w where w.id <= seen.id)
        ), due as materialized (
            -- One that was discarded before its tracking id was known is about the opening all the same.
            select id, coalesce(opening_id, (select o.id from account_openings o where o.provider = passed.provider
                                                and o.provider_ref = passed.provider_ref)) as opening_id
              from passed where due order by id limit $6
        )
        select array(select id from due order by id) as "ids!",
               array(select opening_id from due order by id) as "openings!: Vec<Option<Uuid>>",
               (select id from passed order by id desc limit 1) as passed, (select count(*) from passed) = $5 as "full!""#,
        cutoff,
        stretch.from,
        stretch.to,
        stretch.patient_from,
        stretch.look,
        stretch.batch,
    )
    .fetch_one(connection)
    .await?;
    let due = row.ids.into_iter().zip(row.openings).map(|(id, opening)| Candidate { id, opening }).collect();
    Ok(Seen { due, passed: row.passed, full: row.full })
}

/// Copies and empties facts. Skips locked rows and leaves them to the next round: an insert that counts a duplicate
/// locks in the order of keys, and waiting for it here could deadlock. Skips evidence of any case, too.
async fn copy(connection: &mut PgConnection, ids: &[Uuid], now: Time) -> sqlx::Result<u64> {
    if ids.is_empty() {
        return Ok(0);
    }
    let done = sqlx::query!(
        r#"-- archive::copy
        with free as materialized (
            select id, consumer_group, event_id, source, provider, part, body, body_digest, headers, opening_id, provider_ref,
                   received_at, status, outcome, attempts, attempt_log, duplicates, last_duplicate_at, settled_at, erased_at
              from inbox
             where id = any($1) and status in ('applied', 'ignored') and archived_at is null
               and not exists (select from cases c where c.evidence @> array[inbox.id])
             order by id
               for update skip locked
        ), copied as (
            insert into inbox_archive (id, consumer_group, event_id, source, provider, part, body, body_digest, headers,
                   opening_id, provider_ref, received_at, status, outcome, attempts, attempt_log, duplicates,
                   last_duplicate_at, settled_at, erased_at, archived_at)
            select free.*, $2 from free
            returning id
        )
        update inbox set body = '', headers = '{}', attempt_log = '[]', archived_at = $2
         where id in (select id from copied)"#,
        ids,
        now,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Deletes keys of copied facts that were not received for `age`. Call it in a transaction. Does nothing if another
/// replica holds the walk.
pub async fn keys(connection: &mut PgConnection, age: TimeDelta, now: Time) -> sqlx::Result<Moved> {
    let Some(walk) = Walk::take(connection, "keys").await? else { return Ok(Moved::default()) };
    let cutoff = now - age;
    let seen = spent(connection, &walk.ahead(cutoff), cutoff).await?;
    let more = walk.go_on(connection, &seen, age, now).await?;
    let ids: Vec<Uuid> = seen.due.iter().map(|it| it.id).collect();
    Ok(Moved { rows: forget(connection, &ids, cutoff).await?, more })
}

/// Finds keys to delete. The walk waits for no row: a fact that is not copied yet will not be due within the hour, nor
/// will a recently repeated one.
async fn spent(connection: &mut PgConnection, stretch: &Stretch, cutoff: Time) -> sqlx::Result<Seen> {
    let row = sqlx::query!(
        r#"-- archive::spent
        with seen as materialized (
            select id, archived_at is not null and greatest(received_at, last_duplicate_at) <= $1 as due
              from inbox where id > $2 and id <= $3 order by id limit $4
        )
        select array(select id from seen where due order by id limit $5) as "ids!",
               (select id from seen order by id desc limit 1) as passed, (select count(*) from seen) = $4 as "full!""#,
        cutoff,
        stretch.from,
        stretch.to,
        stretch.look,
        stretch.batch,
    )
    .fetch_one(connection)
    .await?;
    let due = row.ids.into_iter().map(|id| Candidate { id, opening: None }).collect();
    Ok(Seen { due, passed: row.passed, full: row.full })
}

/// Deletes keys and saves the final duplicate count in the archive. A key stays if its archive row was removed by hand.
async fn forget(connection: &mut PgConnection, ids: &[Uuid], cutoff: Time) -> sqlx::Result<u64> {
    if ids.is_empty() {
        return Ok(0);
    }
    let done = sqlx::query!(
        r#"-- archive::forget
        with free as materialized (
            select id, duplicates, last_duplicate_at from inbox
             where id = any($1) and archived_at is not null and greatest(received_at, last_duplicate_at) <= $2
               and exists (select from inbox_archive a where a.id = inbox.id)
             order by id
               for update skip locked
        ), counted as (
            update inbox_archive a set duplicates = free.duplicates, last_duplicate_at = free.last_duplicate_at
              from free where a.id = free.id and a.duplicates <> free.duplicates
        )
        delete from inbox where id in (select id from free)"#,
        ids,
        cutoff,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
