//! Calls that run beside whoever waits for them.
//!
//! Each is a task of its own: an answer that has come is taken when it comes, and not only when the database has taken those
//! before it. Otherwise the deadline of a call could pass over an answer that was there in time. Dropped, they are given up.

use tokio::task::{JoinError, JoinSet};

use super::driver::TickError;

/// What a task came to.
type Joined<T> = Result<sqlx::Result<T>, JoinError>;

/// The next of them that is done, and all others that are by then, to be settled in one commit; none when there are no more.
pub async fn done<T: 'static>(calls: &mut JoinSet<sqlx::Result<T>>) -> Option<Vec<Result<T, TickError>>> {
    let mut done = vec![result(calls.join_next().await?)];
    while let Some(joined) = calls.try_join_next() {
        done.push(result(joined));
    }
    Some(done)
}

fn result<T>(joined: Joined<T>) -> Result<T, TickError> {
    // Nobody else stops such a task: it can only have panicked.
    Ok(joined.map_err(|_| TickError::Panicked)??)
}
