//! The connection pool.

use std::str::FromStr;
use std::time::Duration;

use sqlx::Executor;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

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

/// Makes a pool; connections are opened when they are needed, so this succeeds while the database is away.
///
/// # Errors
/// When the URL cannot be read.
pub fn connect(options: &PoolOptions) -> Result<PgPool, sqlx::Error> {
    let connect = PgConnectOptions::from_str(&options.url)?.application_name("account-opening").options([
        ("search_path", options.schema.as_str()),
        ("timezone", "UTC"),
        // No statement of ours takes longer when all is well; one that does must not hold an anchor's lock.
        ("statement_timeout", "15s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "30s"),
    ]);
    Ok(PgPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        // A future dropped inside `begin` can leave a transaction open on a pooled connection; a later plain insert on
        // it would be acknowledged and never seen. `begin` joins or opens one, `rollback` ends it: silent when clean,
        // one round trip. (Upstream: transact-rs/sqlx issues 4385 and 4393.)
        .before_acquire(|connection, _| {
            Box::pin(async move {
                connection.execute(sqlx::raw_sql("begin; rollback")).await?;
                Ok(true)
            })
        })
        .test_before_acquire(false)
        .connect_lazy_with(connect))
}
