//! The end of a listener (P25).

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{LIMITS, Limits, answer, listen, request};

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

/// P25: connections that wait for a request are closed at once, regardless of their time-out.
#[tokio::test]
async fn a_stop_closes_idle_connections_at_once() {
    let listening = listen(Limits { head_within: Duration::from_mins(5), connections: 3, ..LIMITS }).await;
    let fresh = TcpStream::connect(listening.addr).await.unwrap();
    let mut used = TcpStream::connect(listening.addr).await.unwrap();
    used.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b"ok") {
        used.read_buf(&mut text).await.unwrap();
    }
    // The loop has taken the fresh one once a later one is answered.
    assert!(answer(request(listening.addr, "/").await).await.contains("200 OK"));
    let stopped = Instant::now();
    listening.end().await;
    assert!(stopped.elapsed() < LIMITS.drain / 4, "{:?}", stopped.elapsed());
    assert_eq!((answer(fresh).await, answer(used).await), (String::new(), String::new()));
}
