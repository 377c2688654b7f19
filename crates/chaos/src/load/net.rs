//! HTTP connections to the replicas: reused, with a deadline per request and a bound on outstanding requests; some
//! callers hang up. A request is sent once; repeats are the sender's task.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Url;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Replica;
use super::wire::{Call, Listener, Reply, bytes, exchange};

/// How long an answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum outstanding requests; one more is not sent and counts as unanswered.
const OUTSTANDING: usize = 2_000;
/// How long an unused connection is kept: less than any server keeps it.
const IDLE: Duration = Duration::from_secs(3);
/// How many are kept for each listener.
const KEPT: usize = 64;

/// The way to the replicas.
pub struct Net {
    replicas: Vec<[Target; 2]>,
    outstanding: Semaphore,
    pub answers: Answers,
}

/// A listener and its unused connections.
struct Target {
    host: String,
    idle: Mutex<Vec<(TcpStream, Instant)>>,
}

#[derive(Default)]
pub struct Answers {
    pub ok: AtomicU64,
    pub refused: AtomicU64,
    pub failed: AtomicU64,
    pub none: AtomicU64,
}

impl Answers {
    fn count(&self, status: u16) {
        let class = match status {
            0 => &self.none,
            1..=399 => &self.ok,
            400..=499 => &self.refused,
            _ => &self.failed,
        };
        class.fetch_add(1, Ordering::Relaxed);
    }
}

impl Net {
    pub fn new(replicas: Vec<Replica>) -> anyhow::Result<Self> {
        anyhow::ensure!(!replicas.is_empty(), "a load needs a replica");
        let targets = replicas.into_iter().map(|it| Ok([Target::new(&it.public)?, Target::new(&it.internal)?]));
        let replicas = targets.collect::<anyhow::Result<_>>()?;
        Ok(Self { replicas, outstanding: Semaphore::new(OUTSTANDING), answers: Answers::default() })
    }

    /// How many replicas there are.
    pub fn replicas(&self) -> usize {
        self.replicas.len()
    }

    /// How many requests wait for their answer.
    pub fn in_flight(&self) -> u64 {
        u64::try_from(OUTSTANDING.saturating_sub(self.outstanding.available_permits())).unwrap_or_default()
    }

    /// Sends a request and waits for its answer.
    pub async fn send(&self, replica: usize, call: &Call) -> Reply {
        let reply = match (self.outstanding.try_acquire(), self.target(replica, call.listener)) {
            (Ok(_permit), Some(target)) => target.ask(call).await,
            _ => Reply::default(),
        };
        self.answers.count(reply.status);
        reply
    }

    /// Sends a complete request and closes the connection after `after`, whether or not it was answered.
    pub async fn hang_up(&self, replica: usize, call: &Call, after: Duration) {
        if let (Ok(_permit), Some(target)) = (self.outstanding.try_acquire(), self.target(replica, call.listener)) {
            let _ = tokio::time::timeout(TIMEOUT, target.ask_and_close(call, after)).await;
        }
        self.answers.count(0);
    }

    fn target(&self, replica: usize, listener: Listener) -> Option<&Target> {
        let [public, internal] = self.replicas.get(replica)?;
        Some(if listener == Listener::Public { public } else { internal })
    }
}

impl Target {
    fn new(address: &str) -> anyhow::Result<Self> {
        let why = || format!("a replica's address, {address}");
        let url = Url::parse(address).with_context(why)?;
        let (host, port) = url.host_str().zip(url.port_or_known_default()).with_context(why)?;
        Ok(Self { host: format!("{host}:{port}"), idle: Mutex::default() })
    }

    async fn ask(&self, call: &Call) -> Reply {
        let asked = async {
            let mut stream = self.connection().await?;
            let (reply, whole) = exchange(&mut stream, &bytes(call, &self.host)).await?;
            if whole {
                self.keep(stream);
            }
            Ok::<_, std::io::Error>(reply)
        };
        tokio::time::timeout(TIMEOUT, asked).await.ok().and_then(Result::ok).unwrap_or_default()
    }

    async fn ask_and_close(&self, call: &Call, after: Duration) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(&self.host).await?;
        stream.write_all(&bytes(call, &self.host)).await?;
        tokio::time::sleep(after).await;
        Ok(())
    }

    async fn connection(&self) -> std::io::Result<TcpStream> {
        while let Some((stream, since)) = self.kept().pop() {
            // Data before any request means that the other side is closing.
            let quiet = stream.try_read(&mut [0]).is_err_and(|it| it.kind() == std::io::ErrorKind::WouldBlock);
            if quiet && since.elapsed() < IDLE {
                return Ok(stream);
            }
        }
        let stream = TcpStream::connect(&self.host).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn keep(&self, stream: TcpStream) {
        let mut kept = self.kept();
        if kept.len() < KEPT {
            kept.push((stream, Instant::now()));
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<(TcpStream, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
