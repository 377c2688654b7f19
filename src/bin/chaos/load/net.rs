//! Requests to the replicas: kept-alive connections, a deadline, a bound on what is outstanding, and callers who hang up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::Url;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::Replica;

/// How long an answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How many requests may wait for their answer; one more is not sent, and counts as unanswered.
const OUTSTANDING: usize = 2_000;

/// Which listener of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    Public,
    Internal,
}

/// A request, to be sent properly or hung up on.
#[derive(Clone)]
pub struct Call {
    pub listener: Listener,
    pub method: Method,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

/// What was answered; status 0: nothing.
#[derive(Default)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// The way to the replicas.
pub struct Net {
    client: reqwest::Client,
    replicas: Vec<[Url; 2]>,
    outstanding: Semaphore,
    pub answers: Answers,
}

/// Answers by class.
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
            200..=399 => &self.ok,
            400..=499 => &self.refused,
            _ => &self.failed,
        };
        class.fetch_add(1, Ordering::Relaxed);
    }
}

impl Net {
    pub fn new(replicas: Vec<Replica>) -> anyhow::Result<Self> {
        anyhow::ensure!(!replicas.is_empty(), "a load needs a replica");
        // Idempotent; nothing here is encrypted, and yet the client asks for it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(64)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        let url = |text: &str| Url::parse(text).with_context(|| format!("a replica's address, {text}"));
        let replicas = replicas.into_iter().map(|it| Ok([url(&it.public)?, url(&it.internal)?]));
        let replicas = replicas.collect::<anyhow::Result<_>>()?;
        Ok(Self { client, replicas, outstanding: Semaphore::new(OUTSTANDING), answers: Answers::default() })
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
    pub async fn send(&self, replica: usize, call: Call) -> Reply {
        let reply = match self.outstanding.try_acquire() {
            Ok(_permit) => self.answered(replica, call).await.unwrap_or_default(),
            Err(_) => Reply::default(),
        };
        self.answers.count(reply.status);
        reply
    }

    async fn answered(&self, replica: usize, call: Call) -> Option<Reply> {
        let mut url = self.url(replica, call.listener)?.clone();
        let (path, query) = call.path.split_once('?').map_or((&*call.path, None), |(path, query)| (path, Some(query)));
        url.set_path(path);
        url.set_query(query);
        let mut request = reqwest::Request::new(call.method, url);
        for (name, value) in &call.headers {
            request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_str(value).ok()?);
        }
        *request.body_mut() = Some(call.body.into());
        let mut response = self.client.execute(request).await.ok()?;
        let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
        let body = response.bytes().await.ok()?;
        Some(Reply { status, headers, body })
    }

    /// Sends a whole request and closes the connection `after` that, whatever was answered.
    pub async fn hang_up(&self, replica: usize, call: &Call, after: Duration) {
        if let Ok(_permit) = self.outstanding.try_acquire() {
            let _ = tokio::time::timeout(TIMEOUT, self.sent_and_closed(replica, call, after)).await;
        }
        self.answers.count(0);
    }

    async fn sent_and_closed(&self, replica: usize, call: &Call, after: Duration) -> Option<()> {
        let url = self.url(replica, call.listener)?;
        let (host, port) = (url.host_str()?, url.port_or_known_default()?);
        let mut stream = TcpStream::connect((host, port)).await.ok()?;
        stream.write_all(&raw(call, host, port)).await.ok()?;
        tokio::time::sleep(after).await;
        Some(())
    }

    fn url(&self, replica: usize, listener: Listener) -> Option<&Url> {
        let [public, internal] = self.replicas.get(replica)?;
        Some(if listener == Listener::Public { public } else { internal })
    }
}

fn raw(call: &Call, host: &str, port: u16) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\nhost: {host}:{port}\r\n", call.method, call.path);
    for (name, value) in &call.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.extend(["content-length: ", &call.body.len().to_string(), "\r\n\r\n"]);
    let mut request = head.into_bytes();
    request.extend_from_slice(&call.body);
    request
}
