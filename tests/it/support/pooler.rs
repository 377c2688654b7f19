//! A connection pooler in front of Postgres, as small as one can be: it answers the start of a session itself, forgets the
//! `options` of it (`PgBouncer` with `ignore_startup_parameters`), and gives each client a server session either until it
//! hangs up or for one transaction only, the one that was used last first.
//!
//! The pooler reads just enough of the protocol (PostgreSQL manual, "Message Formats"): a type byte and a length, but for the first
//! message, which has the length alone. The URL that leads here says `sslmode=disable`, and Postgres asks for no password.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use chaos::Link;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::cluster::link;

/// For how long a client has a server session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lends {
    /// Until it hangs up.
    Sessions,
    /// For one transaction.
    Transactions,
}

/// A running pooler; it ends, and cuts everything, when it is dropped.
pub struct Pooler {
    addr: SocketAddr,
    _stop: DropGuard,
}

struct Shared {
    target: Link,
    lends: Lends,
    idle: Mutex<Vec<Server>>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A session at the server, and what the server said when it began.
struct Server {
    stream: Box<dyn Stream>,
    greeting: Vec<u8>,
}

impl Pooler {
    /// Listens at a free port of this address, in front of the database with this URL.
    pub async fn start(url: &str, lends: Lends, address: &str) -> Self {
        let listener = TcpListener::bind(format!("{address}:0")).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { target: link(url), lends, idle: Mutex::default() });
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            while let Some(Ok((client, _))) = stopped.run_until_cancelled(listener.accept()).await {
                let (shared, stopped) = (Arc::clone(&shared), stopped.clone());
                tokio::spawn(async move {
                    // A client that hangs up is the usual end.
                    let _ = stopped.run_until_cancelled(carry(client, &shared)).await;
                });
            }
        });
        Self { addr, _stop: stop.drop_guard() }
    }

    /// The same database through the pooler.
    pub fn url(&self, url: &str) -> String {
        let mut url = reqwest::Url::parse(url).unwrap();
        url.set_ip_host(self.addr.ip()).unwrap();
        url.set_port(Some(self.addr.port())).unwrap();
        url.into()
    }
}

async fn carry(mut client: TcpStream, shared: &Shared) -> io::Result<()> {
    client.set_nodelay(true)?;
    let startup = without_options(&message(&mut client, false).await?);
    let mut server = Some(shared.borrow(&startup).await?);
    let greeting = server.as_ref().map(|it| it.greeting.clone()).unwrap_or_default();
    client.write_all(&greeting).await?;
    if shared.lends == Lends::Transactions {
        shared.give_back(server.take());
    }
    loop {
        let asked = message(&mut client, true).await?;
        if asked[0] == b'X' {
            return Ok(());
        }
        let mut lent = match server.take() {
            Some(lent) => lent,
            None => shared.borrow(&startup).await?,
        };
        lent.stream.write_all(&asked).await?;
        // Only these are followed by `ReadyForQuery`.
        let ends = matches!(asked[0], b'Q' | b'S') && answer(&mut lent, &mut client).await?;
        if ends && shared.lends == Lends::Transactions {
            shared.give_back(Some(lent));
        } else {
            server = Some(lent);
        }
    }
}

/// Carries an answer up to its end; whether no transaction is open then.
async fn answer(server: &mut Server, client: &mut TcpStream) -> io::Result<bool> {
    loop {
        let answer = message(&mut server.stream, true).await?;
        client.write_all(&answer).await?;
        if answer[0] == b'Z' {
            return Ok(answer[5] == b'I');
        }
    }
}

impl Shared {
    async fn borrow(&self, startup: &[u8]) -> io::Result<Server> {
        let idle = self.idle.lock().unwrap().pop();
        if let Some(idle) = idle {
            return Ok(idle);
        }
        let mut stream: Box<dyn Stream> = match &self.target {
            Link::Socket(path) => Box::new(UnixStream::connect(path).await?),
            Link::Port(addr) => Box::new(TcpStream::connect(addr).await?),
        };
        stream.write_all(startup).await?;
        let mut greeting = Vec::new();
        loop {
            let answer = message(&mut stream, true).await?;
            greeting.extend_from_slice(&answer);
            if matches!(answer[0], b'Z' | b'E') {
                return Ok(Server { stream, greeting });
            }
        }
    }

    fn give_back(&self, server: Option<Server>) {
        self.idle.lock().unwrap().extend(server);
    }
}

/// The next message, whole, with its type byte where it has one.
async fn message(stream: &mut (impl AsyncRead + Unpin), typed: bool) -> io::Result<Vec<u8>> {
    let mut head = vec![0; 4 + usize::from(typed)];
    stream.read_exact(&mut head).await?;
    let length = u32::from_be_bytes(head[head.len() - 4..].try_into().unwrap());
    let mut rest = vec![0; usize::try_from(length).unwrap() - 4];
    stream.read_exact(&mut rest).await?;
    Ok([head, rest].concat())
}

/// The first message without the parameter `options`.
fn without_options(startup: &[u8]) -> Vec<u8> {
    let (version, parameters) = startup[4..].split_at(4);
    let texts: Vec<&[u8]> = parameters.split(|byte| *byte == 0).collect();
    let kept = texts.chunks(2).take_while(|it| !it[0].is_empty()).filter(|it| it[0] != b"options");
    let mut body = version.to_vec();
    for pair in kept {
        body.extend([pair[0], b"\0", pair[1], b"\0"].concat());
    }
    body.push(0);
    [&u32::try_from(body.len() + 4).unwrap().to_be_bytes(), &body[..]].concat()
}
