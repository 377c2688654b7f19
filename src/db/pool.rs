//! The connection pool.

use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, Postgres, Row};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::session::Session;
use super::url::read_url;

/// Connection settings of the pool.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    pub url: String,
    /// The cell: the schema that unqualified names resolve to.
    pub schema: String,
    pub max_connections: u32,
    /// How long a caller waits for a free connection.
    pub acquire_timeout: Duration,
}

/// The maximum duration of work on one connection, after which the connection counts as dead. Longer than the server's
/// `statement_timeout`, which an unreachable server cannot enforce.
pub const WITHIN: Duration = Duration::from_secs(12);
/// How long to look for the reason why the pool has no connection.
const LOOK: Duration = Duration::from_secs(1);

/// Ends work bounded by [`WITHIN`]; `result` comes from `tokio::time::timeout`. After a time-out the connection is
/// closed rather than returned to the pool, where the next caller would wait on it too.
///
/// # Errors
/// The work's error, or a time-out.
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

/// As [`conclude`], after a slice. Its statements of many megabytes leave a buffer of their size with the connection, and the pool would
/// keep it: one for each connection that ever wrote a slice.
///
/// # Errors
/// As [`conclude`].
pub fn conclude_slice<T, E: From<sqlx::Error>>(
    mut connection: PoolConnection<Postgres>,
    result: Result<Result<T, E>, Elapsed>,
) -> Result<T, E> {
    connection.shrink_buffers();
    conclude(connection, result)
}

/// A connection of the pool. On a time-out the error is the reason why no new connection can be opened; the pool itself
/// retries refused connections silently and reports only a time-out.
pub async fn acquire(pool: &PgPool) -> sqlx::Result<PoolConnection<Postgres>> {
    match pool.acquire().await {
        Err(sqlx::Error::PoolTimedOut) => Err(refusal(pool).await.unwrap_or(sqlx::Error::PoolTimedOut)),
        acquired => acquired,
    }
}

/// The reason why no connection can be opened now. None: no reason was found in time.
pub async fn refusal(pool: &PgPool) -> Option<sqlx::Error> {
    let options = pool.connect_options();
    match timeout(LOOK, options.connect()).await.ok()? {
        Ok(connection) => {
            let _ = timeout(LOOK, connection.close()).await;
            None
        }
        Err(error) => Some(error),
    }
}

/// A single connection for migrations, with its own session and time-outs.
///
/// # Errors
/// If the URL is invalid or the session is unfit.
pub async fn connect_for_migrations(url: &str, schema: &str) -> sqlx::Result<PgConnection> {
    let options = named(url)?.application_name("account-opening migrate");
    Session::of_migrations(schema).open_alone(&options).await
}

/// A single connection outside the pool with the service's session settings. It reports a wrong URL, an unfit session
/// or an unreachable server at once and verbatim.
///
/// # Errors
/// If the URL is invalid or the session is unfit.
pub async fn connect_alone(url: &str, schema: &str) -> sqlx::Result<PgConnection> {
    Session::of_service(schema).open_alone(&named(url)?).await
}

/// Connect options with our application name.
fn named(url: &str) -> sqlx::Result<PgConnectOptions> {
    let options = read_url(url).map_err(|wrong| sqlx::Error::Configuration(wrong.into()))?;
    // Poolers refuse `extra_float_digits` unless configured to ignore it, and no query reads a float as text.
    Ok(options.application_name("account-opening").extra_float_digits(None))
}

/// Makes a pool. Connections are opened on demand, so this succeeds while the database is down.
///
/// # Errors
/// If the URL is invalid.
pub fn connect(options: &PoolOptions) -> Result<PgPool, sqlx::Error> {
    let connect = named(&options.url)?;
    let session = Arc::new(Session::of_service(&options.schema));
    let pool = PgPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let session = Arc::clone(&session);
            Box::pin(async move {
                #[cfg(feature = "broken")]
                if trusts_options() {
                    return Ok(());
                }
                session.prepare(connection).await
            })
        });
    #[cfg(feature = "broken")]
    let connect = with_options(connect, &options.schema);
    #[cfg(feature = "broken")]
    if crate::faults::broken::lacks(crate::faults::broken::Defence::PoolGuard) {
        return Ok(pool.connect_lazy_with(connect));
    }
    Ok(pool
        // A future dropped inside `begin` can leave a transaction open on a pooled connection; a later plain insert on
        // it would be acknowledged but never visible. `begin` joins or opens one, `rollback` ends it: silent when
        // clean, one round trip. (Upstream: transact-rs/sqlx issues 4385 and 4393.)
        // The same round trip checks that the session can write. A session opened while its database was read-only
        // keeps that default afterwards, so it is closed and replaced.
        .before_acquire(|connection, _| {
            Box::pin(async move {
                let asked = sqlx::raw_sql("begin; show transaction_read_only; rollback");
                let read_only = connection.fetch_all(asked).await?;
                Ok(read_only.iter().all(|row| row.try_get(0).is_ok_and(|value: &str| value == "off")))
            })
        })
        .connect_lazy_with(connect))
}

/// Whether startup options are trusted without reading them back. Only in builds for the chaos run's controls.
#[cfg(feature = "broken")]
fn trusts_options() -> bool {
    crate::faults::broken::lacks(crate::faults::broken::Defence::SessionSettings)
}

/// Sets the cell once, when the connection starts.
#[cfg(feature = "broken")]
fn with_options(connect: PgConnectOptions, schema: &str) -> PgConnectOptions {
    if trusts_options() { connect.options([("search_path", schema), ("timezone", "UTC")]) } else { connect }
}
