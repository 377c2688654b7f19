//! Archives delivered and cancelled work as whole rows. Dead work stays until an operator acts.

use chrono::TimeDelta;
use sqlx::PgConnection;
use uuid::Uuid;

use super::walk::{Seen, Stretch, Walk};
use super::{Candidate, Moved, free};
use crate::clock::Time;

/// Moves work that ended at least `age` ago. Call it in a transaction. Does nothing if another replica holds the walk.
pub async fn work(connection: &mut PgConnection, age: TimeDelta, now: Time) -> sqlx::Result<Moved> {
    let Some(walk) = Walk::take(connection, "work").await? else { return Ok(Moved::default()) };
    let cutoff = now - age;
    let mut seen = over(connection, &walk.ahead(cutoff), cutoff).await?;
    let more = walk.go_on(connection, &seen, age, now).await?;
    let ids = free(connection, std::mem::take(&mut seen.due)).await?;
    Ok(Moved { rows: put_away(connection, &ids, now).await?, more })
}

/// Finds finished work. Cancelled work has no end time of its own: it was cancelled by a step of its opening, by the
/// relay or by an operator, and the last two are in its attempts. The latest of these times counts.
async fn over(connection: &mut PgConnection, stretch: &Stretch, cutoff: Time) -> sqlx::Result<Seen> {
    let row = sqlx::query!(
        r#"-- archive::over
        with seen as materialized (
            select w.id, w.opening_id, w.status <> 'dead' as stays,
                   case w.status
                       when 'delivered' then w.delivered_at
                       when 'cancelled' then greatest(o.updated_at, w.retry_from, (w.attempt_log -> -1 ->> 'at')::timestamptz)
                   end <= $1 as due
              from (select * from outbox where id > $2 and id <= $3 order by id limit $5) w
              left join account_openings o on o.id = w.opening_id
        ), waited_for as materialized (
            select id from seen where stays and due is not true and id > $4 order by id limit 1
        ), passed as materialized (
            select * from seen where not exists (select from waited_for w where w.id <= seen.id)
        ), due as materialized (
            select id, opening_id from passed where due order by id limit $6
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
    let due = row.ids.into_iter().zip(row.openings);
    let due = due.map(|(id, opening)| Candidate { id, opening }).collect();
    Ok(Seen { due, passed: row.passed, full: row.full })
}

/// Copies in one statement and deletes in the next: a trigger refuses to delete a row that is not in the archive.
async fn put_away(connection: &mut PgConnection, ids: &[Uuid], now: Time) -> sqlx::Result<u64> {
    if ids.is_empty() {
        return Ok(0);
    }
    let copied = sqlx::query_scalar!(
        r#"-- archive::put_away
        with free as materialized (
            select id, opening_id, topic, payload, status, outcome, attempts, claims, attempt_log, created_at, delivered_at
              from outbox
             where id = any($1) and status in ('delivered', 'cancelled')
             order by id
               for update skip locked
        )
        insert into outbox_archive (id, opening_id, topic, payload, status, outcome, attempts, claims, attempt_log,
                                    created_at, delivered_at, archived_at)
        select free.*, $2 from free
        returning id"#,
        ids,
        now,
    )
    .fetch_all(&mut *connection)
    .await?;
    let done = sqlx::query!(
        r#"-- archive::put_away
        delete from outbox where id = any($1)"#,
        &copied,
    )
    .execute(connection)
    .await?;
    if done.rows_affected() == copied.len() as u64 { Ok(done.rows_affected()) } else { Err(sqlx::Error::RowNotFound) }
}
