//! The accept loop: what a client may take, and how it ends.

use std::time::{Duration, Instant};

use account_opening::http::listener::{Limits, serve};
use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Listening {
    addr: std::net::SocketAddr,
    stop: CancellationToken,
    ended: JoinHandle<()>,
    /// Says when a request to `/slow` has begun.
    begun: mpsc::UnboundedReceiver<()>,
    /// Lets it end.
    go_on: std::sync::Arc<tokio::sync::Notify>,
}

async fn listen(limits: Limits) -> Listening {
    let (tell, begun) = mpsc::unbounded_channel();
    let go_on = std::sync::Arc::new(tokio::sync::Notify::new());
    let wait = std::sync::Arc::clone(&go_on);
    let slow = move || async move {
        tell.send(()).unwrap();
        wait.notified().await;
        "done"
    };
    let router = Router::new().route("/", get(|| async { "ok" })).route("/slow", get(slow));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let ended = tokio::spawn(serve(listener, router, limits, stop.clone()));
    Listening { addr, stop, ended, begun, go_on }
}

const LIMITS: Limits =
    Limits { head_within: Duration::from_millis(300), connections: 2, drain: Duration::from_secs(20) };

async fn request(addr: std::net::SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    stream
}

async fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    // A connection that is cut has given what it had.
    let _ = stream.read_to_string(&mut text).await;
    text
}

/// What `axum::serve` 0.8.9 does not do: it still held such a connection after 75 s.
#[tokio::test]
async fn a_head_that_does_not_arrive_in_time_is_cut() {
    let listening = listen(LIMITS).await;
    let mut stream = TcpStream::connect(listening.addr).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-half: ").await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), answer(stream)).await;
    assert!(!ended.expect("it is cut").contains("200 OK"));
    assert!(answer(request(listening.addr, "/").await).await.contains("200 OK"));
    listening.stop.cancel();
    listening.ended.await.unwrap();
}

#[tokio::test]
async fn a_connection_beyond_the_cap_waits_until_another_ends() {
    let mut listening = listen(LIMITS).await;
    let slow = [request(listening.addr, "/slow").await, request(listening.addr, "/slow").await];
    for _ in &slow {
        listening.begun.recv().await.unwrap();
    }
    let mut third = request(listening.addr, "/").await;
    let mut byte = [0_u8];
    let early = tokio::time::timeout(Duration::from_millis(200), third.read(&mut byte)).await;
    assert!(early.is_err(), "it must wait while both places are taken");
    listening.go_on.notify_one();
    assert!(answer(third).await.contains("TTP/1.1 200 OK"));
    listening.go_on.notify_one();
    for stream in slow {
        assert!(answer(stream).await.contains("200 OK"));
    }
    listening.stop.cancel();
    listening.ended.await.unwrap();
}

/// P25: a request under way is answered, a connection that sent half a head holds up nothing.
#[tokio::test]
async fn a_stop_lets_requests_end_and_cuts_what_sends_none() {
    let mut listening = listen(Limits { head_within: Duration::from_mins(1), ..LIMITS }).await;
    let slow = request(listening.addr, "/slow").await;
    listening.begun.recv().await.unwrap();
    listening.stop.cancel();
    listening.go_on.notify_one();
    assert!(answer(slow).await.contains("200 OK"));
    listening.ended.await.unwrap();

    let drain = Duration::from_millis(500);
    let listening = listen(Limits { head_within: Duration::from_mins(1), drain, ..LIMITS }).await;
    let mut half = TcpStream::connect(listening.addr).await.unwrap();
    half.write_all(b"GET / HT").await.unwrap();
    // The loop has taken it once a later one is answered.
    assert!(answer(request(listening.addr, "/").await).await.contains("200 OK"));
    let stopped = Instant::now();
    listening.stop.cancel();
    listening.ended.await.unwrap();
    assert!(stopped.elapsed() < Duration::from_secs(20), "the drain bounds it, not the head's minute");
    assert_eq!(answer(half).await, "");
}
