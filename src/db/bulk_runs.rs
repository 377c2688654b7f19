//! `bulk_runs`, `bulk_items`: one act on the dead letters of a cause, as a frozen list.
//!
//! The row of an item is locked for as long as its letter is acted on, and its outcome commits with the act. So two replicas share a
//! run, and a crash leaves the item as it was.

use sqlx::PgConnection;
use uuid::Uuid;

use super::Page;
use super::dead_letters::{Act, CHANGED, ERASED, Filter, OBSOLETE};
use crate::clock::Time;
use crate::domain::Topic;

/// A run to be prepared.
#[derive(Clone, Debug)]
pub struct NewRun {
    pub id: Uuid,
    /// `redrive` or `discard`.
    pub act: &'static str,
    pub filter: Filter,
    pub who: String,
    pub at: Time,
}

#[derive(Clone, Debug)]
pub struct Run {
    pub id: Uuid,
    pub act: String,
    pub queue: Option<String>,
    pub cause: Option<String>,
    /// The length of its list.
    pub items: i32,
    /// The filter found more than the list holds.
    pub is_cut: bool,
    pub prepared_by: String,
    pub prepared_at: Time,
    /// The act that started it.
    pub started_act: Option<Uuid>,
    pub started_by: Option<String>,
    pub reason: Option<String>,
    pub started_at: Option<Time>,
    pub stopped_at: Option<Time>,
    pub finished_at: Option<Time>,
}

/// How many items of a cause have an outcome. None: not done yet.
#[derive(Clone, Debug)]
pub struct Tally {
    pub cause: String,
    pub outcome: Option<String>,
    pub count: i64,
}

#[derive(Clone, Debug)]
pub struct Item {
    pub letter: Uuid,
    pub queue: String,
    pub kind: String,
    pub cause: String,
    pub outcome: Option<String>,
    pub why: Option<String>,
    pub done_at: Option<Time>,
}

/// Freezes the list of a run: the `most` oldest dead letters of its filter. The same run again changes nothing.
pub async fn prepare(connection: &mut PgConnection, run: &NewRun, most: i64) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- bulk_runs::prepare
        with letters as materialized (
            (select id, 'inbox' as queue, source as kind, coalesce(outcome, 'unknown') as cause,
                    jsonb_array_length(attempt_log) as attempts
               from inbox
              where status = 'dead' and coalesce($3::text, 'inbox') = 'inbox' and ($4::text is null or coalesce(outcome, 'unknown') = $4)
              order by id limit $7::bigint + 1)
             union all
            (select id, 'outbox', topic, coalesce(outcome, 'unknown'), jsonb_array_length(attempt_log)
               from outbox
              where status = 'dead' and coalesce($3::text, 'outbox') = 'outbox' and ($4::text is null or coalesce(outcome, 'unknown') = $4)
              order by id limit $7::bigint + 1)
        ), listed as materialized (
            select * from letters order by id limit $7::bigint
        ), run as (
            insert into bulk_runs (id, act, queue, cause, items, is_cut, prepared_by, prepared_at)
            select $1, $2, $3, $4, (select count(*) from listed), (select count(*) from letters) > $7::bigint, $5, $6
            on conflict (id) do nothing
            returning id
        )
        insert into bulk_items (run_id, letter_id, queue, kind, cause, attempts)
        select run.id, l.id, l.queue, l.kind, l.cause, l.attempts from run cross join listed l"#,
        run.id,
        run.act,
        run.filter.queue,
        run.filter.cause,
        run.who,
        run.at,
        most,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn get(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Run>> {
    sqlx::query_as!(
        Run,
        r#"-- bulk_runs::get
        select r.id, r.act, r.queue, r.cause, r.items, r.is_cut, r.prepared_by, r.prepared_at, r.started_act,
               a.who as "started_by?", a.reason as "reason?", r.started_at, r.stopped_at, r.finished_at
          from bulk_runs r left join operator_actions a on a.id = r.started_act
         where r.id = $1"#,
        id,
    )
    .fetch_optional(connection)
    .await
}

/// The runs that are under way, the oldest first.
pub async fn under_way(connection: &mut PgConnection) -> sqlx::Result<Vec<Run>> {
    sqlx::query_as!(
        Run,
        r#"-- bulk_runs::under_way
        select r.id, r.act, r.queue, r.cause, r.items, r.is_cut, r.prepared_by, r.prepared_at, r.started_act,
               a.who as "started_by?", a.reason as "reason?", r.started_at, r.stopped_at, r.finished_at
          from bulk_runs r join operator_actions a on a.id = r.started_act
         where r.started_at is not null and r.stopped_at is null and r.finished_at is null
         order by r.started_at, r.id
         limit 20"#,
    )
    .fetch_all(connection)
    .await
}

/// The outcomes of a run's items, by cause.
pub async fn tallies(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<Vec<Tally>> {
    sqlx::query_as!(
        Tally,
        r#"-- bulk_runs::tallies
        select cause, outcome, count(*) as "count!" from bulk_items where run_id = $1 group by cause, outcome
         order by count(*) desc, cause, outcome"#,
        id,
    )
    .fetch_all(connection)
    .await
}

/// Letters that a run would leave alone now, for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftAlone {
    pub why: String,
    pub count: i64,
}

/// The letters of a list that a run would leave alone if it were started now, as `dead_letters::act` decides about each.
pub async fn left_alone(connection: &mut PgConnection, run: &Run) -> sqlx::Result<Vec<LeftAlone>> {
    let served = Topic::ALL.iter().filter_map(|it| Some((it.to_string(), it.state()?.to_string())));
    let (topics, states): (Vec<String>, Vec<String>) = served.unzip();
    sqlx::query_as!(
        LeftAlone,
        r#"-- bulk_runs::left_alone
        select reason.why as "why!", count(*) as "count!"
          from bulk_items i
          left join lateral (
              select erased_at is not null as is_erased, false as is_obsolete
                from inbox
               where id = i.letter_id and i.queue = 'inbox' and status is not distinct from 'dead'
                 and jsonb_array_length(attempt_log) = i.attempts
               union all
              select false, exists (select from unnest($3::text[], $4::text[]) as served(topic, state)
                                     where served.topic = w.topic
                                       and served.state is distinct from (select state from account_openings
                                                                           where id = w.opening_id))
                from outbox w
               where w.id = i.letter_id and i.queue = 'outbox' and w.status is not distinct from 'dead'
                 and jsonb_array_length(w.attempt_log) = i.attempts) as letter on true
         cross join lateral (select case when letter.is_erased is null then $5
                                         when $2 and letter.is_erased then $6
                                         when $2 and letter.is_obsolete then $7 end as why) as reason
         where i.run_id = $1 and reason.why is not null
         group by reason.why
         order by count(*) desc, reason.why"#,
        run.id,
        run.act == Act::Redrive.as_str(),
        &topics,
        &states,
        CHANGED,
        ERASED,
        OBSOLETE,
    )
    .fetch_all(connection)
    .await
}

/// A page of a run's items, in the order in which they are worked off.
pub async fn items(connection: &mut PgConnection, id: Uuid, page: Page<Uuid>) -> sqlx::Result<Vec<Item>> {
    sqlx::query_as!(
        Item,
        r#"-- bulk_runs::items
        select letter_id as letter, queue, kind, cause, outcome, why, done_at
          from bulk_items
         where run_id = $1 and letter_id > $2
         order by letter_id
         limit $3"#,
        id,
        page.after.unwrap_or(Uuid::nil()),
        page.limit,
    )
    .fetch_all(connection)
    .await
}

/// Starts a run that was not started. Returns whether it was.
pub async fn start(connection: &mut PgConnection, id: Uuid, act: Uuid, now: Time) -> sqlx::Result<bool> {
    let started = sqlx::query!(
        r#"-- bulk_runs::start
        update bulk_runs set started_act = $2, started_at = $3 where id = $1 and started_at is null and items > 0"#,
        id,
        act,
        now,
    )
    .execute(connection)
    .await?;
    Ok(started.rows_affected() == 1)
}

/// Stops a run that is under way. An item that is being acted on meanwhile is still done. Returns whether it was under way.
pub async fn stop(connection: &mut PgConnection, id: Uuid, now: Time) -> sqlx::Result<bool> {
    let stopped = sqlx::query!(
        r#"-- bulk_runs::stop
        update bulk_runs set stopped_at = $2
         where id = $1 and started_at is not null and stopped_at is null and finished_at is null"#,
        id,
        now,
    )
    .execute(connection)
    .await?;
    Ok(stopped.rows_affected() == 1)
}

/// An item to act on, with what the act needs.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub run: Uuid,
    /// `redrive` or `discard`.
    pub act: String,
    pub letter: Uuid,
    pub attempts: i32,
    /// The operator of the run, and the reason.
    pub who: String,
    pub reason: String,
}

/// Whether a run is under way.
pub async fn is_under_way(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"-- bulk_runs::is_under_way
        select exists (select from bulk_runs
                        where started_at is not null and stopped_at is null and finished_at is null) as "exists!""#,
    )
    .fetch_one(connection)
    .await
}

/// Locks the next item of the oldest run under way. SKIP LOCKED: another replica is acting on that item.
pub async fn claim(connection: &mut PgConnection) -> sqlx::Result<Option<Claimed>> {
    sqlx::query_as!(
        Claimed,
        r#"-- bulk_runs::claim
        select r.id as run, r.act, i.letter_id as letter, i.attempts, a.who, a.reason
          from bulk_runs r
          join operator_actions a on a.id = r.started_act
         cross join lateral (select letter_id, attempts from bulk_items
                              where run_id = r.id and outcome is null
                              order by letter_id
                              limit 1
                                for update skip locked) i
         where r.started_at is not null and r.stopped_at is null and r.finished_at is null
         order by r.started_at, r.id
         limit 1"#,
    )
    .fetch_optional(connection)
    .await
}

/// Writes what became of an item. Returns whether it had no outcome.
pub async fn settle(
    connection: &mut PgConnection,
    item: &Claimed,
    outcome: &str,
    why: Option<&str>,
    now: Time,
) -> sqlx::Result<bool> {
    let settled = sqlx::query!(
        r#"-- bulk_runs::settle
        update bulk_items set outcome = $3, why = $4, done_at = $5
         where run_id = $1 and letter_id = $2 and outcome is null"#,
        item.run,
        item.letter,
        outcome,
        why,
        now,
    )
    .execute(connection)
    .await?;
    Ok(settled.rows_affected() == 1)
}

/// Ends the runs that have no item left to do; returns their number.
pub async fn finish(connection: &mut PgConnection, now: Time) -> sqlx::Result<u64> {
    let finished = sqlx::query!(
        r#"-- bulk_runs::finish
        update bulk_runs r set finished_at = $1
         where started_at is not null and stopped_at is null and finished_at is null
           and not exists (select from bulk_items i where i.run_id = r.id and i.outcome is null)"#,
        now,
    )
    .execute(connection)
    .await?;
    Ok(finished.rows_affected())
}

/// Deletes lists that were prepared before `cutoff` and never started, at most `limit`; returns their number.
pub async fn expire(connection: &mut PgConnection, cutoff: Time, limit: i64) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        r#"-- bulk_runs::expire
        delete from bulk_runs
         where id in (select id from bulk_runs where started_at is null and prepared_at <= $1
                       order by prepared_at limit $2 for update skip locked)
           and started_at is null"#,
        cutoff,
        limit,
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
