//! Database work of a request: in a task of its own, and again when contention or a lost connection undid it.
//!
//! A client that hangs up drops the future of its handler; work dropped in the middle of `begin` would return a connection
//! with an open transaction to the pool. The task finishes whatever the client does. Work must be safe to repeat: after a
//! lost reply to COMMIT it is unknown whether it took effect, and only the work itself can tell.

use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};
use tracing::Instrument;

use crate::db::{Fault, classify, describe};
use crate::http::problem::ApiError;

/// How often work is done at most: once, and three times more.
const TRIES: usize = 4;

/// After this long nothing is tried again: the caller may, and is told so. What an earlier try left behind can hold its
/// locks until the database notices that nobody is there any more.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection for a piece of work.
pub type Connection = PoolConnection<Postgres>;

/// Runs `work` on a connection.
///
/// # Errors
/// 503 when the database is away or too busy, 500 when it refuses the work for good.
pub async fn database<T, F, Work>(pool: &PgPool, work: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: Fn(Connection) -> Work + Send + 'static,
    Work: Future<Output = sqlx::Result<T>> + Send + 'static,
{
    let pool = pool.clone();
    let task = tokio::spawn(tries(pool, work).in_current_span());
    let done = task.await.map_err(|_| ApiError::internal("the database work panicked"))?;
    Ok(done?)
}

async fn tries<T, F, Work>(pool: PgPool, work: F) -> sqlx::Result<T>
where
    F: Fn(Connection) -> Work,
    Work: Future<Output = sqlx::Result<T>>,
{
    let (started, mut tried) = (Instant::now(), 1);
    loop {
        // The pool has waited for a connection as long as a caller may wait: that is not tried again.
        let connection = pool.acquire().await?;
        match work(connection).await {
            Err(error) if tried < TRIES && started.elapsed() < PATIENCE && classify(&error) != Fault::Permanent => {
                tracing::debug!(cause = describe(&error), tried, "database work is done again");
                tried += 1;
            }
            done => return done,
        }
    }
}
