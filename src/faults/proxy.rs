//! A proxy in front of Postgres: cuts connections, delays what they carry, half-closes them, and loses the answer to a
//! COMMIT that took effect.
//!
//! It reads just enough of the protocol to find a COMMIT (PostgreSQL manual, "Message Formats": a type byte and a length,
//! but for the first message, which has the length alone). The URL that leads here says `sslmode=disable`.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Where Postgres is.
#[derive(Clone, Debug)]
pub enum Link {
    /// A socket in a folder, by its whole path.
    Socket(PathBuf),
    /// A port.
    Port(SocketAddr),
}

/// How connections are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Both sides at once.
    Both,
    /// The service is told that nothing more comes; Postgres is not told that nobody listens.
    Half,
}

/// What has truly been done to connections so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Accepted.
    pub connections: u64,
    /// Cut, on both sides.
    pub cut: u64,
    /// Half-closed.
    pub half_closed: u64,
    /// Pieces that were held back.
    pub delayed: u64,
    /// COMMITs that Postgres confirmed and of which the service was never told.
    pub commits_lost: u64,
}

/// A running proxy; it ends, and cuts everything, when it is dropped.
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

struct Shared {
    target: Link,
    /// How long each piece is held back.
    delay: Mutex<Duration>,
    /// So many COMMITs are still to be lost.
    to_lose: AtomicU64,
    /// The number of the last cut, and how.
    cut: watch::Sender<(u64, Cut)>,
    seen: Mutex<Seen>,
}

impl Proxy {
    /// Listens on a free port of this machine.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start(target: Link) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target,
            delay: Mutex::default(),
            to_lose: AtomicU64::new(0),
            cut: watch::Sender::new((0, Cut::Both)),
            seen: Mutex::default(),
        });
        let stop = CancellationToken::new();
        tokio::spawn(accept(listener, Arc::clone(&shared), stop.clone()));
        Ok(Self { addr, shared, _stop: stop.drop_guard() })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Holds back everything for so long from now on; zero ends it.
    pub fn delay(&self, by: Duration) {
        *self.shared.delay.lock().unwrap_or_else(PoisonError::into_inner) = by;
    }

    /// Cuts every connection that is open.
    pub fn cut(&self, how: Cut) {
        self.shared.cut.send_modify(|(number, last)| {
            *number += 1;
            *last = how;
        });
    }

    /// Sends the next so many COMMITs on, keeps their answers to itself, and cuts their connections.
    pub fn lose_commits(&self, count: u64) {
        self.shared.to_lose.store(count, Ordering::SeqCst);
    }

    /// What has been done.
    #[must_use]
    pub fn seen(&self) -> Seen {
        *self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn count(&self, add: impl FnOnce(&mut Seen)) {
        add(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }

    async fn hold_back(&self) {
        let delay = *self.delay.lock().unwrap_or_else(PoisonError::into_inner);
        if !delay.is_zero() {
            self.count(|seen| seen.delayed += 1);
            tokio::time::sleep(delay).await;
        }
    }

    fn loses_this_commit(&self) -> bool {
        let take = |left: u64| left.checked_sub(1);
        self.to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    while let Some(Ok((client, _))) = stop.run_until_cancelled(listener.accept()).await {
        shared.count(|seen| seen.connections += 1);
        let _ = client.set_nodelay(true);
        let (shared, stop) = (Arc::clone(&shared), stop.clone());
        tokio::spawn(async move {
            // A connection that breaks is what this is for.
            let _ = stop.run_until_cancelled(carry(client, &shared)).await;
        });
    }
}

async fn carry(client: TcpStream, shared: &Shared) -> io::Result<()> {
    match &shared.target {
        Link::Socket(path) => pump(client, UnixStream::connect(path).await?, shared).await,
        Link::Port(addr) => {
            let server = TcpStream::connect(addr).await?;
            server.set_nodelay(true)?;
            pump(client, server, shared).await
        }
    }
}

async fn pump(client: TcpStream, server: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let mut cut = shared.cut.subscribe();
    let (mut up, mut down) = (vec![0; 16 * 1_024], vec![0; 64 * 1_024]);
    let (mut frames, mut losing) = (Frames::default(), false);
    loop {
        tokio::select! {
            Ok(()) = cut.changed() => {
                let (_, how) = *cut.borrow_and_update();
                if how == Cut::Both {
                    shared.count(|seen| seen.cut += 1);
                    return Ok(());
                }
                shared.count(|seen| seen.half_closed += 1);
                to_client.shutdown().await?;
                // Until the client hangs up, Postgres sees a peer that says nothing.
                while from_client.read(&mut up).await? > 0 {}
                return Ok(());
            }
            read = from_client.read(&mut up) => {
                let piece = &up[..read?];
                if piece.is_empty() {
                    return Ok(());
                }
                shared.hold_back().await;
                losing |= frames.commit_in(piece) && shared.loses_this_commit();
                to_server.write_all(piece).await?;
            }
            read = from_server.read(&mut down) => {
                let piece = &down[..read?];
                if piece.is_empty() {
                    return Ok(());
                }
                if losing {
                    // `CommandComplete` with the tag COMMIT: it took effect.
                    let committed = piece.windows(7).any(|window| window == b"COMMIT\0");
                    shared.count(|seen| seen.commits_lost += u64::from(committed));
                    return Ok(());
                }
                shared.hold_back().await;
                to_client.write_all(piece).await?;
            }
        }
    }
}

/// The client's messages, found in a stream that comes in pieces of any length.
#[derive(Default)]
struct Frames {
    started: bool,
    message: Vec<u8>,
}

impl Frames {
    /// Whether a message that ends in this piece is a COMMIT.
    fn commit_in(&mut self, piece: &[u8]) -> bool {
        self.message.extend_from_slice(piece);
        let mut found = false;
        while let Some(length) = self.next_length() {
            let message: Vec<u8> = self.message.drain(..length).collect();
            found |= self.started && message.first() == Some(&b'Q') && message.get(5..) == Some(b"COMMIT\0");
            self.started = true;
        }
        found
    }

    /// The length of the next message, if it is here whole.
    fn next_length(&self) -> Option<usize> {
        let kind = usize::from(self.started);
        let length = self.message.get(kind..kind + 4)?;
        let length = u32::from_be_bytes(length.try_into().ok()?);
        let whole = kind + usize::try_from(length).ok()?;
        (self.message.len() >= whole && length >= 4).then_some(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind], &length[..], body].concat()
    }

    #[test]
    fn a_commit_is_found_however_the_stream_is_cut_up() {
        let startup = [&12_u32.to_be_bytes()[..], b"user\0pgs"].concat();
        let stream =
            [startup, message(b'Q', b"begin; rollback\0"), message(b'P', b"\0COMMIT\0"), message(b'Q', b"COMMIT\0")];
        let stream = stream.concat();
        for size in 1..=stream.len() {
            let mut frames = Frames::default();
            let found: Vec<bool> = stream.chunks(size).map(|piece| frames.commit_in(piece)).collect();
            assert_eq!(found.iter().filter(|it| **it).count(), 1, "in pieces of {size}");
            assert_eq!(found.last(), Some(&true));
        }
    }
}
