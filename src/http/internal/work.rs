//! Database work of a request: in a task of its own, and again when contention or a lost connection undid it.
//!
//! A client that hangs up drops the future of its handler; work dropped in the middle of `begin` would return a connection
//! with an open transaction to the pool. The task finishes whatever the client does. Work must be safe to repeat: after a
//! lost reply to COMMIT it is unknown whether it took effect, and only the work itself can tell.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::time::timeout;
use tracing::Instrument;

use crate::db::{Fault, WITHIN, classify, describe};
use crate::http::problem::ApiError;

/// How often work is done at most: once, and three times more.
const TRIES: usize = 4;

/// The longest that a caller waits, just below the default of `ACK_TIMEOUT`. After it nothing is tried again: the caller may,
/// and is told so. Work under way goes on, for a commit that was sent may yet take effect; a repeat finds what it did.
pub const PATIENCE: Duration = Duration::from_millis(4_500);

/// A connection for a piece of work.
pub struct Connection {
    pooled: PoolConnection<Postgres>,
    /// The work on it did not end in time.
    hangs: Arc<AtomicBool>,
}

impl Deref for Connection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.pooled
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.pooled
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The next caller would wait on it too.
        if self.hangs.load(Ordering::Relaxed) {
            self.pooled.close_on_drop();
        }
    }
}

/// Runs `work` on a connection.
///
/// # Errors
/// 503 when the database is away, too busy or does not answer in time, 500 when it refuses the work for good.
pub async fn database<T, F, Work>(pool: &PgPool, work: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: Fn(Connection) -> Work + Send + 'static,
    Work: Future<Output = sqlx::Result<T>> + Send + 'static,
{
    let pool = pool.clone();
    let task = tokio::spawn(tries(pool, work).in_current_span());
    let ended =
        timeout(PATIENCE, task).await.map_err(|_| ApiError::unavailable("the database did not answer in time"))?;
    let done = ended.map_err(|_| ApiError::internal("the database work panicked"))?;
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
        let hangs = Arc::new(AtomicBool::new(false));
        let connection = Connection { pooled: pool.acquire().await?, hangs: Arc::clone(&hangs) };
        let mut working = Box::pin(work(connection));
        let Ok(done) = timeout(WITHIN, &mut working).await else {
            hangs.store(true, Ordering::Relaxed);
            return Err(sqlx::Error::PoolTimedOut);
        };
        match done {
            Err(error) if tried < TRIES && started.elapsed() < PATIENCE && classify(&error) != Fault::Permanent => {
                tracing::debug!(cause = describe(&error), tried, "database work is done again");
                tried += 1;
            }
            done => return done,
        }
    }
}
