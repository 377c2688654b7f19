//! Queue depths, dead letters and server status, for metrics and readiness.

use sqlx::PgConnection;

use crate::clock::Time;

/// A queue's length and the age of its oldest row.
#[derive(Clone, Debug)]
pub struct Queue {
    /// `inbox`, `outbox`, `timers`.
    pub name: String,
    /// Waiting rows; for timers, due rows.
    pub depth: i64,
    /// Since when the oldest row waits. None: the queue is empty.
    pub oldest: Option<Time>,
}

/// A count with two labels.
#[derive(Clone, Debug)]
pub struct Count {
    /// State or queue.
    pub first: String,
    /// Market or cause.
    pub second: String,
    pub count: i64,
}

/// The maximum number of rows counted per queue, so that a scrape's cost does not grow with the queue. A depth of this
/// value means "at least as many"; `oldest` is then the oldest of the counted rows.
pub const MAX_COUNTED: i64 = 10_000;

/// Restricts the transaction's plans to index scans. Each query has a small limit; for a few rows the planner may
/// prefer a sequential or bitmap scan, at a cost that grows with the table.
pub async fn by_index(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- gauges::by_index
        select set_config('enable_seqscan', 'off', true) as s, set_config('enable_bitmapscan', 'off', true) as b"#,
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// The queues, each counted up to [`MAX_COUNTED`]. Call [`by_index`] first.
pub async fn queues(connection: &mut PgConnection, now: Time) -> sqlx::Result<Vec<Queue>> {
    sqlx::query_as!(
        Queue,
        r#"-- gauges::queues
        select 'inbox' as "name!", count(*) as "depth!", min(at) as oldest
          from (select received_at as at from inbox where due_at is not null limit (select $2::bigint)) as waiting
         union all
        select 'outbox', count(*), min(at)
          from (select created_at as at from outbox where due_at is not null limit (select $2)) as waiting
         union all
        select 'timers', count(*), min(at)
          from (select due_at as at from timers where due_at <= $1 order by due_at limit (select $2)) as due"#,
        now,
        MAX_COUNTED,
    )
    .fetch_all(connection)
    .await
}

/// Dead letters by queue and cause, each queue counted up to [`MAX_COUNTED`]. Call [`by_index`] first.
pub async fn dead_letters(connection: &mut PgConnection) -> sqlx::Result<Vec<Count>> {
    sqlx::query_as!(
        Count,
        r#"-- gauges::dead_letters
        select 'inbox' as "first!", coalesce(outcome, 'unknown') as "second!", count(*) as "count!"
          from (select outcome from inbox where status = 'dead' limit (select $1::bigint)) as dead group by outcome
         union all
        select 'outbox', coalesce(outcome, 'unknown'), count(*)
          from (select outcome from outbox where status = 'dead' limit (select $1)) as dead group by outcome"#,
        MAX_COUNTED,
    )
    .fetch_all(connection)
    .await
}

/// Open mismatches of a class in a state.
#[derive(Clone, Debug)]
pub struct OpenMismatches {
    pub class: String,
    pub state: String,
    pub count: i64,
    /// Since when the oldest of them is open.
    pub oldest: Time,
}

/// The open mismatches, counted up to [`MAX_COUNTED`]. The order keeps the planner at their index.
pub async fn mismatches(connection: &mut PgConnection) -> sqlx::Result<Vec<OpenMismatches>> {
    sqlx::query_as!(
        OpenMismatches,
        r#"-- gauges::mismatches
        select class as "class!", state as "state!", count(*) as "count!", min(created_at) as "oldest!"
          from (select class, state, created_at from mismatches
                 where look_at is not null order by look_at, id limit (select $1::bigint)) as open
         group by class, state"#,
        MAX_COUNTED,
    )
    .fetch_all(connection)
    .await
}

/// When the newest report of each provider and kind was received that had its effects: `(provider, kind, time)`.
pub async fn newest_reports(connection: &mut PgConnection) -> sqlx::Result<Vec<(String, String, Time)>> {
    let rows = sqlx::query!(
        r#"-- gauges::newest_reports
        select provider, kind, max(received_at) as "received_at!" from reports
         where state = 'finished' and not dry_run
         group by provider, kind"#,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|it| (it.provider, it.kind, it.received_at)).collect())
}

/// The time of the oldest event without a position, which readers cannot see yet. None: no such event.
pub async fn oldest_unshown(connection: &mut PgConnection) -> sqlx::Result<Option<Time>> {
    sqlx::query_scalar!(
        r#"-- gauges::oldest_unshown
        select min(at) from (select at from events_without_position limit (select $1::bigint)) as waiting"#,
        MAX_COUNTED,
    )
    .fetch_one(connection)
    .await
}

/// The database server's own status.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "four facts that do not depend on each other")]
pub struct Server {
    /// The server's time, to compare with ours.
    pub now: Time,
    /// Whether it is a standby.
    pub is_standby: bool,
    /// Whether it refuses writes.
    pub read_only: bool,
    /// Whether commits survive a crash of the machine.
    pub fsync: bool,
    /// Whether commits are acknowledged only once durable.
    pub synchronous_commit: bool,
}

pub async fn server(connection: &mut PgConnection) -> sqlx::Result<Server> {
    sqlx::query_as!(
        Server,
        r#"-- gauges::server
        select clock_timestamp() as "now!", pg_is_in_recovery() as "is_standby!",
               current_setting('transaction_read_only')::bool as "read_only!",
               current_setting('fsync')::bool as "fsync!",
               current_setting('synchronous_commit') in ('on', 'remote_apply') as "synchronous_commit!""#
    )
    .fetch_one(connection)
    .await
}
