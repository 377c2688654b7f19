//! The one loop that runs a worker: ticks while there is work, several at once where there is much, and otherwise sleeps until
//! it is woken or until it is time to look anyway.
//!
//! A tick that hangs on somebody else's answer holds up itself alone. One that fails is logged once, and the worker pauses, a
//! little longer each time; a panic is a failure like any other. On shutdown the ticks under way are finished.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Ids;
use crate::db::describe;
use crate::telemetry::metrics;

/// The longest pause after failures.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// What a tick did.
pub trait Counts: std::fmt::Debug + Send {
    /// Whether it found work.
    fn found_work(&self) -> bool;
    /// Whether there may be more that is due now. A look that finds nothing is not free: a worker that knows that it took
    /// all there was waits to be woken.
    fn may_be_more(&self) -> bool {
        self.found_work()
    }
    /// Adds it to the metrics.
    fn record(&self);
}

/// Why a tick could not do its work. Nothing was lost: the next one begins anew.
#[derive(Debug, thiserror::Error)]
pub enum TickError {
    /// The database refused or is away.
    #[error("{}", describe(.0))]
    Database(#[from] sqlx::Error),
    /// A mistake of ours. What it said may quote data, so nobody repeats it; the panic hook has logged where it was.
    #[error("panicked")]
    Panicked,
}

/// Background work.
#[async_trait]
pub trait Worker: Send + Sync + 'static {
    /// What a tick did.
    type Counts: Counts;

    /// Its name, in logs and metrics.
    fn name(&self) -> &'static str;

    /// Does what is due now.
    async fn tick(&self) -> Result<Self::Counts, TickError>;
}

/// When a worker looks for work.
pub struct Rhythm {
    /// Wakes it.
    pub wake: Arc<Notify>,
    /// It looks at least this often, give or take a quarter.
    pub idle: Duration,
    /// The most ticks at once.
    pub at_once: usize,
    /// The most ticks at once on what has piled up: when one left some, and nothing has woken the worker since the one before
    /// ended. While more keeps coming, the machine is busy with taking it in. Zero: no tick is begun beside another for that.
    pub on_backlog: usize,
    /// The longest that a wake-up waits after a tick that took all there was. It waits as long as that tick took, so that
    /// what comes meanwhile shares the next one's fixed costs, and a worker that is woken for every single thing takes half
    /// of the time at the most. Zero: it never waits.
    pub rest: Duration,
}

impl Rhythm {
    /// One that does not rest.
    #[must_use]
    pub const fn new(wake: Arc<Notify>, idle: Duration, at_once: usize) -> Self {
        Self { wake, idle, at_once, on_backlog: 0, rest: Duration::ZERO }
    }

    fn most(&self, piled_up: bool) -> usize {
        if piled_up { self.at_once.max(self.on_backlog) } else { self.at_once }
    }

    /// How many ticks a look begins beside those that run: on what has piled up one in the place of the one that ended, and one
    /// beside it.
    fn begins(&self, piled_up: bool, running: usize) -> usize {
        if piled_up { self.on_backlog.saturating_sub(running).clamp(1, 2) } else { 1 }
    }
}

/// Runs one tick; a panic in it is an error.
///
/// # Errors
/// The tick's.
pub async fn tick<W: Worker>(worker: &W) -> Result<W::Counts, TickError> {
    match AssertUnwindSafe(worker.tick()).catch_unwind().await {
        Ok(result) => result,
        Err(_) => Err(TickError::Panicked),
    }
}

/// Runs a worker until `stop`.
pub async fn drive<W: Worker>(worker: W, rhythm: Rhythm, ids: Ids, stop: CancellationToken) {
    let worker = Arc::new(worker);
    let mut running: JoinSet<(Duration, Result<W::Counts, TickError>)> = JoinSet::new();
    let mut failures = 0_u32;
    let mut look = Look::now(Instant::now());
    let mut piled_up = false;
    loop {
        let at_once = rhythm.most(piled_up);
        if look.at <= Instant::now() && running.len() < at_once {
            look.at = Instant::now() + rhythm.idle.mul_f64(0.75 + ids.jitter() / 2.0);
            for _ in 0..rhythm.begins(piled_up, running.len()) {
                let worker = Arc::clone(&worker);
                running.spawn(async move { run(worker.as_ref()).await });
            }
        }
        // A wake-up in a pause after failures waits until the pause is over: nothing would be better sooner.
        let may_wake = failures == 0 && running.len() < at_once;
        tokio::select! {
            () = stop.cancelled() => break,
            Some(done) = running.join_next() => match done.unwrap_or((Duration::ZERO, Err(TickError::Panicked))) {
                (took, Ok(counts)) => {
                    failures = 0;
                    let woken = rhythm.wake.notified().now_or_never().is_some();
                    piled_up = counts.may_be_more() && !woken;
                    if counts.may_be_more() {
                        look.at = Instant::now();
                    } else if counts.found_work() {
                        look.rest(Instant::now(), took, rhythm.rest);
                    }
                    if woken {
                        look.wake(Instant::now());
                    }
                }
                (_, Err(error)) => {
                    failures = failures.saturating_add(1);
                    piled_up = false;
                    tracing::warn!(worker = worker.name(), %error, failures, "tick failed; trying again");
                    look.at = Instant::now() + pause(failures, &ids);
                }
            },
            () = rhythm.wake.notified(), if may_wake => look.wake(Instant::now()),
            () = tokio::time::sleep_until(look.at), if running.len() < at_once => {}
        }
    }
    while running.join_next().await.is_some() {}
    tracing::debug!(worker = worker.name(), "stopped");
}

/// One tick, and how long it took.
async fn run<W: Worker>(worker: &W) -> (Duration, Result<W::Counts, TickError>) {
    let started = Instant::now();
    let result = tick(worker).await;
    let took = started.elapsed();
    if let Ok(counts) = &result
        && counts.found_work()
    {
        counts.record();
        metrics::tick(worker.name(), took);
        tracing::debug!(worker = worker.name(), ?counts, "tick");
    }
    (took, result)
}

fn pause(failures: u32, ids: &Ids) -> Duration {
    MAX_PAUSE.min(Duration::from_millis(100) * failures).mul_f64(0.5 + ids.jitter() / 2.0)
}

/// When a worker looks for work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    at: Instant,
    /// A wake-up waits until then.
    rested_at: Instant,
}

impl Look {
    const fn now(now: Instant) -> Self {
        Self { at: now, rested_at: now }
    }

    /// A tick took all there was: what comes while the worker rests is for the next one.
    fn rest(&mut self, now: Instant, took: Duration, most: Duration) {
        self.rested_at = now + took.min(most);
    }

    fn wake(&mut self, now: Instant) {
        self.at = self.at.min(self.rested_at.max(now));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

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
            let rhythm = Rhythm { on_backlog, ..Rhythm::new(Arc::clone(&wake), Duration::from_hours(1), at_once) };
            let driver = drive(Scripted(tell), rhythm, Ids::new(Clock::system()), stop.clone());
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
    async fn what_has_piled_up_is_worked_off_by_more_ticks_at_once() {
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
    async fn who_is_given_no_more_ticks_for_it_follows_one_by_the_other() {
        let mut driven = Driven::start(3, 0);
        driven.begins(1).await;
        driven.end(true);
        driven.begins(1).await;
        assert_eq!(driven.stop().await, 0);
    }

    #[tokio::test]
    async fn a_wake_up_during_a_tick_begins_one_whatever_that_leaves() {
        for left in [true, false] {
            let mut driven = Driven::start(1, 3);
            driven.begins(1).await;
            driven.wake.notify_one();
            driven.end(left);
            driven.begins(1).await;
            assert_eq!(driven.stop().await, 0);
        }
    }

    const REST: Duration = Duration::from_millis(8);

    /// Something comes at each of `times`, in order, and a tick takes all that came and `takes` ms, whatever it is; when each
    /// tick began, in ms, and how much it took.
    fn ticks(takes: u64, rest: Duration, times: &[u64]) -> Vec<(u64, usize)> {
        let (begin, takes) = (Instant::now(), Duration::from_millis(takes));
        let mut times = times.iter().map(|it| begin + Duration::from_millis(*it)).peekable();
        let mut look = Look::now(begin);
        let mut ticks = Vec::new();
        while let Some(first) = times.peek().copied() {
            // It is woken by the first that it has not taken, which may have come during its last tick.
            look.at = first + Duration::from_hours(1);
            let free_at = ticks.last().map_or(begin, |(began, _)| *began + takes);
            look.wake(first.max(free_at));
            let mut count = 0;
            while times.next_if(|it| *it <= look.at).is_some() {
                count += 1;
            }
            ticks.push((look.at, count));
            look.rest(look.at + takes, takes, rest);
        }
        let millis = |at: Instant| u64::try_from((at - begin).as_millis()).unwrap();
        ticks.into_iter().map(|(at, count)| (millis(at), count)).collect()
    }

    #[test]
    fn what_comes_one_by_one_shares_a_tick_with_what_comes_while_the_worker_rests() {
        let one_each_5_ms: Vec<u64> = (0..6).map(|n| n * 5).collect();
        assert_eq!(ticks(5, Duration::ZERO, &one_each_5_ms), [(0, 1), (5, 1), (10, 1), (15, 1), (20, 1), (25, 1)]);
        assert_eq!(ticks(5, REST, &one_each_5_ms), [(0, 1), (10, 2), (20, 2), (30, 1)]);
    }

    #[test]
    fn what_comes_alone_waits_for_nothing() {
        assert_eq!(ticks(5, REST, &[0, 10, 50]), [(0, 1), (10, 1), (50, 1)]);
    }

    #[test]
    fn a_long_tick_makes_no_long_rest() {
        assert_eq!(ticks(1_000, REST, &[0, 500, 900]), [(0, 1), (1_008, 2)]);
    }

    #[test]
    fn a_rest_puts_off_no_look_that_was_to_be_sooner() {
        let now = Instant::now();
        let mut look = Look::now(now);
        look.rest(now, REST, REST);
        look.wake(now);
        assert_eq!(look.at, now);
    }
}
