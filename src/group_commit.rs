//! Group commit: items that queue while one commit runs go into the next one. Batches grow with the load, and no timer delays an
//! item.
//!
//! A sender is answered after the commit that holds its item, so the answer stays true after any crash. The queue is bounded: when
//! it is full, the item is refused at once. A crash loses only items without an answer. When the last handle is dropped, the
//! writer commits the rest of the queue and ends.

#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;

use async_trait::async_trait;
use futures::FutureExt;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::db::{Fault, classify, describe};

/// The most items in one commit.
const MAX_BATCH: usize = 256;
/// How often a batch is tried at once when it meets contention.
const TRIES: usize = 3;

/// Writes items to the database.
#[async_trait]
pub trait Commit: Send + Sync + 'static {
    type Item: Send + Sync + 'static;
    type Answer: Send + 'static;

    /// Its name in logs.
    const NAME: &'static str;

    /// Commits all items in one transaction, and answers each, in their order.
    async fn commit(&self, items: &[Self::Item]) -> sqlx::Result<Vec<Self::Answer>>;
}

/// The item was not committed, or it is unknown whether it was: the queue is full, or the database is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not stored: {0}")]
pub struct Unavailable(pub &'static str);

type Answer<C> = Result<<C as Commit>::Answer, Unavailable>;
type Sender<C> = oneshot::Sender<Answer<C>>;

/// The way into the queue.
pub struct GroupCommit<C: Commit>(mpsc::Sender<(C::Item, Sender<C>)>);

impl<C: Commit> Clone for GroupCommit<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: Commit> GroupCommit<C> {
    /// Starts the writer of a queue that holds at most `capacity` items.
    #[must_use]
    pub fn start(capacity: usize, commit: C) -> (Self, JoinHandle<()>) {
        let (sender, queue) = mpsc::channel(capacity);
        (Self(sender), tokio::spawn(Writer(commit).run(queue)))
    }

    /// Returns after the commit that holds the item.
    pub async fn write(&self, item: C::Item) -> Answer<C> {
        let (sender, answer) = oneshot::channel();
        self.0.try_send((item, sender)).map_err(|error| match error {
            TrySendError::Full(_) => Unavailable("the queue is full"),
            TrySendError::Closed(_) => Unavailable("shutting down"),
        })?;
        answer.await.unwrap_or(Err(Unavailable("the writer ended")))
    }
}

struct Writer<C>(C);

impl<C: Commit> Writer<C> {
    async fn run(self, mut queue: mpsc::Receiver<(C::Item, Sender<C>)>) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        while queue.recv_many(&mut batch, MAX_BATCH).await > 0 {
            let (items, senders) = std::mem::take(&mut batch).into_iter().unzip();
            // A panic drops the senders, which is an answer; the writer goes on.
            if AssertUnwindSafe(self.write(items, senders)).catch_unwind().await.is_err() {
                tracing::error!(queue = C::NAME, "committing a batch panicked");
            }
        }
    }

    /// Commits a batch. If the database refuses it for good, each item is committed alone, so that one cannot fail the others.
    async fn write(&self, items: Vec<C::Item>, senders: Vec<Sender<C>>) {
        match self.commit(&items).await {
            Ok(answers) => {
                for (sender, answer) in senders.into_iter().zip(answers) {
                    tell::<C>(sender, Ok(answer));
                }
            }
            Err(error) if items.len() > 1 && classify(&error) == Fault::Permanent => {
                let cause = describe(&error);
                tracing::warn!(
                    queue = C::NAME,
                    cause,
                    items = items.len(),
                    "batch refused; committing its items one by one"
                );
                self.write_alone(items, senders).await;
            }
            Err(error) => {
                tracing::warn!(queue = C::NAME, cause = describe(&error), items = items.len(), "batch not committed");
                for sender in senders {
                    tell::<C>(sender, Err(AWAY));
                }
            }
        }
    }

    async fn write_alone(&self, items: Vec<C::Item>, senders: Vec<Sender<C>>) {
        let mut is_away = false;
        for (item, sender) in items.into_iter().zip(senders) {
            // Once the database is away, the remaining items need not wait for it one by one.
            let result = if is_away { Err(sqlx::Error::PoolTimedOut) } else { self.commit(&[item]).await };
            let answer = match result {
                Ok(mut answers) => answers.pop().ok_or(AWAY),
                Err(error) => {
                    tracing::warn!(queue = C::NAME, cause = describe(&error), "item not committed");
                    is_away |= classify(&error) == Fault::Unavailable;
                    Err(if classify(&error) == Fault::Permanent { REFUSED } else { AWAY })
                }
            };
            tell::<C>(sender, answer);
        }
    }

    async fn commit(&self, items: &[C::Item]) -> sqlx::Result<Vec<C::Answer>> {
        let mut tries = 1;
        loop {
            match self.0.commit(items).await {
                Err(error) if tries < TRIES && classify(&error) == Fault::Contention => tries += 1,
                result => return result,
            }
        }
    }
}

const AWAY: Unavailable = Unavailable("the database is away");
const REFUSED: Unavailable = Unavailable("the database refused it");

/// A sender that hung up gets no answer; its item is committed all the same.
fn tell<C: Commit>(sender: Sender<C>, answer: Answer<C>) {
    let _ = sender.send(answer);
}
