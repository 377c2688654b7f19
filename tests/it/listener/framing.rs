//! Where one request ends and the next begins: an answer to what was sent, never to what was hidden in it.

use super::{LIMITS, Limits, Listening, listen};

/// A request that stands where a body should be.
const HIDDEN: &str = "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";

async fn listening() -> Listening {
    listen(Limits { connections: 8, ..LIMITS }).await
}

/// The statuses of all answers on the connection, in order.
fn statuses(text: &str) -> Vec<&str> {
    // Unlike a request that is quoted in an answer, an answer goes on with its status.
    let status = |it: &str| it.get(2..5).is_some_and(|it| it.bytes().all(|byte| byte.is_ascii_digit()));
    text.split("HTTP/1.").skip(1).filter(|it| status(it)).map(|it| &it[2..5]).collect()
}

fn post(headers: &str, body: &str) -> Vec<u8> {
    format!("POST /body HTTP/1.1\r\nhost: x\r\n{headers}\r\n{body}").into_bytes()
}

/// A proxy before us may believe the length: then the rest of its body must not be a request of ours.
#[tokio::test]
async fn a_body_with_a_length_and_chunks_hides_no_second_request() {
    let listening = listening().await;
    let body = format!("0\r\n\r\n{HIDDEN}");
    let length = format!("content-length: {}\r\n", body.len());
    let chunked = "transfer-encoding: chunked\r\n";
    for headers in [format!("{length}{chunked}"), format!("{chunked}{length}"), format!("{length}{chunked}{length}")] {
        for path in ["/body", "/unread"] {
            let sent = String::from_utf8(post(&headers, &body)).unwrap().replace("/body", path);
            let text = listening.talk(sent.as_bytes()).await;
            assert_eq!(statuses(&text).len(), 1, "{headers}: {text}");
        }
    }
    // And the other way round: the chunks hold what the length would end before.
    let chunks = format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len());
    let text = listening.talk(&post(&format!("content-length: 4\r\n{chunked}"), &chunks)).await;
    assert_eq!(statuses(&text).len(), 1, "{text}");
    listening.end().await;
}

#[tokio::test]
async fn lengths_that_contradict_each_other_or_are_none_are_refused() {
    let listening = listening().await;
    for lengths in [
        "content-length: 0\r\ncontent-length: 36",
        "content-length: 36\r\ncontent-length: 0",
        "content-length: 0, 36",
        "content-length: +0",
        "content-length: -1",
        "content-length: 0x24",
        "content-length: 0 0",
        "content-length: ",
        "content-length: 18446744073709551616",
        "content-length : 36",
        "content-length: 0\r\n 6",
    ] {
        let text = listening.talk(&post(&format!("{lengths}\r\n"), HIDDEN)).await;
        assert_eq!(statuses(&text), ["400"], "{lengths}: {text}");
    }
    // The same twice says nothing new.
    let text = listening.talk(&post("content-length: 4\r\ncontent-length: 4\r\n", "body")).await;
    assert!(text.ends_with("came: body"), "{text}");
    listening.end().await;
}

#[tokio::test]
async fn a_transfer_encoding_that_is_not_chunked_at_its_end_is_refused() {
    let listening = listening().await;
    for encoding in ["identity", "xchunked", "chunked, gzip", "chunked\u{b}", "\"chunked\"", "chunked;x=y", ""] {
        let text = listening.talk(&post(&format!("transfer-encoding: {encoding}\r\n"), HIDDEN)).await;
        assert_eq!(statuses(&text), ["400"], "{encoding}: {text}");
    }
    for sent in [
        format!("POST /body HTTP/1.1\r\nhost: x\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("POST /body HTTP/1.1\r\nhost: x\r\ntransfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("POST /body HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
    ] {
        let text = listening.talk(sent.as_bytes()).await;
        assert_eq!(statuses(&text), ["400"], "{sent}: {text}");
    }
    listening.end().await;
}

#[tokio::test]
async fn chunks_without_a_length_are_a_body_and_broken_ones_end_it() {
    let listening = listening().await;
    let chunked = "transfer-encoding: chunked\r\n";
    let text = listening.talk(&post(chunked, "2\r\nbo\r\n2;extension=x\r\ndy\r\n0\r\ntrailer: x\r\n\r\n")).await;
    assert!(text.contains("came: body"), "{text}");
    for broken in ["x\r\n", "-1\r\n", "fffffffffffffffff\r\n", "0x0\r\n", "1\r\nxx\r\n", "\r\n", "4\r\nbody0\r\n\r\n"] {
        let text = listening.talk(&post(chunked, &format!("{broken}{HIDDEN}"))).await;
        assert!(!text.contains("came") && statuses(&text).len() <= 1, "{broken:?}: {text}");
    }
    listening.end().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_before_it_ends() {
    let listening = listening().await;
    let long = "x".repeat(80 * 1024);
    for head in [
        format!("GET /{long}"),
        format!("GET / HTTP/1.1\r\nhost: x\r\nx: {long}"),
        format!("GET / HTTP/1.1\r\nhost: x\r\n{long}"),
        format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(200)),
    ] {
        let text = listening.talk(head.as_bytes()).await;
        assert!(matches!(statuses(&text)[..], ["431" | "414" | "400"]), "{}: {text}", &head[..40]);
    }
    listening.end().await;
}

#[tokio::test]
async fn requests_of_other_versions_and_forms_are_answered_or_refused_and_never_hang() {
    let listening = listening().await;
    for (sent, expected) in [
        ("GET / HTTP/1.0\r\n\r\n", &["200"][..]),
        ("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", &["200"]),
        ("POST /body HTTP/1.0\r\ncontent-length: 4\r\n\r\nbody", &["200"]),
        // Two in one go are answered in their order, and a third that is none ends it.
        (
            "GET / HTTP/1.1\r\nhost: x\r\n\r\nPOST /body HTTP/1.1\r\ncontent-length: 4\r\n\r\nbodyx\r\n\r\n",
            &["200", "200", "400"],
        ),
        ("GET http://elsewhere.example/ HTTP/1.1\r\nhost: x\r\n\r\n", &["200"]),
        ("GET http://elsewhere.example HTTP/1.1\r\nhost: x\r\n\r\n", &["200"]),
        ("GET http://user:secret@[::1]:99/nowhere?x#y HTTP/1.1\r\nhost: x\r\n\r\n", &["404"]),
        ("CONNECT elsewhere.example:443 HTTP/1.1\r\nhost: x\r\n\r\n", &["404"]),
        ("OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n", &["404"]),
        ("GET nowhere HTTP/1.1\r\nhost: x\r\n\r\n", &["404"]),
        ("GET / HTTP/2.0\r\n\r\n", &["400"]),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[]),
        ("GET /\r\n\r\n", &["400"]),
        ("G\0T / HTTP/1.1\r\n\r\n", &["400"]),
        ("\x16\x03\x01\x02\0\x01\0\x01\x7c\x03\x03 a TLS client\r\n\r\n", &["400"]),
    ] {
        let text = listening.talk(sent.as_bytes()).await;
        assert_eq!(statuses(&text), expected, "{sent:?}: {text}");
    }
    listening.end().await;
}
