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
/// How long it is looked why the pool has no connection.
const LOOK: Duration = Duration::from_secs(1);

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

/// A connection of the pool. Where there is none in time, the error is what keeps new ones from being opened: the pool
/// itself tries again and again when the server refuses, and says only that time ran out.
///
/// # Errors
/// When there is none.
pub async fn acquire(pool: &PgPool) -> sqlx::Result<PoolConnection<Postgres>> {
    match pool.acquire().await {
        Err(sqlx::Error::PoolTimedOut) => Err(refusal(pool).await.unwrap_or(sqlx::Error::PoolTimedOut)),
        acquired => acquired,
    }
}

/// What keeps a connection from being opened now. None: nothing does, or the server says nothing in time.
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

/// One connection for migrations, which is a session of its own and has their time-outs.
///
/// # Errors
/// When the URL cannot be read, the session is unfit, or the database is away.
pub async fn connect_for_migrations(url: &str, schema: &str) -> sqlx::Result<PgConnection> {
    let options = named(url)?.application_name("account-opening migrate");
    Session::of_migrations(schema).open_alone(&options).await
}

/// One connection beside the pool, as the service has it, which is a session of its own: what is wrong with the database or
/// the way to it is known at once, and by its own words.
///
/// # Errors
/// When the URL cannot be read, the session is unfit, or the database is away.
pub async fn connect_alone(url: &str, schema: &str) -> sqlx::Result<PgConnection> {
    Session::of_service(schema).open_alone(&named(url)?).await
}

/// Where a connection goes, under our name.
fn named(url: &str) -> sqlx::Result<PgConnectOptions> {
    let options = read_url(url).map_err(|wrong| sqlx::Error::Configuration(wrong.into()))?;
    // Nothing here is a float as text, and poolers refuse this parameter unless they are told to ignore it.
    Ok(options.application_name("account-opening").extra_float_digits(None))
}

/// Makes a pool; connections are opened when they are needed, so this succeeds while the database is away.
///
/// # Errors
/// When the URL cannot be read.
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
        .connect_lazy_with(connect))
}

/// Whether a session is taken to have what it asked for when it began: only in a build for the controls of the chaos run.
#[cfg(feature = "broken")]
fn trusts_options() -> bool {
    crate::faults::broken::lacks(crate::faults::broken::Defence::SessionSettings)
}

/// Asks for the cell when a session begins, and never again.
#[cfg(feature = "broken")]
fn with_options(connect: PgConnectOptions, schema: &str) -> PgConnectOptions {
    if trusts_options() { connect.options([("search_path", schema), ("timezone", "UTC")]) } else { connect }
}
