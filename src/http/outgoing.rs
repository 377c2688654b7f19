//! A stream that requires its peer to read answers in time, and tells its timer when bytes arrive.
//!
//! Neither the HTTP library nor the kernel limits how long an answer may wait for a client that does not read. Such a
//! client would hold its connection and the answer in memory.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::head_timer::HeadTimer;

/// A connection that fails if its peer leaves an answer unread for too long.
pub struct Outgoing {
    stream: TcpStream,
    within: Duration,
    timer: HeadTimer,
    /// Runs from the first blocked write until everything is written, so that reading single bytes gains no time.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Outgoing {
    /// `within`: time limit for reading an answer. `timer`: the time limit of heads.
    #[must_use]
    pub const fn new(stream: TcpStream, within: Duration, timer: HeadTimer) -> Self {
        Self { stream, within, timer, waiting: None }
    }

    fn bounded(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_pending() || self.waiting.is_some() {
            let within = self.within;
            let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(within)));
            if waiting.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer was not read in time")));
            }
        }
        written
    }
}

impl AsyncRead for Outgoing {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.timer.begin();
        }
        read
    }
}

impl AsyncWrite for Outgoing {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.bounded(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.bounded(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called when there is nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.waiting = None;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
