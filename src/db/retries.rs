//! Runs a request's work on a connection of the pool.
//!
//! A request's work is done again after contention or a lost connection, so it must be safe to repeat: after a lost reply to
//! COMMIT, only a read inside the work can tell whether the first try took effect. If the work does not end in time,
//! its connection is closed: it may hang or hold an open transaction, and the pool's next caller would meet both.

use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, PgConnection, PgPool, Postgres, Transaction};
use tokio::time::timeout;

use super::{Fault, WITHIN, classify, describe};

/// Tries of a request's work: the first, and three more.
const TRIES: usize = 4;

/// The longest that a request waits for the database, just below the default of `ACK_TIMEOUT`. The caller is then told 503, and
/// the work is given up: its repeat finds a commit that took effect all the same.
pub const PATIENCE: Duration = Duration::from_millis(4_500);

/// An error that work may end with: the database's, or a refusal of its own, which is never tried again.
pub trait WorkError: From<sqlx::Error> {
    /// The database's error, if it is one.
    fn of_database(&self) -> Option<&sqlx::Error>;
}

impl WorkError for sqlx::Error {
    fn of_database(&self) -> Option<&sqlx::Error> {
        Some(self)
    }
}

/// A connection that goes back to the pool only if its work has ended.
pub(super) struct Lent {
    pooled: PoolConnection<Postgres>,
    ended: bool,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.ended {
            self.pooled.close_on_drop();
        }
    }
}

impl Lent {
    pub fn new(pooled: PoolConnection<Postgres>) -> Self {
        Self { pooled, ended: false }
    }

    pub async fn run<T, E>(mut self, work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>) -> Result<T, E> {
        let done = work(&mut self.pooled).await;
        self.ended = true;
        done
    }
}

/// Runs `work` on a connection, one time, for at most [`WITHIN`].
///
/// # Errors
/// The work's, or the database's when it is away or does not answer in time.
pub async fn once<T, E: From<sqlx::Error>>(
    pool: &PgPool,
    work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
) -> Result<T, E> {
    let lent = Lent::new(pool.acquire().await?);
    timeout(WITHIN, lent.run(work)).await.unwrap_or_else(|_| Err(late().into()))
}

/// Runs a request's `work` on a connection, with tries, for at most [`PATIENCE`].
///
/// # Errors
/// The work's, or the database's when it is away, too busy or does not answer in time.
pub async fn with_retries<T, E: WorkError>(
    pool: &PgPool,
    work: impl AsyncFn(&mut PgConnection) -> Result<T, E>,
) -> Result<T, E> {
    timeout(PATIENCE, tries(pool, work)).await.unwrap_or_else(|_| Err(late().into()))
}

/// Runs a request's `work` in a transaction and commits it, with tries, for at most [`PATIENCE`]. An error of the work rolls back.
///
/// # Errors
/// The work's, or the database's when it is away, too busy or does not answer in time.
pub async fn in_one_commit<T, E: WorkError>(
    pool: &PgPool,
    work: impl AsyncFn(&mut PgConnection) -> Result<T, E>,
) -> Result<T, E> {
    let in_transaction = async move |connection: &mut PgConnection| {
        let mut transaction = connection.begin().await?;
        let done = work(&mut transaction).await?;
        transaction.commit().await?;
        Ok(done)
    };
    with_retries(pool, in_transaction).await
}

/// Begins the transaction of a slice: thousands of rows at once. Its statements are planned anew, by the tables as they are now.
///
/// The sessions keep their plans (see `OF_SERVICE` in `session.rs`). A plan that was made while a table was nearly empty may read
/// that table once per row of the slice: ten thousand rows beside ten thousand took longer than a statement may.
///
/// # Errors
/// The database's.
pub async fn begin_slice(connection: &mut PgConnection) -> sqlx::Result<Transaction<'_, Postgres>> {
    connection.begin_with("begin; discard plans").await
}

/// The same for a slice that can be read again: its commit does not wait for the disk. A crash of Postgres may lose it, and any commit
/// after it that does not wait.
///
/// # Errors
/// The database's.
pub async fn begin_repeatable_slice(connection: &mut PgConnection) -> sqlx::Result<Transaction<'_, Postgres>> {
    connection.begin_with("begin; discard plans; set local synchronous_commit = off").await
}

/// The longest that the commit of a large body may take.
const LONG: Duration = Duration::from_mins(5);

/// Runs `work` in a transaction and commits it, one time. For bodies of many megabytes, which take longer than a request otherwise
/// waits.
///
/// # Errors
/// The work's, or the database's when it is away or does not answer in time.
pub async fn in_one_long_commit<T, E: WorkError>(
    pool: &PgPool,
    work: impl AsyncFn(&mut PgConnection) -> Result<T, E>,
) -> Result<T, E> {
    let in_transaction = async move |connection: &mut PgConnection| {
        let mut transaction = connection.begin().await?;
        let done = work(&mut transaction).await?;
        transaction.commit().await?;
        Ok(done)
    };
    let lent = Lent::new(pool.acquire().await?);
    timeout(LONG, lent.run(in_transaction)).await.unwrap_or_else(|_| Err(late().into()))
}

async fn tries<T, E: WorkError>(pool: &PgPool, work: impl AsyncFn(&mut PgConnection) -> Result<T, E>) -> Result<T, E> {
    let (started, mut tried) = (Instant::now(), 1);
    loop {
        // The pool waits for a free connection nearly as long as a request may: that is not tried again.
        let lent = Lent::new(pool.acquire().await?);
        match lent.run(&work).await {
            Err(error) if tried < TRIES && started.elapsed() < PATIENCE && is_momentary(&error, tried) => {
                tried += 1;
            }
            done => return done,
        }
    }
}

fn is_momentary(error: &impl WorkError, tried: usize) -> bool {
    let Some(error) = error.of_database().filter(|it| classify(it) != Fault::Permanent) else { return false };
    tracing::debug!(tried, cause = describe(error), "retrying database work");
    true
}

pub(super) fn late() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "the database did not answer in time"))
}
