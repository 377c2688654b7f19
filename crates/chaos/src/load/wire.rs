//! A minimal HTTP/1.1 client over its own connections: a library's client uses most of a core in a debug build, and may
//! repeat a request silently.

use std::io;

use axum::body::Bytes;
use axum::http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The longest head of an answer.
const MAX_HEAD: usize = 64 * 1_024;
const MAX_BODY: usize = 64 * 1_024 * 1_024;

#[derive(Clone)]
pub struct Call {
    pub listener: Listener,
    pub method: Method,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

/// Which listener of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    Public,
    Internal,
}

/// An answer; status 0: none came.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// Whether it is said to be the first answer again.
    pub replayed: bool,
    pub body: Vec<u8>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Head {
    status: u16,
    length: usize,
    replayed: bool,
    closes: bool,
}

/// The whole request as it is sent.
pub fn bytes(call: &Call, host: &str) -> Vec<u8> {
    let mut head = String::with_capacity(512);
    head.extend([call.method.as_str(), " ", &call.path, " HTTP/1.1\r\nhost: ", host, "\r\n"]);
    for (name, value) in &call.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.extend(["content-length: ", &call.body.len().to_string(), "\r\n\r\n"]);
    let mut request = head.into_bytes();
    request.extend_from_slice(&call.body);
    request
}

/// Sends a request and reads its answer; whether the connection can be used again.
pub async fn exchange(stream: &mut TcpStream, request: &[u8]) -> io::Result<(Reply, bool)> {
    stream.write_all(request).await?;
    let mut read = Vec::with_capacity(2_048);
    let (head, at) = loop {
        if let Some(end) = read.windows(4).position(|it| it == b"\r\n\r\n") {
            let head = std::str::from_utf8(&read[..end]).ok().and_then(parse);
            break (head.ok_or_else(|| io::Error::other("an answer that is not understood"))?, end + 4);
        }
        if read.len() > MAX_HEAD || stream.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let mut body = read.split_off(at);
    body.reserve(head.length.saturating_sub(body.len()));
    while body.len() < head.length {
        if stream.read_buf(&mut body).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let whole = body.len() == head.length && !head.closes;
    Ok((Reply { status: head.status, replayed: head.replayed, body }, whole))
}

/// None: it is not of the form that the service answers in.
fn parse(text: &str) -> Option<Head> {
    let mut lines = text.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let mut head = Head { status, ..Head::default() };
    let mut length = None;
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.parse().ok().filter(|it| *it <= MAX_BODY)?);
        } else if name.eq_ignore_ascii_case("connection") {
            head.closes = value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("idempotent-replayed") {
            head.replayed = value == "true";
        }
    }
    head.length = if status == 204 { 0 } else { length? };
    Some(head)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one request with these pieces, then closes.
    async fn answered(pieces: &'static [&'static str]) -> io::Result<(Reply, bool)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 64];
            let _ = stream.read(&mut request).await.unwrap();
            for piece in pieces {
                stream.write_all(piece.as_bytes()).await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        });
        exchange(&mut TcpStream::connect(address).await?, b"GET / HTTP/1.1\r\n\r\n").await
    }

    #[tokio::test]
    async fn an_answer_in_pieces_is_put_together() {
        let pieces =
            &["HTTP/1.1 202 Acc", "epted\r\nIdempotent-Replayed: true\r\nContent-Length: 5\r\n\r", "\nab", "cde"];
        let reply = Reply { status: 202, replayed: true, body: b"abcde".to_vec() };
        assert_eq!(answered(pieces).await.unwrap(), (reply, true));
    }

    #[tokio::test]
    async fn an_answer_cut_short_is_none() {
        for pieces in
            [&["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcd"][..], &["HTTP/1.1 200 OK\r\ncont"], &["x\r\n\r\n"]]
        {
            assert!(answered(pieces).await.is_err());
        }
        let (reply, whole) =
            answered(&["HTTP/1.1 503 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"]).await.unwrap();
        assert_eq!((reply.status, whole), (503, false));
    }

    #[test]
    fn a_request_is_whole() {
        let call = Call {
            listener: Listener::Public,
            method: Method::POST,
            path: "/a?b=c".to_owned(),
            headers: vec![("x", "y".to_owned())],
            body: Bytes::from_static(b"{}"),
        };
        assert_eq!(bytes(&call, "h:1"), b"POST /a?b=c HTTP/1.1\r\nhost: h:1\r\nx: y\r\ncontent-length: 2\r\n\r\n{}");
    }
}
