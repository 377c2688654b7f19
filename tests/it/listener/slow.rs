//! Clients that are slow in what they send, or in what they take.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{LIMITS, Limits, answer, listen, request};
use crate::support::{TestApp, wire};

/// Between two bytes of a client that is slow on purpose; many of them fit into every limit here.
const NOW_AND_THEN: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_mins(5);

/// Sends `head`, then a byte of `more` now and then, and returns what came back until the connection was closed.
async fn dribble(addr: std::net::SocketAddr, head: &str, more: &'static str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let sending = async {
        for byte in more.bytes().cycle() {
            tokio::time::sleep(NOW_AND_THEN).await;
            if write.write_all(&[byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut bytes = Vec::new();
    let reading = async {
        // Cut or closed: it has ended.
        let _ = read.read_to_end(&mut bytes).await;
    };
    let ended = async {
        tokio::select! {
            () = sending => {}
            () = reading => {}
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the connection is closed");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `axum::serve` 0.8.9 does not do this: it still held such a connection after 75 s.
#[tokio::test]
async fn a_head_that_does_not_arrive_in_time_is_cut() {
    let listening = listen(LIMITS).await;
    let mut stream = TcpStream::connect(listening.addr).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-half: ").await.unwrap();
    assert!(!answer(stream).await.contains("200 OK"));
    // A byte now and then wins no time.
    assert!(!dribble(listening.addr, "GET / HTTP/1.1\r\nhost: x\r\nx-half: ", "x").await.contains("200 OK"));
    assert!(answer(request(listening.addr, "/").await).await.contains("200 OK"));
    listening.end().await;
}

/// With and without a length; whether or not the handler reads the body.
#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_ends_and_its_connection_is_closed() {
    let listening = listen(Limits { head_within: LONG, ..LIMITS }).await;
    for (framing, more) in [("content-length: 1000", "x"), ("transfer-encoding: chunked", "1\r\nx\r\n")] {
        for (path, says) in [("/body", "too slow"), ("/unread", "unread")] {
            let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n");
            let text = dribble(listening.addr, &head, more).await;
            assert!(text.ends_with(says), "{framing} {path}: {text}");
        }
    }
    // And one that sends nothing more at all.
    let text = listening.talk(b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf").await;
    assert!(text.ends_with("too slow"), "{text}");
    listening.end().await;
}

/// Neither one that reads nothing nor one that reads a byte now and then; the next in line gets its place.
#[tokio::test]
async fn a_client_that_does_not_take_its_answer_loses_its_connection() {
    let listening = listen(Limits { head_within: LONG, body_within: LONG, connections: 2, ..LIMITS }).await;
    let idle = request(listening.addr, "/large").await;
    let mut slow = request(listening.addr, "/large").await;
    let reading = tokio::spawn(async move {
        let mut byte = [0_u8; 16];
        while slow.read(&mut byte).await.is_ok_and(|read| read > 0) {
            tokio::time::sleep(NOW_AND_THEN).await;
        }
    });
    assert!(answer(request(listening.addr, "/").await).await.contains("200 OK"));
    // A client that reads gets the whole answer, however large.
    assert!(answer(request(listening.addr, "/large").await).await.len() > super::LARGE);
    reading.abort();
    drop(idle);
    listening.end().await;
}

/// After an answer, and before any request.
#[tokio::test]
async fn a_connection_without_a_request_is_closed_in_time() {
    let listening = listen(Limits { body_within: LONG, answer_within: LONG, ..LIMITS }).await;
    assert_eq!(listening.talk(b"").await, "");
    let text = listening.talk(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(text.ends_with("ok"), "{text}");
    listening.end().await;
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
    listening.end().await;
}

/// Sends a request on a connection that stays, and reads its answer.
async fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b"ok") && stream.read_buf(&mut text).await.is_ok_and(|read| read > 0) {}
    String::from_utf8_lossy(&text).into_owned()
}

/// G20: a balancer keeps connections for longer than a head may take, and a request that met the close would be its 502.
#[tokio::test]
async fn a_connection_that_was_answered_may_be_idle_for_longer_than_a_head_may_take() {
    let listening = listen(Limits { idle_within: LONG, ..LIMITS }).await;
    let mut stream = TcpStream::connect(listening.addr).await.unwrap();
    for _ in 0..2 {
        assert!(ask(&mut stream).await.contains("200 OK"));
        // A close that must not come gives no sign to wait for.
        tokio::time::sleep(LIMITS.head_within * 3).await;
    }
    assert!(ask(&mut stream).await.contains("200 OK"));
    // Once its next head has begun, that must come in time as any other.
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-half: ").await.unwrap();
    assert!(!answer(stream).await.contains("200 OK"));
    // Before its first request a connection has only the time of a head.
    assert_eq!(listening.talk(b"").await, "");
    listening.end().await;
}

/// G8: idle connections hold up no client: the one that was idle for longest is closed first.
#[tokio::test]
async fn where_all_places_are_taken_the_connection_that_was_idle_for_longest_makes_room() {
    let listening = listen(Limits { head_within: LONG, idle_within: LONG, connections: 2, ..LIMITS }).await;
    let silent = TcpStream::connect(listening.addr).await.unwrap();
    let mut used = TcpStream::connect(listening.addr).await.unwrap();
    assert!(ask(&mut used).await.contains("200 OK"));
    let mut third = TcpStream::connect(listening.addr).await.unwrap();
    let answered = tokio::time::timeout(Duration::from_secs(20), ask(&mut third)).await;
    assert!(answered.expect("it is taken").contains("200 OK"));
    assert_eq!(answer(silent).await, "", "it was idle for longest");
    assert!(ask(&mut used).await.contains("200 OK"), "and no other had to go");
    // A head that has begun is no idleness.
    third.write_all(b"GET / HT").await.unwrap();
    assert!(ask(&mut used).await.contains("200 OK"));
    assert!(answer(request(listening.addr, "/").await).await.contains("200 OK"));
    assert_eq!(answer(used).await, "");
    third.write_all(b"TP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(answer(third).await.contains("200 OK"));
    listening.end().await;
}

/// G20: balancers keep a connection for 60 s; the setting holds on both listeners.
#[tokio::test]
async fn by_default_both_listeners_keep_a_connection_for_longer_than_balancers_do_and_the_setting_says_how_long() {
    let app = TestApp::start().await;
    let settings = &app.state.settings;
    for limits in [Limits::outside(settings), Limits::inside(settings)] {
        assert!(limits.idle_within > Duration::from_mins(1), "{limits:?}");
    }
    app.finish().await;

    let app = TestApp::with().settings(|it| it.keep_alive = "200ms".to_owned()).start().await;
    for listener in [&app.public, &app.internal] {
        let mut stream = wire::connect(listener).await;
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        // Closed by the listener, long before a head's time is over.
        let text = tokio::time::timeout(Duration::from_secs(10), answer(stream)).await.expect("it is closed");
        assert!(text.contains("200 OK"), "{text}");
    }
    app.finish().await;
}
