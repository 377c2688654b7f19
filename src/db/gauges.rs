//! What stands where right now, for metrics and readiness.

use sqlx::PgConnection;

use crate::clock::Time;

/// A queue's length and the age of its head.
#[derive(Clone, Debug)]
pub struct Queue {
    /// `inbox`, `outbox`, `timers`.
    pub name: String,
    /// Rows that wait; timers: rows that are due.
    pub depth: i64,
    /// Since when the oldest of them waits. None: empty.
    pub oldest: Option<Time>,
}

/// A number of things with two labels.
#[derive(Clone, Debug)]
pub struct Count {
    /// The first label: state, or queue.
    pub first: String,
    /// The second label: market, or cause.
    pub second: String,
    /// How many.
    pub count: i64,
}

/// The most rows of a queue that are counted. A depth of this is one of as many or more, and the oldest of them the oldest of so
/// many that were looked at: a scrape must not cost more, the longer the queue is.
pub const MAX_COUNTED: i64 = 10_000;

/// Has the transaction read no table whole and no index before the first row of it is wanted: among many rows a few look as if
/// they were found soon, and they all stand at the end.
///
/// # Errors
/// When the database is away.
pub async fn by_index(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- gauges::by_index
        select set_config('enable_seqscan', 'off', true) as s, set_config('enable_bitmapscan', 'off', true) as b"#,
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// The queues, each up to [`MAX_COUNTED`]. Call it after [`by_index`].
///
/// # Errors
/// When the database is away.
pub async fn queues(connection: &mut PgConnection, now: Time) -> sqlx::Result<Vec<Queue>> {
    sqlx::query_as!(
        Queue,
        r#"-- gauges::queues
        select 'inbox' as "name!", count(*) as "depth!", min(at) as oldest
          from (select received_at as at from inbox where status = 'pending' limit (select $2::bigint)) as waiting
         union all
        select 'outbox', count(*), min(at)
          from (select created_at as at from outbox where status = 'pending' limit (select $2)) as waiting
         union all
        select 'timers', count(*), min(at)
          from (select due_at as at from timers where due_at <= $1 order by due_at limit (select $2)) as due"#,
        now,
        MAX_COUNTED,
    )
    .fetch_all(connection)
    .await
}

/// Dead letters by queue and cause, of each queue up to [`MAX_COUNTED`]. Call it after [`by_index`].
///
/// # Errors
/// When the database is away.
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

/// When the oldest event happened that has no position yet, and so is shown to no reader. None: there is none.
///
/// # Errors
/// When the database is away.
pub async fn oldest_unshown(connection: &mut PgConnection) -> sqlx::Result<Option<Time>> {
    sqlx::query_scalar!(
        r#"-- gauges::oldest_unshown
        select min(at) from (select at from events_without_position limit (select $1::bigint)) as waiting"#,
        MAX_COUNTED,
    )
    .fetch_one(connection)
    .await
}

/// What the database says of itself.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "four facts that do not depend on each other")]
pub struct Server {
    /// Its time, to compare ours to.
    pub now: Time,
    /// It replays another's writes.
    pub is_standby: bool,
    /// It takes no writes.
    pub read_only: bool,
    /// A commit survives a crash of the machine.
    pub fsync: bool,
    /// A commit is answered after it is durable.
    pub synchronous_commit: bool,
}

/// Asks the database about itself.
///
/// # Errors
/// When the database is away.
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
