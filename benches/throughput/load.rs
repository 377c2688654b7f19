//! The load: webhooks over plain connections that stay open. It shares the machine with what it measures, so it is lean: one
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

use crate::webhooks::Webhook;

/// Before a webhook that was not taken is sent again.
const AGAIN: Duration = Duration::from_millis(50);
/// A webhook that is not taken for so long ends the run.
const PATIENCE: Duration = Duration::from_mins(1);
/// How many webhooks share one whose way to the opening is watched.
const WATCHED: u64 = 16;

/// A load to be sent.
pub struct Load {
    /// Shared among these services.
    pub to: Vec<SocketAddr>,
    pub webhooks: Vec<Webhook>,
    pub connections: usize,
    /// Between two webhooks, whatever becomes of them. None: as fast as they are answered.
    pub beat: Option<Duration>,
    /// Told of some of the openings whose webhook was acknowledged, and when.
    pub watch: UnboundedSender<(u64, Instant)>,
}

/// What came of it.
pub struct Loaded {
    pub began: Instant,
    pub took: Duration,
    /// From the first byte sent until the 200, those that were refused in between included; sorted.
    pub latencies: Vec<Duration>,
    /// Answers that were not 200, and connections that broke.
    pub not_taken: u64,
}

impl Load {
    /// Sends it from this thread; returns when each webhook has been acknowledged.
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
                while let Some(webhook) = load.webhooks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let sent = load.time_of(began, webhook).await;
                    connection.deliver(webhook, sent, not_taken).await;
                    let now = Instant::now();
                    latencies.push(now - sent);
                    if webhook.n % WATCHED == 0 {
                        // Nobody watches a warm-up.
                        let _ = load.watch.send((webhook.n, now));
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

    /// Waits until it is time for a webhook: now, or at its beat. One that is late counts from its beat, so that a service
    /// that holds up the load does not look better for it.
    async fn time_of(&self, began: Instant, webhook: &Webhook) -> Instant {
        let Some(beat) = self.beat else { return Instant::now() };
        let place = u32::try_from(webhook.n - self.webhooks[0].n).expect("a load of this size");
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

    /// Sends a webhook until it is acknowledged.
    async fn deliver(&mut self, webhook: &Webhook, since: Instant, not_taken: &AtomicU64) {
        loop {
            let answer = self.exchange(&webhook.bytes).await;
            if matches!(answer, Ok(200)) {
                return;
            }
            not_taken.fetch_add(1, Ordering::Relaxed);
            assert!(since.elapsed() < PATIENCE, "a webhook was not taken within {PATIENCE:?}: {answer:?}");
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
