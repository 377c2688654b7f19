//! The load: requests over plain connections that stay open. It shares the machine with what it measures, so it is lean: one
//! thread, bytes made before, and no more of an answer read than its status and its end.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::stats::{Figure, Figures, millis, per_second, percentile};

/// Before a request that was not taken is sent again.
const AGAIN: Duration = Duration::from_millis(50);
/// A request that is not taken for so long ends the run.
const PATIENCE: Duration = Duration::from_mins(1);

/// Something that is sent.
pub struct Request {
    /// The number of the opening that it is about.
    pub n: u64,
    /// Head and body.
    pub bytes: Vec<u8>,
}

/// A load to be sent.
pub struct Load {
    /// Shared among these services.
    pub to: Vec<SocketAddr>,
    /// In the order of their numbers.
    pub requests: Vec<Request>,
    /// The answer that takes a request.
    pub taken: u16,
    pub connections: usize,
    /// Between two requests, whatever becomes of them. None: as fast as they are answered.
    pub beat: Option<Duration>,
    /// Told of the openings whose request was taken, and when: of every so many.
    pub watch: Option<(u64, UnboundedSender<(u64, Instant)>)>,
}

/// What came of it.
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
        let at = |share| percentile(&self.latencies, share).map(millis).unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let not_taken = self.not_taken as f64;
        Figures::from([
            (Figure::Acknowledged, per_second(self.latencies.len() as u64, self.took)),
            (Figure::P50, at(0.5)),
            (Figure::P99, at(0.99)),
            (Figure::P999, at(0.999)),
            (Figure::NotTaken, not_taken),
        ])
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

struct Connection {
    to: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { to, stream, buffer: Vec::with_capacity(1024) })
    }

    /// Sends a request until it is taken.
    async fn deliver(&mut self, request: &Request, taken: u16, since: Instant, not_taken: &AtomicU64) {
        loop {
            let answer = self.exchange(&request.bytes).await;
            if answer.as_ref().is_ok_and(|it| *it == taken) {
                return;
            }
            not_taken.fetch_add(1, Ordering::Relaxed);
            assert!(since.elapsed() < PATIENCE, "a request was not taken within {PATIENCE:?}: {answer:?}");
            sleep(AGAIN).await;
            if answer.is_err()
                && let Ok(new) = Self::open(self.to).await
            {
                *self = new;
            }
        }
    }

    /// One request; the status of its answer.
    async fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some(head) = self.buffer.windows(4).position(|it| it == b"\r\n\r\n") else { continue };
            let text = std::str::from_utf8(&self.buffer[..head]).map_err(|_| io::ErrorKind::InvalidData)?;
            let body = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
            let body: usize = body.parse().map_err(|_| io::ErrorKind::InvalidData)?;
            if self.buffer.len() >= head + 4 + body {
                let status = text.get(9..12).and_then(|it| it.parse().ok());
                return status.ok_or_else(|| io::ErrorKind::InvalidData.into());
            }
        }
    }
}
