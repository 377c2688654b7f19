//! A proxy in front of Postgres. It cuts, delays and half-closes connections, loses the answer to a COMMIT that took
//! effect, ignores session options, and can switch to another Postgres.
//!
//! The proxy parses as little of the protocol as that needs ([`frames`]). Clients must use `sslmode=disable`.

mod frames;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::frames::{Commit, Frames, first_message, without_options};

#[derive(Clone, Debug)]
pub enum Link {
    /// The path of a socket.
    Socket(PathBuf),
    Port(SocketAddr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Closes both sides.
    Both,
    /// Closes the service's read side; Postgres still sees an open connection.
    Half,
}

/// Counts of faults that happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub connections: u64,
    /// Cut, on both sides.
    pub cut: u64,
    pub half_closed: u64,
    pub delayed: u64,
    /// Answers to COMMIT that Postgres sent and the proxy kept from the service.
    pub commits_lost: u64,
    /// Of these, COMMITs chosen by [`Proxy::lose_commits_of`].
    pub chosen_commits_lost: u64,
    /// Sessions that lost their `options`.
    pub options_ignored: u64,
}

/// A running proxy; it closes all connections on drop.
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

struct Shared {
    target: Mutex<Link>,
    /// The delay of each piece.
    delay: Mutex<Duration>,
    /// COMMITs still to be lost.
    to_lose: Mutex<ToLose>,
    ignores_options: AtomicBool,
    /// The number and kind of the last cut.
    cut: watch::Sender<(u64, Cut)>,
    seen: Mutex<Seen>,
    /// Runs of each statement.
    runs: Mutex<BTreeMap<String, u64>>,
}

/// COMMITs still to be lost.
#[derive(Default)]
struct ToLose {
    of_any: u64,
    /// Of transactions that ran this statement.
    chosen: Option<(&'static str, u64)>,
}

/// The reason why a COMMIT is lost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Losing {
    Any,
    Chosen,
}

impl Proxy {
    /// Listens on a free local port.
    ///
    /// # Errors
    /// If no port is available.
    pub async fn start(target: Link) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target: Mutex::new(target),
            delay: Mutex::default(),
            to_lose: Mutex::default(),
            ignores_options: AtomicBool::new(false),
            cut: watch::Sender::new((0, Cut::Both)),
            seen: Mutex::default(),
            runs: Mutex::default(),
        });
        let stop = CancellationToken::new();
        tokio::spawn(accept(listener, Arc::clone(&shared), stop.clone()));
        Ok(Self { addr, shared, _stop: stop.drop_guard() })
    }

    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Delays every piece from now on; zero ends it.
    pub fn delay(&self, by: Duration) {
        *lock(&self.shared.delay) = by;
    }

    /// Sends future connections to another Postgres.
    pub fn lead_to(&self, target: Link) {
        *lock(&self.shared.target) = target;
    }

    /// Removes the `options` of future sessions, like a pooler that ignores them.
    pub fn ignore_options(&self) {
        self.shared.ignores_options.store(true, Ordering::SeqCst);
    }

    /// Cuts every open connection.
    pub fn cut(&self, how: Cut) {
        self.shared.cut.send_modify(|(number, last)| {
            *number += 1;
            *last = how;
        });
    }

    /// Forwards the next `count` COMMITs, drops their answers and cuts their connections.
    pub fn lose_commits(&self, count: u64) {
        lock(&self.shared.to_lose).of_any = count;
    }

    /// The same for the next `count` COMMITs of transactions that ran a statement, named by its first line,
    /// `module::function`.
    pub fn lose_commits_of(&self, statement: &'static str, count: u64) {
        lock(&self.shared.to_lose).chosen = Some((statement, count));
    }

    #[must_use]
    pub fn seen(&self) -> Seen {
        *lock(&self.shared.seen)
    }

    /// How often each prepared statement ran so far, by the `module::function` of its first line.
    #[must_use]
    pub fn runs(&self) -> BTreeMap<String, u64> {
        lock(&self.shared.runs).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn count(&self, add: impl FnOnce(&mut Seen)) {
        add(&mut lock(&self.seen));
    }

    fn count_runs(&self, names: Vec<String>) {
        let mut runs = lock(&self.runs);
        for name in names {
            *runs.entry(name).or_default() += 1;
        }
    }

    async fn hold_back(&self) {
        let delay = *lock(&self.delay);
        if !delay.is_zero() {
            self.count(|seen| seen.delayed += 1);
            tokio::time::sleep(delay).await;
        }
    }

    fn loses(&self, commit: &Commit) -> Option<Losing> {
        let mut to_lose = lock(&self.to_lose);
        if let Some((statement, left)) = &mut to_lose.chosen
            && *left > 0
            && commit.holds(statement)
        {
            *left -= 1;
            return Some(Losing::Chosen);
        }
        to_lose.of_any = to_lose.of_any.checked_sub(1)?;
        Some(Losing::Any)
    }

    /// Counts a commit if the proxy withholds its reply, which is in this piece. `CommandComplete` with the tag COMMIT: it took effect.
    fn lose(&self, piece: &[u8], losing: Losing) {
        let committed = u64::from(piece.windows(7).any(|window| window == b"COMMIT\0"));
        self.count(|seen| {
            seen.commits_lost += committed;
            seen.chosen_commits_lost += committed * u64::from(losing == Losing::Chosen);
        });
    }

    /// The first message to forward.
    fn passed_on(&self, first: Vec<u8>) -> Vec<u8> {
        let stripped = self.ignores_options.load(Ordering::SeqCst).then(|| without_options(&first)).flatten();
        self.count(|seen| seen.options_ignored += u64::from(stripped.is_some()));
        stripped.unwrap_or(first)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    while let Some(Ok((client, _))) = stop.run_until_cancelled(listener.accept()).await {
        shared.count(|seen| seen.connections += 1);
        let _ = client.set_nodelay(true);
        let (shared, stop) = (Arc::clone(&shared), stop.clone());
        tokio::spawn(async move {
            // Broken connections are expected here.
            let _ = stop.run_until_cancelled(carry(client, &shared)).await;
        });
    }
}

async fn carry(client: TcpStream, shared: &Shared) -> io::Result<()> {
    let target = lock(&shared.target).clone();
    match target {
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
    let (mut frames, mut losing) = (Frames::default(), None);
    let first = first_message(&mut from_client).await?;
    shared.hold_back().await;
    to_server.write_all(&shared.passed_on(first)).await?;
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
                // Until the client hangs up, Postgres sees a silent peer.
                while from_client.read(&mut up).await? > 0 {}
                return Ok(());
            }
            read = from_client.read(&mut up) => {
                let piece = &up[..read?];
                if piece.is_empty() {
                    return Ok(());
                }
                shared.hold_back().await;
                let commit = frames.commit_in(piece);
                shared.count_runs(frames.take_runs());
                losing = losing.or_else(|| shared.loses(&commit?));
                to_server.write_all(piece).await?;
            }
            read = from_server.read(&mut down) => {
                let piece = &down[..read?];
                if piece.is_empty() {
                    return Ok(());
                }
                if let Some(losing) = losing {
                    shared.lose(piece, losing);
                    return Ok(());
                }
                shared.hold_back().await;
                to_client.write_all(piece).await?;
            }
        }
    }
}
