//! A connection that stays open. Of an answer no more is read than its status and its end.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

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

pub struct Connection {
    to: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { to, stream, buffer: Vec::with_capacity(1024) })
    }

    /// Sends a request until it is taken.
    pub async fn deliver(&mut self, request: &Request, taken: u16, since: Instant, not_taken: &AtomicU64) {
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

    /// Sends a request; the status of its answer.
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
