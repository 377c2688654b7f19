//! Reads what belongs to an opening, in one snapshot of the database, and sends it to the thread that writes the document.
//!
//! The channel holds little, so memory does not grow with the facts. A crash leaves nothing: the file has no name.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, PgPool};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::document::{self, Part};
use super::masking;
use super::{ABOUT, About, Mask, OPENING, README};
use crate::clock::Time;
use crate::db::Page;
use crate::db::evidence::{self as db, OpeningFact, within};
use crate::domain::signature::EvidenceKey;
use crate::reconciliation::evidence::bundle::Finished;
use crate::reconciliation::evidence::collect::CollectError;

const ABOUT_THIS: &str = include_str!("README.txt");
/// Facts that one statement reads.
const PAGE: i64 = 50;
/// Parts that wait to be written.
const WAITING: usize = 8;

/// The opening, the time, the key, and the masking of an evidence document.
pub struct Request {
    pub opening: Uuid,
    pub now: Time,
    pub key: EvidenceKey,
    /// None: the bytes as they came.
    pub mask: Option<Mask>,
}

/// Makes the document in a temporary file without a name.
///
/// # Errors
/// When there is no such opening, or database or disk are away.
pub async fn collect(pool: &PgPool, request: Request) -> Result<Finished, CollectError> {
    let (parts, queue) = mpsc::channel(WAITING);
    let Request { opening, now, key, mask } = request;
    let about = About::new(opening, now, mask.is_some());
    let head = document::head(opening, about.masked);
    let writing = tokio::task::spawn_blocking(move || write(queue, &head, &key));
    let read = db::in_snapshot(pool, async move |connection: &mut PgConnection| {
        Collector { connection, parts, mask }.all(&about).await
    });
    let read = read.await;
    let written = writing.await.map_err(|error| CollectError::Disk(io::Error::other(error)))?;
    match (read, written) {
        (Err(CollectError::Disk(_)) | Ok(()), Err(error)) => Err(CollectError::Disk(error)),
        (Err(error), _) => Err(error),
        (Ok(()), Ok(finished)) => Ok(finished),
    }
}

/// Writes the parts as they come. The sender ends with None; a sender that is gone before left the document cut off.
fn write(mut queue: mpsc::Receiver<Option<Part>>, head: &str, key: &EvidenceKey) -> io::Result<Finished> {
    let mut file = BufWriter::new(tempfile::tempfile()?);
    file.write_all(head.as_bytes())?;
    let mut digests = Vec::new();
    loop {
        match queue.blocking_recv() {
            Some(Some(part)) => {
                if !digests.is_empty() {
                    file.write_all(document::BETWEEN.as_bytes())?;
                }
                digests.push(part.digest());
                file.write_all(part.line().as_bytes())?;
            }
            Some(None) => break,
            None => return Err(io::Error::other("the reading ended early")),
        }
    }
    let manifest = document::manifest(&digests);
    let signature = hex::encode(key.sign(manifest.as_bytes()));
    let public = key.public().to_pem().map_err(io::Error::other)?;
    file.write_all(document::tail(&manifest, &signature, &public).as_bytes())?;
    finished(file.into_inner().map_err(io::IntoInnerError::into_error)?, &manifest)
}

fn finished(mut file: File, manifest: &str) -> io::Result<Finished> {
    use std::io::Seek;
    let bytes = file.stream_position()?;
    file.rewind()?;
    Ok(Finished { file, bytes, manifest_sha256: hex::encode(Sha256::digest(manifest)) })
}

struct Collector<'c> {
    connection: &'c mut PgConnection,
    parts: mpsc::Sender<Option<Part>>,
    mask: Option<Mask>,
}

impl Collector<'_> {
    async fn all(&mut self, about: &About) -> Result<(), CollectError> {
        let id = about.opening_id;
        let opening = within(db::openings(self.connection, &[id])).await?.pop().ok_or(CollectError::NotFound)?;
        self.add(README, ABOUT_THIS.as_bytes().to_vec()).await?;
        self.add(ABOUT, serde_json::to_vec(about).unwrap_or_default()).await?;
        self.add(OPENING, self.opening(opening.text)).await?;
        let mut after = None;
        loop {
            let page = within(db::facts_of_opening(self.connection, id, Page { limit: PAGE, after })).await?;
            after = page.last().map(|it| it.id);
            let is_last = i64::try_from(page.len()).is_ok_and(|it| it < PAGE);
            for fact in page {
                self.fact(fact).await?;
            }
            if is_last {
                return self.send(None).await;
            }
        }
    }

    fn opening(&self, text: String) -> Vec<u8> {
        match (&self.mask, serde_json::from_str::<Value>(&text)) {
            (Some(mask), Ok(read)) => masking::opening(read, mask).to_string().into_bytes(),
            _ => text.into_bytes(),
        }
    }

    async fn fact(&mut self, fact: OpeningFact) -> Result<(), CollectError> {
        let OpeningFact { id, about, headers, body } = fact;
        let (about, headers, body) = match &self.mask {
            None => (about, headers, body),
            Some(mask) => (masking::about(about, mask), masking::value(headers, mask), masking::body(&body, mask)),
        };
        self.add(format!("facts/{id}/fact.json"), about.to_string().into_bytes()).await?;
        self.add(format!("facts/{id}/headers.json"), headers.to_string().into_bytes()).await?;
        self.add(format!("facts/{id}/body"), body).await
    }

    async fn add(&self, name: impl Into<String>, bytes: Vec<u8>) -> Result<(), CollectError> {
        self.send(Some(Part::of(name, bytes))).await
    }

    async fn send(&self, part: Option<Part>) -> Result<(), CollectError> {
        self.parts.send(part).await.map_err(|_| CollectError::Disk(io::Error::other("the writing ended")))
    }
}
