//! The queue to the inbox. Group commit: messages queued during a commit share the next one, so batches grow with the
//! load and no timer delays a message. The queue is bounded; if it is full, the sender is answered 503.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use sqlx::{Connection, PgPool};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, oneshot};

use super::Unavailable;
use crate::db::inbox::{self, NewFact, Stored};
use crate::db::{Fault, WITHIN, classify, conclude, describe};
use crate::faults::{FaultPoint, Step};

/// Maximum messages per commit.
const MAX_BATCH: usize = 256;
/// Immediate tries per batch.
const TRIES: usize = 3;

type Answer = oneshot::Sender<Result<Stored, Unavailable>>;

/// A message's rows and its waiting caller.
pub(super) struct Waiting {
    facts: Vec<NewFact>,
    answer: Answer,
}

#[derive(Clone)]
pub(super) struct Queue(mpsc::Sender<Waiting>);

impl Queue {
    pub fn new(capacity: usize) -> (Self, mpsc::Receiver<Waiting>) {
        let (sender, receiver) = mpsc::channel(capacity);
        (Self(sender), receiver)
    }

    /// Returns after the commit of the facts, with the result of the first one.
    pub async fn store(&self, facts: Vec<NewFact>) -> Result<Stored, Unavailable> {
        let (answer, wait) = oneshot::channel();
        self.0.try_send(Waiting { facts, answer }).map_err(|error| match error {
            TrySendError::Full(_) => Unavailable("the queue is full"),
            TrySendError::Closed(_) => Unavailable("shutting down"),
        })?;
        wait.await.unwrap_or(Err(Unavailable("the writer ended")))
    }
}

pub(super) struct Writer {
    pool: PgPool,
    wake: Arc<Notify>,
    faults: FaultPoint,
}

impl Writer {
    pub const fn new(pool: PgPool, wake: Arc<Notify>, faults: FaultPoint) -> Self {
        Self { pool, wake, faults }
    }

    pub async fn run(self, mut queue: mpsc::Receiver<Waiting>) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        while queue.recv_many(&mut batch, MAX_BATCH).await > 0 {
            // After a panic the callers of the batch fail as not stored, and the writer continues.
            let write = AssertUnwindSafe(self.write(std::mem::take(&mut batch))).catch_unwind();
            if write.await.is_err() {
                tracing::error!("writing a batch of webhooks panicked; they are answered 503");
            }
        }
    }

    /// Writes a batch in one commit; if the database refuses it, each message separately, so that one cannot fail the
    /// others.
    async fn write(&self, batch: Vec<Waiting>) {
        match self.store(batch.iter().flat_map(|it| &it.facts)).await {
            Ok(stored) => {
                let mut stored = stored.into_iter();
                for waiting in batch {
                    let mine = stored.by_ref().take(waiting.facts.len()).collect();
                    answer(waiting, Ok(mine));
                }
                self.wake.notify_one();
            }
            Err(error) if batch.len() > 1 && classify(&error) == Fault::Permanent => {
                let (cause, messages) = (describe(&error), batch.len());
                tracing::warn!(cause, messages, "the database refused a batch of webhooks; storing them one by one");
                let mut away = false;
                for waiting in batch {
                    // If the database is down, do not try the remaining messages one by one.
                    let result =
                        if away { Err(sqlx::Error::PoolTimedOut) } else { self.store(waiting.facts.iter()).await };
                    away |= result.as_ref().is_err_and(|error| classify(error) == Fault::Unavailable);
                    answer(waiting, result);
                }
                self.wake.notify_one();
            }
            Err(error) => {
                tracing::error!(
                    cause = describe(&error),
                    messages = batch.len(),
                    "webhooks could not be stored; answered 503"
                );
                for waiting in batch {
                    answer(waiting, Err(sqlx::Error::WorkerCrashed));
                }
            }
        }
    }

    async fn store<'a>(&self, facts: impl Iterator<Item = &'a NewFact> + Clone) -> sqlx::Result<Vec<Stored>> {
        let mut tries = 1;
        loop {
            match self.store_once(facts.clone()).await {
                Err(error) if tries < TRIES && classify(&error) == Fault::Contention => tries += 1,
                result => return result,
            }
        }
    }

    async fn store_once<'a>(&self, facts: impl Iterator<Item = &'a NewFact>) -> sqlx::Result<Vec<Stored>> {
        let mut connection = self.pool.acquire().await?;
        let storing = async {
            let mut transaction = connection.begin().await?;
            let insert = inbox::insert(&mut transaction, facts);
            let stored = self.faults.around("ingest", Step::Settle, insert).await?;
            // A lost answer to this COMMIT is an error: the sender repeats the message and finds its key taken.
            self.faults.around("ingest", Step::Commit, transaction.commit()).await?;
            Ok(stored)
        };
        let result = tokio::time::timeout(WITHIN, storing).await;
        conclude(connection, result)
    }
}

fn answer(waiting: Waiting, result: sqlx::Result<Vec<Stored>>) {
    let result = result.map_err(|_| Unavailable("the database is away"));
    // The receiver is gone if the sender hung up; the message is stored all the same.
    let _ = waiting.answer.send(result.map(|stored| stored.first().copied().unwrap_or(Stored::New)));
}
