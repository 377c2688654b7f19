//! The accept loop: what a client may take, how requests are told apart, and how it ends. The router is the test's own, so
//! that nothing but the loop is between the socket and what is seen.

mod framing;
mod slow;
mod stop;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use account_opening::http::body::is_too_slow;
use account_opening::http::listener::{Limits, serve};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::{any, get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// More than the kernel takes for a client that does not read.
const LARGE: usize = 32 * 1024 * 1024;
const LIMITS: Limits = Limits {
    head_within: Duration::from_millis(300),
    idle_within: Duration::from_millis(300),
    body_within: Duration::from_millis(300),
    files: None,
    answer_within: Duration::from_millis(300),
    connections: 2,
    drain: Duration::from_secs(20),
};

struct Listening {
    addr: SocketAddr,
    stop: CancellationToken,
    ended: JoinHandle<()>,
    /// Says when a request to `/slow` has begun.
    begun: mpsc::UnboundedReceiver<()>,
    /// Lets it end.
    go_on: Arc<Notify>,
    /// Requests to `/smuggled`, which no test sends as a request.
    smuggled: Arc<AtomicUsize>,
}

async fn listen(limits: Limits) -> Listening {
    let (tell, begun) = mpsc::unbounded_channel();
    let (go_on, smuggled) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (wait, count) = (Arc::clone(&go_on), Arc::clone(&smuggled));
    let slow = move || async move {
        tell.send(()).unwrap();
        wait.notified().await;
        "done"
    };
    let smuggle = move || async move {
        count.fetch_add(1, Ordering::SeqCst);
        "smuggled"
    };
    let router = Router::new()
        .route("/", get(|| async { "ok" }))
        .route("/body", post(body))
        .route("/unread", post(|| async { "unread" }))
        .route("/slow", get(slow))
        .route("/large", get(|| async { vec![b'x'; LARGE] }))
        .route("/smuggled", any(smuggle));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let ended = tokio::spawn(serve(listener, router, limits, stop.clone()));
    Listening { addr, stop, ended, begun, go_on, smuggled }
}

/// The body that came, or why none did.
async fn body(body: Body) -> String {
    match to_bytes(body, 1024).await {
        Ok(bytes) => format!("came: {}", String::from_utf8_lossy(&bytes)),
        Err(error) if is_too_slow(&error) => "too slow".to_owned(),
        Err(_) => "broken".to_owned(),
    }
}

impl Listening {
    async fn end(self) {
        assert_eq!(self.smuggled.load(Ordering::SeqCst), 0, "what no client sent as a request was executed");
        self.stop.cancel();
        self.ended.await.unwrap();
    }

    /// Sends these bytes and reads until the connection is closed.
    async fn talk(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        // A server may answer and close before it has read everything.
        let _ = stream.write_all(bytes).await;
        answer(stream).await
    }
}

async fn request(addr: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    stream
}

/// Everything until the connection is closed, which must come by itself.
async fn answer(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A connection that is cut has given what it had.
    let reading = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes)).await;
    let _ = reading.expect("it is closed");
    String::from_utf8_lossy(&bytes).into_owned()
}
