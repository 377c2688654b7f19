//! The load: requests over plain connections that stay open. It shares the machine with what it measures, so it is lean: one
//! thread, and bytes made before.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use crate::connection::{Connection, Request};
use crate::stats::{Figure, Figures, of_latencies, per_second};

/// A load to be sent.
pub struct Load {
    /// Shared among these services.
    pub to: Vec<SocketAddr>,
    /// In the order of their numbers.
    pub requests: Vec<Request>,
    /// The answer that takes a request.
    pub taken: u16,
    pub connections: usize,
    /// Between two requests, answered or not. None: as fast as they are answered.
    pub beat: Option<Duration>,
    /// Told of the openings whose request was taken, and when: of every so many.
    pub watch: Option<(u64, UnboundedSender<(u64, Instant)>)>,
}

/// The results of a load.
pub struct Loaded {
    pub began: Instant,
    pub took: Duration,
    /// From the first byte sent until it was taken, refusals in between included; sorted.
    pub latencies: Vec<Duration>,
    /// Other answers, and connections that broke.
    pub not_taken: u64,
}

impl Loaded {
    pub fn figures(&self) -> Figures {
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let not_taken = self.not_taken as f64;
        let mut figures = of_latencies(&self.latencies);
        figures.insert(Figure::Acknowledged, per_second(self.latencies.len() as u64, self.took));
        figures.insert(Figure::NotTaken, not_taken);
        figures
    }
}

impl Load {
    /// Sends it from this thread; returns when every request has been taken.
    pub fn run(self) -> Loaded {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(tokio::task::LocalSet::new().run_until(self.send()))
    }

    async fn send(self) -> Loaded {
        let mut connections = Vec::new();
        for number in 0..self.connections {
            let to = self.to[number % self.to.len()];
            connections.push(Connection::open(to).await.expect("the service listens"));
        }
        let shared = std::rc::Rc::new((self, AtomicUsize::new(0), AtomicU64::new(0)));
        let began = Instant::now();
        let mut senders = JoinSet::new();
        for mut connection in connections {
            let shared = std::rc::Rc::clone(&shared);
            senders.spawn_local(async move {
                let (load, next, not_taken) = shared.as_ref();
                let mut latencies = Vec::new();
                while let Some(request) = load.requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let sent = load.time_of(began, request).await;
                    connection.deliver(request, load.taken, sent, not_taken).await;
                    let now = Instant::now();
                    latencies.push(now - sent);
                    if let Some((every, watch)) = &load.watch
                        && request.n % every == 0
                    {
                        watch.send((request.n, now)).expect("somebody watches");
                    }
                }
                latencies
            });
        }
        let mut latencies = senders.join_all().await.concat();
        let took = began.elapsed();
        latencies.sort_unstable();
        Loaded { began, took, latencies, not_taken: shared.2.load(Ordering::Relaxed) }
    }

    /// Waits until it is time for a request: now, or at its beat. One that is late counts from its beat, so that a service
    /// that holds up the load does not look better for it.
    async fn time_of(&self, began: Instant, request: &Request) -> Instant {
        let Some(beat) = self.beat else { return Instant::now() };
        let place = u32::try_from(request.n - self.requests[0].n).expect("a load of this size");
        let at = began + beat * place;
        if at <= Instant::now() {
            return at;
        }
        tokio::time::sleep_until(at.into()).await;
        Instant::now()
    }
}
