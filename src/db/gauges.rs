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

/// The queues.
///
/// # Errors
/// When the database is away.
pub async fn queues(connection: &mut PgConnection, now: Time) -> sqlx::Result<Vec<Queue>> {
    sqlx::query_as!(
        Queue,
        r#"-- gauges::queues
        select 'inbox' as "name!", count(*) as "depth!", min(received_at) as oldest from inbox where status = 'pending'
         union all
        select 'outbox', count(*), min(created_at) from outbox where status = 'pending'
         union all
        select 'timers', count(*), min(due_at) from timers where due_at <= $1"#,
        now,
    )
    .fetch_all(connection)
    .await
}

/// Openings by state and market.
///
/// # Errors
/// When the database is away.
pub async fn openings(connection: &mut PgConnection) -> sqlx::Result<Vec<Count>> {
    sqlx::query_as!(
        Count,
        r#"-- gauges::openings
        select state as "first!", market as "second!", count(*) as "count!" from account_openings group by state, market"#,
    )
    .fetch_all(connection)
    .await
}

/// Dead letters by queue and cause.
///
/// # Errors
/// When the database is away.
pub async fn dead_letters(connection: &mut PgConnection) -> sqlx::Result<Vec<Count>> {
    sqlx::query_as!(
        Count,
        r#"-- gauges::dead_letters
        select 'inbox' as "first!", coalesce(outcome, 'unknown') as "second!", count(*) as "count!"
          from inbox where status = 'dead' group by outcome
         union all
        select 'outbox', coalesce(outcome, 'unknown'), count(*) from outbox where status = 'dead' group by outcome"#,
    )
    .fetch_all(connection)
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
