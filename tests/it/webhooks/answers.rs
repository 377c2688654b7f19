//! The answers before a signature is looked at: 404, 405, 413, 415, in that order.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{TestApp, exchange, wire};

use super::of_no_concern;

const MAX: usize = 262_144;

fn request(method: &str, path: &str, headers: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nhost: it\r\n{headers}\r\n").into_bytes()
}

#[tokio::test]
async fn an_unknown_provider_or_path_is_not_found_beside_any_other_error() {
    let app = TestApp::start().await;
    let paths = [
        "/webhooks/unknown",
        "/webhooks/NexusBank",
        "/webhooks/nexusbank%20",
        "/webhooks/%FF",
        "/webhooks/%00",
        "/webhooks/%",
        "/webhooks/..%2Fnexusbank",
        "/webhooks/",
        "/webhooks",
        "/webhooks/nexusbank/",
        "/webhooks/nexusbank/more",
        "//webhooks/nexusbank",
        "/",
        "/anything",
        // The internal listener's.
        "/v1/account-openings",
        "/v1/dead-letters",
        "/company/account-opening/set-status-sandbox",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/docs",
    ];
    for path in paths {
        for method in ["POST", "GET", "HEAD", "PUT", "OPTIONS", "PURGE"] {
            let answer = exchange(&app.public, &request(method, path, "content-length: 0\r\n")).await;
            assert_eq!(answer.status, 404, "{method} {path}");
        }
        let wrong = format!("content-type: text/plain\r\ncontent-length: {}\r\n", MAX + 1);
        assert_eq!(exchange(&app.public, &request("POST", path, &wrong)).await.status, 404, "{path}, too large");
    }
    assert_eq!(app.inbox().await, []);
    app.finish().await;
}

#[tokio::test]
async fn any_method_but_post_is_not_allowed_beside_any_other_error() {
    let app = TestApp::start().await;
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"] {
        for wrong in ["content-length: 0\r\n", "content-type: text/plain\r\ncontent-length: 262145\r\n"] {
            let answer = exchange(&app.public, &request(method, "/webhooks/nexusbank", wrong)).await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method} {wrong}");
        }
    }
    assert_eq!(exchange(&app.public, &request("GET", "/livez", "")).await.status, 200);
    app.finish().await;
}

/// Only the head is sent: a server that waits for the body waits in vain.
#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_refused_before_it_comes() {
    let app = TestApp::start().await;
    for length in ["262145", "1000000000000", "18446744073709551613"] {
        for more in ["", "expect: 100-continue\r\n", "content-type: text/plain\r\n"] {
            let head = request("POST", "/webhooks/nexusbank", &format!("content-length: {length}\r\n{more}"));
            assert_eq!(exchange(&app.public, &head).await.status, 413, "{length} {more}");
        }
    }
    app.finish().await;
}

/// The last chunk never arrives: a server that buffers everything first waits in vain.
#[tokio::test]
async fn a_body_of_unknown_length_is_refused_as_soon_as_it_is_too_large() {
    let app = TestApp::start().await;
    for more in ["", "content-type: text/plain\r\n"] {
        let headers = format!("transfer-encoding: chunked\r\n{more}");
        let mut sent = request("POST", "/webhooks/nexusbank", &headers);
        for _ in 0..MAX / 1_024 {
            sent.extend_from_slice(b"400\r\n");
            sent.extend_from_slice(&[b' '; 1_024]);
            sent.extend_from_slice(b"\r\n");
        }
        sent.extend_from_slice(b"1\r\n ");
        assert_eq!(exchange(&app.public, &sent).await.status, 413, "{more}");
    }
    assert_eq!(app.inbox().await, []);
    app.finish().await;
}

#[tokio::test]
async fn the_largest_body_is_taken_and_one_byte_more_is_not() {
    let app = TestApp::start().await;
    let mut body = of_no_concern(0).into_bytes();
    body.resize(MAX, b' ');
    app.webhook().body(body.clone()).acknowledged().await;
    body.push(b' ');
    let answer = exchange(&app.public, &app.webhook().body(body.clone()).wire()).await;
    assert_eq!(answer.status, 413);
    // Chunked, the largest is taken too.
    body.pop();
    let sent = app.webhook().id("msg_chunked").body(body.clone()).wire();
    let end = sent.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&sent[..end]).replace("content-length: 262144", "transfer-encoding: chunked");
    let chunked = [head.as_bytes(), b"\r\n\r\n40000\r\n", &body, b"\r\n0\r\n\r\n"].concat();
    assert_eq!(exchange(&app.public, &chunked).await.status, 200);
    let stored = app.inbox().await;
    assert_eq!(stored.len(), 2);
    assert!(stored.iter().all(|it| it.body == body));
    app.finish().await;
}

#[tokio::test]
async fn a_body_that_says_that_it_is_not_json_is_refused_signed_or_not() {
    let app = TestApp::start().await;
    let types = [
        "text/plain",
        "text/plain; charset=application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=application/json",
        "application/jsonp",
        "application/octet-stream",
        "json",
    ];
    for kind in types {
        let webhook = || app.webhook().body(of_no_concern(0)).header("content-type", kind);
        assert_eq!(webhook().answered().await, 415, "{kind}");
        assert_eq!(webhook().without("webhook-signature").answered().await, 415, "{kind}, unsigned");
    }
    assert_eq!(app.inbox().await, []);
    app.finish().await;
}

#[tokio::test]
async fn a_body_that_says_that_it_is_json_or_says_nothing_is_taken() {
    let app = TestApp::start().await;
    // F12: the same ones that REST takes.
    let types = [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "Application/JSON",
        "text/json",
        "Text/JSON; charset=utf-8",
        "application/cloudevents+json",
        "model/gltf+json",
        "",
        "; charset=utf-8",
    ];
    for (n, kind) in types.into_iter().enumerate() {
        app.webhook().body(of_no_concern(n)).header("content-type", kind).acknowledged().await;
    }
    app.webhook().body(of_no_concern(99)).without("content-type").acknowledged().await;
    assert_eq!(app.inbox().await.len(), types.len() + 1);
    app.finish().await;
}

/// F12: one meaning of "JSON by its type" on both listeners.
#[tokio::test]
async fn both_listeners_take_the_same_content_types() {
    let app = TestApp::start().await;
    let kinds =
        ["application/json", "text/json", "a/b+json", "", ";", "text/plain", "json", "application/x+jsonp", "*/*"];
    for (n, kind) in kinds.into_iter().enumerate() {
        let rest = app.request(reqwest::Method::POST, "/v1/account-openings").header("idempotency-key", "key-1");
        let rest = rest.header("content-type", kind).body("[]").send().await.unwrap().status().as_u16();
        let webhook = app.webhook().body(of_no_concern(n)).header("content-type", kind).answered().await;
        assert!(matches!((rest, webhook), (415, 415) | (400, 200)), "{kind:?}: {rest} {webhook}");
    }
    app.finish().await;
}

/// Bytes that a proxy before us may take for a body are not another request to us, also if they are signed.
#[tokio::test]
async fn a_webhook_hidden_in_the_body_of_another_request_is_not_taken() {
    let app = TestApp::start().await;
    let hidden = app.webhook().body(of_no_concern(1)).wire();
    let body = [b"0\r\n\r\n", &hidden[..]].concat();
    let length = format!("content-length: {}\r\n", body.len());
    for framing in
        [format!("{length}transfer-encoding: chunked\r\n"), format!("transfer-encoding: chunked\r\n{length}")]
    {
        for (method, path) in [("POST", "/webhooks/nexusbank"), ("GET", "/livez"), ("POST", "/nowhere")] {
            let mut stream = wire::connect(&app.public).await;
            let sent = [&request(method, path, &framing)[..], &body].concat();
            // The request may be refused and closed before it is read.
            let _ = stream.write_all(&sent).await;
            let mut answer = Vec::new();
            let closed = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut answer)).await;
            let _ = closed.expect("the connection is closed");
            assert_eq!(String::from_utf8_lossy(&answer).matches("HTTP/1.1 ").count(), 1, "{method} {path}");
        }
    }
    assert_eq!(app.inbox().await, []);
    // The hidden webhook would have been taken as a request of its own.
    assert_eq!(exchange(&app.public, &hidden).await.status, 200);
    app.finish().await;
}
