//! The connection pool.

use std::str::FromStr;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Executor, PgConnection, Postgres, Row};
use tokio::time::error::Elapsed;

/// How to reach the database.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// `postgres://…`
    pub url: String,
    /// The cell: the schema that unqualified names resolve to.
    pub schema: String,
    /// The most connections held at once.
    pub max_connections: u32,
    /// How long a caller waits for a free one.
    pub acquire_timeout: Duration,
}

/// The longest that work on one connection may take: beyond it the connection is taken for dead. Above the server's own
/// `statement_timeout`, which a server that is gone does not keep.
pub const WITHIN: Duration = Duration::from_secs(12);

/// Ends work that was bounded by [`WITHIN`]: `result` is what `tokio::time::timeout` gave. A connection that did not answer
/// in time is not given back to the pool, where the next caller would wait on it too.
///
/// # Errors
/// The work's, or that it took too long.
pub fn conclude<T, E: From<sqlx::Error>>(
    mut connection: PoolConnection<Postgres>,
    result: Result<Result<T, E>, Elapsed>,
) -> Result<T, E> {
    result.unwrap_or_else(|_| {
        connection.close_on_drop();
        let error = std::io::Error::new(std::io::ErrorKind::TimedOut, "the database did not answer in time");
        Err(sqlx::Error::Io(error).into())
    })
}

/// One connection without time-outs, for migrations: an index on a large table takes its time.
///
/// # Errors
/// When the URL cannot be read or the database is away.
pub async fn connect_for_migrations(url: &str, schema: &str) -> sqlx::Result<PgConnection> {
    PgConnectOptions::from_str(url)?
        .application_name("account-opening migrate")
        .options([("search_path", schema), ("timezone", "UTC")])
        .connect()
        .await
}

/// Makes a pool; connections are opened when they are needed, so this succeeds while the database is away.
///
/// # Errors
/// When the URL cannot be read.
pub fn connect(options: &PoolOptions) -> Result<PgPool, sqlx::Error> {
    let connect = PgConnectOptions::from_str(&options.url)?.application_name("account-opening").options([
        ("search_path", options.schema.as_str()),
        ("timezone", "UTC"),
        // No statement of ours takes longer when all is well; one that does must not hold an anchor's lock.
        ("statement_timeout", "10s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "30s"),
        // A plan is kept for as long as nobody analyzes its tables anew. One that was made while a table was small reads all
        // of it, and goes on so while a new cell fills: the first 2,560 openings took 3 ms more each. Nothing here means to
        // read a whole table; what cannot but do it still does, at a price that must not look like work for a compiler.
        ("enable_seqscan", "off"),
        ("jit", "off"),
        // A plan for the very values is cheaper by its estimate wherever a statement takes arrays, since these are mostly
        // shorter than it assumes, so that Postgres would plan it anew each time and come to the same plan: a tenth of its
        // work where webhooks come one by one.
        ("plan_cache_mode", "force_generic_plan"),
    ]);
    #[cfg(feature = "broken")]
    if crate::faults::broken::lacks(crate::faults::broken::Defence::PoolGuard) {
        let unguarded = PgPoolOptions::new().max_connections(options.max_connections);
        return Ok(unguarded
            .acquire_timeout(options.acquire_timeout)
            .test_before_acquire(false)
            .connect_lazy_with(connect));
    }
    Ok(PgPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        // A future dropped inside `begin` can leave a transaction open on a pooled connection; a later plain insert on
        // it would be acknowledged and never seen. `begin` joins or opens one, `rollback` ends it: silent when clean,
        // one round trip. (Upstream: transact-rs/sqlx issues 4385 and 4393.)
        // On the way it asks whether the session writes. One that began while its database was read-only keeps that as its
        // default when the database writes again, so it is closed; another is opened, and finds what holds by then.
        .before_acquire(|connection, _| {
            Box::pin(async move {
                let asked = sqlx::raw_sql("begin; show transaction_read_only; rollback");
                let read_only = connection.fetch_all(asked).await?;
                Ok(read_only.iter().all(|row| row.try_get(0).is_ok_and(|value: &str| value == "off")))
            })
        })
        .test_before_acquire(false)
        .connect_lazy_with(connect))
}
