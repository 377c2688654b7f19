//! The queue over a commit that a test scripts; with a database it is tested by webhooks and refused webhooks.

use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::*;

/// Commits when it has a permit, and keeps each batch. A batch that holds 13 is refused, and 99 finds no database.
#[derive(Clone)]
struct Scripted {
    begun: Arc<Semaphore>,
    permits: Arc<Semaphore>,
    committed: Arc<Mutex<Vec<Vec<u32>>>>,
}

#[async_trait]
impl Commit for Scripted {
    type Item = u32;
    type Answer = u32;

    const NAME: &'static str = "scripted";

    async fn commit(&self, items: &[u32]) -> sqlx::Result<Vec<u32>> {
        self.begun.add_permits(1);
        self.permits.acquire().await.unwrap().forget();
        assert!(!items.contains(&0), "scripted");
        if items.contains(&13) {
            return Err(sqlx::Error::RowNotFound);
        }
        if items.contains(&99) {
            return Err(sqlx::Error::PoolTimedOut);
        }
        self.committed.lock().unwrap().push(items.to_vec());
        Ok(items.iter().map(|it| it * 2).collect())
    }
}

struct Queue {
    scripted: Scripted,
    handle: GroupCommit<Scripted>,
    writer: JoinHandle<()>,
}

impl Queue {
    fn start(capacity: usize) -> Self {
        let scripted = Scripted {
            begun: Arc::new(Semaphore::new(0)),
            permits: Arc::new(Semaphore::new(0)),
            committed: Arc::default(),
        };
        let (handle, writer) = GroupCommit::start(capacity, scripted.clone());
        Self { scripted, handle, writer }
    }

    /// Sends items while the first of them is being committed, and lets the commits go on.
    async fn send(&self, items: &[u32]) -> Vec<Result<u32, Unavailable>> {
        let write = |item: u32| {
            tokio::spawn({
                let handle = self.handle.clone();
                async move { handle.write(item).await }
            })
        };
        let first = write(items[0]);
        self.scripted.begun.acquire().await.unwrap().forget();
        let mut sent = vec![first];
        for item in &items[1..] {
            sent.push(write(*item));
            tokio::task::yield_now().await;
        }
        self.scripted.permits.add_permits(1_000);
        let mut answers = Vec::new();
        for answer in sent {
            answers.push(answer.await.unwrap());
        }
        answers
    }

    fn committed(&self) -> Vec<Vec<u32>> {
        self.scripted.committed.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn items_that_come_during_a_commit_share_the_next_one() {
    let queue = Queue::start(16);
    assert_eq!(queue.send(&[1, 2, 3, 4]).await, [Ok(2), Ok(4), Ok(6), Ok(8)]);
    assert_eq!(queue.committed().concat(), [1, 2, 3, 4]);
    assert!(queue.committed().len() < 4, "{:?}", queue.committed());
}

#[tokio::test]
async fn an_item_that_is_refused_fails_no_other() {
    let queue = Queue::start(16);
    let refused = Err(Unavailable("the database refused it"));
    assert_eq!(queue.send(&[1, 2, 13, 4]).await, [Ok(2), Ok(4), refused, Ok(8)]);
}

#[tokio::test]
async fn a_full_queue_refuses_and_a_panic_ends_nothing() {
    let queue = Queue::start(1);
    let answers = queue.send(&[0, 1, 2]).await;
    assert_eq!(answers[0], Err(Unavailable("the writer ended")));
    assert_eq!(answers[1..], [Ok(2), Err(Unavailable("the queue is full"))]);
}

#[tokio::test]
async fn once_the_database_is_away_the_rest_of_a_batch_is_told_without_a_try() {
    let queue = Queue::start(16);
    let (refused, away) = (Err(Unavailable("the database refused it")), Err(Unavailable("the database is away")));
    assert_eq!(queue.send(&[1, 13, 99, 2, 3]).await, [Ok(2), refused, away, away, away]);
    assert_eq!(queue.committed(), [[1]]);
    // `send` has taken the first one's permit; the batch, 13 alone and 99 alone follow.
    assert_eq!(queue.scripted.begun.available_permits(), 3);
}

#[tokio::test]
async fn after_the_last_handle_is_gone_the_rest_of_the_queue_is_committed_and_the_writer_ends() {
    let Queue { scripted, handle, writer } = Queue::start(16);
    let mut senders = JoinSet::new();
    let mut write = |item| {
        let handle = handle.clone();
        senders.spawn(async move { handle.write(item).await });
    };
    write(1);
    scripted.begun.acquire().await.unwrap().forget();
    write(2);
    write(3);
    while handle.0.capacity() > 14 {
        tokio::task::yield_now().await;
    }
    senders.shutdown().await;
    drop(handle);
    scripted.permits.add_permits(1_000);
    writer.await.unwrap();
    assert_eq!(scripted.committed.lock().unwrap().concat(), [1, 2, 3]);
}
