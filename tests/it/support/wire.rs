//! Requests as bytes, for what a well-behaved client never sends.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The head of an answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// In small letters, as they came.
    pub headers: Vec<(String, String)>,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }
}

/// A connection to `http://…`.
pub async fn connect(url: &str) -> TcpStream {
    TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap()
}

/// Sends these bytes and reads the head of the answer. The connection stays open until then: a server that waits for more than
/// was sent must give up by itself.
pub async fn exchange(url: &str, request: &[u8]) -> Answer {
    let (mut read, mut write) = connect(url).await.into_split();
    // A server may answer and close before it has read everything.
    let _ = write.write_all(request).await;
    let mut answer = Vec::new();
    let reading = async {
        while !answer.windows(4).any(|it| it == b"\r\n\r\n") {
            assert_ne!(read.read_buf(&mut answer).await.unwrap(), 0, "closed without an answer");
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reading).await.expect("an answer");
    let text = String::from_utf8_lossy(&answer);
    let mut lines = text.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    Answer { status, headers: lines.map_while(header).collect() }
}
