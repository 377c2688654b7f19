//! The client side of the Postgres protocol, as far as the [proxy](super::Proxy) needs it: the first message with its
//! parameters, COMMITs, and the statements before a COMMIT.
//!
//! PostgreSQL manual, "Message Formats": a type byte and a length; the first message has only the length.

use std::collections::{HashMap, HashSet};
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The maximum length of the first message in Postgres (`MAX_STARTUP_PACKET_LENGTH`).
const MAX_STARTUP: usize = 10_000;
/// Length and protocol version, before the parameters of the first message.
const BEFORE_PARAMETERS: usize = 8;

/// Reads the complete first message of a connection.
pub(super) async fn first_message(client: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = client.read_u32().await?;
    let rest = usize::try_from(length).ok().and_then(|it| it.checked_sub(4)).filter(|it| *it <= MAX_STARTUP);
    let rest = rest.ok_or_else(|| io::Error::other("the first message has no sensible length"))?;
    let mut message = length.to_be_bytes().to_vec();
    message.resize(4 + rest, 0);
    client.read_exact(&mut message[4..]).await?;
    Ok(message)
}

/// The first message without its parameter `options`. None: it has no such parameter.
pub(super) fn without_options(message: &[u8]) -> Option<Vec<u8>> {
    let parameters = message.get(BEFORE_PARAMETERS..)?;
    let texts: Vec<&[u8]> = parameters.split(|byte| *byte == 0).collect();
    let kept = texts.chunks_exact(2).take_while(|pair| !pair[0].is_empty()).filter(|pair| pair[0] != b"options");
    let kept: Vec<u8> = kept.flatten().flat_map(|text| text.iter().copied().chain([0])).chain([0]).collect();
    let length = u32::try_from(BEFORE_PARAMETERS + kept.len()).ok()?;
    let stripped = [&length.to_be_bytes(), message.get(4..BEFORE_PARAMETERS)?, &kept].concat();
    (stripped.len() < message.len()).then_some(stripped)
}

/// A COMMIT with the statements of its transaction, named by the `module::function` of their first line.
pub(super) struct Commit(HashSet<String>);

impl Commit {
    /// Whether the named statement ran in the transaction.
    pub(super) fn holds(&self, statement: &str) -> bool {
        self.0.contains(statement)
    }
}

/// Finds the client's later messages in a stream of arbitrary pieces.
#[derive(Default)]
pub(super) struct Frames {
    message: Vec<u8>,
    /// The `module::function` of each prepared statement.
    prepared: HashMap<Vec<u8>, String>,
    /// Statements since the last BEGIN.
    ran: HashSet<String>,
    /// Each run of a statement since the last look.
    runs: Vec<String>,
}

impl Frames {
    /// The last COMMIT that ends in this piece.
    pub(super) fn commit_in(&mut self, piece: &[u8]) -> Option<Commit> {
        self.message.extend_from_slice(piece);
        let mut found = None;
        while let Some(length) = self.next_length() {
            let message: Vec<u8> = self.message.drain(..length).collect();
            found = self.take(&message).or(found);
        }
        found
    }

    /// The prepared statements that ran since the last call, by name, in their order.
    pub(super) fn take_runs(&mut self) -> Vec<String> {
        std::mem::take(&mut self.runs)
    }

    fn take(&mut self, message: &[u8]) -> Option<Commit> {
        let body = message.get(5..)?;
        match message.first()? {
            b'Q' if body == b"COMMIT\0" => return Some(Commit(std::mem::take(&mut self.ran))),
            b'Q' => self.ran.clear(),
            // Parse: a name, then the text.
            b'P' => {
                let mut texts = body.split(|byte| *byte == 0);
                let (name, text) = (texts.next()?.to_vec(), texts.next()?);
                self.prepared.insert(name, named(text));
            }
            // Bind: a portal, then the statement's name.
            b'B' => {
                let name = self.prepared.get(body.split(|byte| *byte == 0).nth(1)?)?;
                self.ran.insert(name.clone());
                self.runs.push(name.clone());
            }
            _ => {}
        }
        None
    }

    /// The length of the next message, if it is complete.
    fn next_length(&self) -> Option<usize> {
        let length = self.message.get(1..5)?;
        let length = u32::from_be_bytes(length.try_into().ok()?);
        let whole = 1 + usize::try_from(length).ok()?;
        (self.message.len() >= whole && length >= 4).then_some(whole)
    }
}

/// The `module::function` in the first line of a statement.
fn named(text: &[u8]) -> String {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(line).trim_start_matches("-- ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind], &length[..], body].concat()
    }

    #[test]
    fn a_commit_is_found_however_the_stream_is_cut_up() {
        let stream =
            [message(b'Q', b"begin; rollback\0"), message(b'P', b"\0COMMIT\0"), message(b'Q', b"COMMIT\0")].concat();
        for size in 1..=stream.len() {
            let mut frames = Frames::default();
            let found: Vec<bool> = stream.chunks(size).map(|piece| frames.commit_in(piece).is_some()).collect();
            assert_eq!(found.iter().filter(|it| **it).count(), 1, "in pieces of {size}");
            assert_eq!(found.last(), Some(&true));
        }
    }

    #[test]
    fn a_commit_knows_the_statements_of_its_transaction_and_no_others() {
        let mut frames = Frames::default();
        let mut transaction = |name: &[u8]| {
            frames.commit_in(&message(b'Q', b"BEGIN\0"));
            frames.commit_in(&message(b'B', &[b"\0", name, b"\0\0\0"].concat()));
            frames.commit_in(&message(b'Q', b"COMMIT\0")).unwrap()
        };
        assert!(!transaction(b"s1").holds("inbox::insert"));
        frames.commit_in(&message(b'P', b"s1\0-- inbox::insert\ninsert into inbox\0\0\0"));
        let mut transaction = |name: &[u8]| {
            frames.commit_in(&message(b'Q', b"BEGIN\0"));
            frames.commit_in(&message(b'B', &[b"\0", name, b"\0\0\0"].concat()));
            frames.commit_in(&message(b'Q', b"COMMIT\0")).unwrap()
        };
        assert!(transaction(b"s1").holds("inbox::insert"));
        assert!(!transaction(b"s2").holds("inbox::insert"));
    }

    fn startup(parameters: &[u8]) -> Vec<u8> {
        let length = u32::try_from(8 + parameters.len()).unwrap();
        [&length.to_be_bytes()[..], &196_608_u32.to_be_bytes(), parameters].concat()
    }

    #[test]
    fn options_are_taken_out_of_the_first_message_and_the_rest_stays() {
        let given = startup(b"user\0service\0options\0-c search_path=cell\0database\0d\0\0");
        assert_eq!(without_options(&given), Some(startup(b"user\0service\0database\0d\0\0")));
        assert_eq!(without_options(&startup(b"user\0service\0\0")), None);
    }

    #[tokio::test]
    async fn a_first_message_is_read_whole_and_no_further() {
        let given = startup(b"user\0service\0\0");
        let stream = [given.clone(), message(b'p', b"secret\0")].concat();
        assert_eq!(first_message(&mut &*stream).await.unwrap(), given);
        assert!(first_message(&mut &b"\xff\xff\xff\xff"[..]).await.is_err());
    }
}
