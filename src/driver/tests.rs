//! Ticks of a scripted worker under each schedule, and the rests of periodic tasks.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::clock::Clock;

/// A tick that took something, and left some or not.
#[derive(Debug)]
struct Took {
    left: bool,
}

impl Counts for Took {
    fn found_work(&self) -> bool {
        true
    }

    fn may_be_more(&self) -> bool {
        self.left
    }

    fn record(&self) {}
}

/// Ends a tick that has begun.
type End = oneshot::Sender<Took>;

/// Tells of each tick that begins, which ends as it is told.
struct Scripted(mpsc::UnboundedSender<End>);

#[async_trait]
impl Worker for Scripted {
    type Counts = Took;

    fn name(&self) -> &'static str {
        "scripted"
    }

    async fn tick(&self) -> Result<Took, TickError> {
        let (end, ended) = oneshot::channel();
        let _ = self.0.send(end);
        Ok(ended.await.unwrap_or(Took { left: false }))
    }
}

/// A scripted worker that looks of its own accord when it starts, and not again.
struct Driven {
    wake: Arc<Notify>,
    begun: mpsc::UnboundedReceiver<End>,
    running: VecDeque<End>,
    stop: CancellationToken,
    driver: JoinHandle<()>,
}

impl Driven {
    fn start(at_once: usize, on_backlog: usize) -> Self {
        let (tell, begun) = mpsc::unbounded_channel();
        let (wake, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let schedule = Schedule { on_backlog, ..Schedule::new(Arc::clone(&wake), Duration::from_hours(1), at_once) };
        let driver = drive(Scripted(tell), schedule, Ids::new(Clock::system()), stop.clone());
        Self { wake, begun, running: VecDeque::new(), stop, driver: tokio::spawn(driver) }
    }

    /// Waits until so many more ticks have begun.
    async fn begins(&mut self, ticks: usize) {
        for _ in 0..ticks {
            let end = timeout(Duration::from_secs(10), self.begun.recv()).await.expect("a tick begins").unwrap();
            self.running.push_back(end);
        }
    }

    /// Ends the tick that has been running longest.
    fn end(&mut self, left: bool) {
        self.running.pop_front().unwrap().send(Took { left }).unwrap();
    }

    /// Ends all of them and stops; how many more had begun.
    async fn stop(mut self) -> usize {
        self.stop.cancel();
        self.running.clear();
        let mut more = 0;
        while self.begun.recv().await.is_some() {
            more += 1;
        }
        self.driver.await.unwrap();
        more
    }
}

#[tokio::test]
async fn a_backlog_is_worked_off_by_more_ticks_at_once() {
    for at_once in [1, 3] {
        let mut driven = Driven::start(at_once, 3);
        driven.begins(1).await;
        driven.end(true);
        driven.begins(2).await;
        driven.end(true);
        driven.begins(2).await;
        assert_eq!(driven.stop().await, 0, "three at once");
    }
}

#[tokio::test]
async fn without_additional_ticks_a_backlog_is_worked_off_by_one_tick_after_the_other() {
    let mut driven = Driven::start(3, 0);
    driven.begins(1).await;
    driven.end(true);
    driven.begins(1).await;
    assert_eq!(driven.stop().await, 0);
}

#[tokio::test]
async fn a_wake_up_during_a_tick_begins_another_even_if_no_work_is_left() {
    for left in [true, false] {
        let mut driven = Driven::start(1, 3);
        driven.begins(1).await;
        driven.wake.notify_one();
        driven.end(left);
        driven.begins(1).await;
        assert_eq!(driven.stop().await, 0);
    }
}

/// `INBOX_BACKLOG` is kept by a count that is at most five seconds old, so a slow count makes the next no later.
#[test]
fn a_slow_run_of_a_periodic_task_is_followed_by_a_rest_of_five_seconds_at_most() {
    for (took, rest) in [(0, 0), (40, 800), (250, 5_000), (60_000, 5_000)] {
        assert_eq!(rest_after(Duration::from_millis(took)), Duration::from_millis(rest), "{took} ms");
    }
}

/// A rest may last [`MAX_REST`] where the panic takes long to be told.
const WITHIN: Duration = Duration::from_mins(1);

/// A panic, also one before the first await, and an error are retried, and a stop ends the task.
#[tokio::test]
async fn a_periodic_task_goes_on_after_a_panic_and_an_error_until_it_is_stopped() {
    let (told, mut runs) = mpsc::unbounded_channel();
    let begun = AtomicU32::new(0);
    let run = move || {
        let number = begun.fetch_add(1, Ordering::SeqCst);
        told.send(number).unwrap();
        assert!(number != 0, "scripted");
        std::future::ready(if number == 1 { Err(TickError::Database(sqlx::Error::PoolTimedOut)) } else { Ok(()) })
    };
    let (ids, stop) = (Ids::new(Clock::system()), CancellationToken::new());
    let task = tokio::spawn(every(Duration::from_millis(1), "scripted", ids, stop.clone(), run));
    for number in 0..4 {
        assert_eq!(timeout(WITHIN, runs.recv()).await.unwrap(), Some(number));
    }
    stop.cancel();
    timeout(WITHIN, task).await.unwrap().unwrap();
}
