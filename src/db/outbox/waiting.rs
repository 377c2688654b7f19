//! Waiting work: listed and discarded by operators, and cancelled if no ticket tracker is configured.

use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::db::Page;
use crate::domain::Topic;

#[derive(Clone, Debug)]
pub struct Waiting {
    pub id: Uuid,
    pub topic: String,
    pub lane: String,
    pub opening_id: Option<Uuid>,
    /// The reason for waiting, or the class of the last failure. None: not tried yet.
    pub waits_for: Option<String>,
    pub attempts: i32,
    pub claims: i32,
    /// Of claimed work, the end of its lease.
    pub due_at: Time,
    pub created_at: Time,
}

/// The position of a row in the list: due time and id, which determine its topic and lane.
pub type Place = (Time, Uuid);

/// The result of a discard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discarded {
    /// Cancelled now; its opening, if it has one, and topic.
    Now(Option<Uuid>, String),
    Already,
    /// Not waiting: done, given up or dead.
    WaitsNoLonger,
    NotFound,
}

/// A page of waiting work, of one topic or all, by topic and lane, next due first (the order of its index). A page
/// reads only as many rows as it returns. A row postponed between two pages may appear on both.
pub async fn list(
    connection: &mut PgConnection,
    topic: Option<Topic>,
    page: Page<Place>,
) -> sqlx::Result<Vec<Waiting>> {
    let (at, id) = page.after.unwrap_or((Time::UNIX_EPOCH, Uuid::nil()));
    let topic = topic.map(Topic::as_str);
    sqlx::query_as!(
        Waiting,
        r#"-- outbox::list
        with last as materialized (
            select topic, lane from outbox where id = $2
        )
        select id, topic, lane, opening_id, coalesce(outcome, attempt_log -> -1 ->> 'class') as waits_for, attempts,
               claims, due_at as "due_at!", created_at
          from outbox
         where due_at is not null
           and (topic, lane, due_at, id)
               > (coalesce((select topic from last), $3, ''), coalesce((select lane from last), ''), $1, $2)
           and ($3::text is null or topic = $3)
         order by topic, lane, due_at, id
         limit $4"#,
        at,
        id,
        topic,
        page.limit,
    )
    .fetch_all(connection)
    .await
}

/// Ends waiting work with the operator's reason. A relay that holds the row loses its lease: its settlement changes
/// nothing, and its call's result is a fact like any other. Locks a single row, so it cannot deadlock with relays and
/// decisions, which lock in the order of ids.
pub async fn discard(
    connection: &mut PgConnection,
    id: Uuid,
    who: &str,
    why: &str,
    now: Time,
) -> sqlx::Result<Discarded> {
    let entry = json!([{"at": now, "class": "discard", "by": who, "cause": why}]);
    let done = sqlx::query!(
        r#"-- outbox::discard
        update outbox
           set status = 'cancelled', outcome = 'discarded', due_at = null, lease_token = null,
               attempt_log = attempt_log || $2
         where id = $1 and status = 'pending'
        returning opening_id, topic"#,
        id,
        entry,
    )
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(done) = done {
        return Ok(Discarded::Now(done.opening_id, done.topic));
    }
    // A redrive in between made it wait again: the operator has not seen that.
    let checked = check(connection, id).await?;
    Ok(if matches!(checked, Discarded::Now(..)) { Discarded::WaitsNoLonger } else { checked })
}

/// Rehearses [`discard`]; nothing is written.
pub async fn check(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<Discarded> {
    let work = sqlx::query!(
        r#"-- outbox::check
        select opening_id, topic as "topic!", status = 'pending' as "waits!",
               status = 'cancelled' and outcome is not distinct from 'discarded' as "was_discarded!"
          from (select id, opening_id, topic, status, outcome from outbox
                 union all
                select id, opening_id, topic, status, outcome from outbox_archive) as work
         where id = $1"#,
        id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(match work {
        None => Discarded::NotFound,
        Some(work) if work.waits => Discarded::Now(work.opening_id, work.topic),
        Some(work) if work.was_discarded => Discarded::Already,
        Some(_) => Discarded::WaitsNoLonger,
    })
}

/// Cancels tracker work waiting since before `since`, at most `limit`, except claimed rows; returns the number.
pub async fn give_up_tracker_work(
    connection: &mut PgConnection,
    since: Time,
    now: Time,
    limit: i64,
) -> sqlx::Result<u64> {
    let topics: Vec<String> =
        Topic::ALL.iter().filter(|it| it.is_for_tracker()).map(|it| it.as_str().to_owned()).collect();
    let entry: Value = json!([{"at": now, "class": "no_tracker", "cause": "no tracker is configured"}]);
    let done = sqlx::query!(
        r#"-- outbox::give_up_tracker_work
        with old as (
            select id from outbox
             where topic = any($1) and due_at is not null and retry_from <= $2 and (lease_token is null or due_at <= $3)
             order by id
             limit $4
               for update skip locked
        )
        update outbox o
           set status = 'cancelled', outcome = 'no_tracker', due_at = null, lease_token = null,
               attempt_log = o.attempt_log || $5
          from old
         where o.id = old.id"#,
        &topics,
        since,
        now,
        limit,
        entry,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
