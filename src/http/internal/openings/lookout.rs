//! Who waits for openings to be decided, and one look at the database for all of them.
//!
//! It may be another replica that brings an opening further, so what tells is the database. Between two looks no connection
//! is held, and while nobody waits nobody looks. All of it is in memory: a crash takes the waiting callers with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::db::{describe, openings};
use crate::domain::{OpeningId, Status};

/// How often it looks.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// The lookout of a process.
#[derive(Clone, Debug)]
pub struct Lookout {
    pool: PgPool,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    openings: HashMap<Uuid, oneshot::Sender<()>>,
    /// Somebody looks.
    looking: bool,
}

/// Somebody looks, for as long as this lives: also one that panics leaves its place to the next.
struct Look<'a> {
    lookout: &'a Lookout,
    /// The place has been left already, and may be another's.
    ended: bool,
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.lookout.waiting().looking = false;
        }
    }
}

impl Lookout {
    /// On this database.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool, waiting: Arc::default() }
    }

    /// Waits until an opening is decided. One caller waits for one opening: the one that started it.
    pub async fn decided(&self, id: OpeningId) {
        let (tell, told) = oneshot::channel();
        let begin = {
            let mut waiting = self.waiting();
            waiting.openings.insert(id.0, tell);
            !std::mem::replace(&mut waiting.looking, true)
        };
        if begin {
            tokio::spawn(self.clone().look());
        }
        if told.await.is_err() {
            // The look has ended without a word: nobody knows, and the caller's time will run out.
            std::future::pending::<()>().await;
        }
    }

    async fn look(self) {
        let mut look = Look { lookout: &self, ended: false };
        loop {
            tokio::time::sleep(LOOK).await;
            let Some(ids) = self.waited_for() else {
                look.ended = true;
                return;
            };
            match self.decided_of(&ids).await {
                Ok(decided) => {
                    let mut waiting = self.waiting();
                    for tell in decided.iter().filter_map(|id| waiting.openings.remove(id)) {
                        // Whoever waited may have gone.
                        let _ = tell.send(());
                    }
                }
                Err(error) => tracing::debug!(cause = describe(&error), "a look at openings failed; looking again"),
            }
        }
    }

    /// None: nobody waits any more, and the look ends.
    fn waited_for(&self) -> Option<Vec<Uuid>> {
        let mut waiting = self.waiting();
        waiting.openings.retain(|_, tell| !tell.is_closed());
        waiting.looking = !waiting.openings.is_empty();
        waiting.looking.then(|| waiting.openings.keys().copied().collect())
    }

    async fn decided_of(&self, ids: &[Uuid]) -> sqlx::Result<Vec<Uuid>> {
        let mut connection = self.pool.acquire().await?;
        let openings = openings::read(&mut connection, ids).await?;
        let decided = openings.into_iter().filter(|it| it.state_name().status() != Status::InProgress);
        Ok(decided.map(|it| it.id.0).collect())
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_look_that_ends_before_its_time_leaves_its_place_to_the_next() {
        let lookout = Lookout::new(PgPool::connect_lazy("postgres://localhost/nowhere").unwrap());
        lookout.waiting().looking = true;
        let look = tokio::spawn(lookout.clone().look());
        tokio::task::yield_now().await;
        assert!(lookout.waiting().looking);
        look.abort();
        assert!(look.await.unwrap_err().is_cancelled());
        assert!(!lookout.waiting().looking);
    }
}
