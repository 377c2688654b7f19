//! Reads what belongs to a report, in one snapshot of the database, and sends it to the thread that writes the bundle.
//!
//! The channel holds little, so memory does not grow with the report: reading waits for the disk. Only the ids of the openings and of
//! the expected fees that the report names are kept, 16 bytes each. Nothing is written to the database.

use std::fs::File;
use std::io;

use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::bag::About;
use super::bundle::{Bundle, Finished};
use super::lines;
use crate::clock::Time;
use crate::db::evidence::{self as db, Booked, Charged, Line, Opening, RowLine, within};
use crate::db::{Page, reports};
use crate::domain::signature::EvidenceKey;

const README: &str = include_str!("README.txt");
/// Lines that one statement reads.
const PAGE: i64 = 1_000;
/// Pieces that wait to be written.
const WAITING: usize = 4;

/// Why there is no evidence.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    #[error("not found")]
    NotFound,
    #[error("the report is not read to its end yet")]
    Unfinished,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("the evidence cannot be kept in a temporary file: {0}")]
    Disk(io::Error),
}

/// A part of a bundle.
enum Piece {
    Begin(String),
    Bytes(Vec<u8>),
    End,
    /// The bundle is whole.
    Done,
}

/// Makes the bundle of a report, in a temporary file without a name.
pub async fn collect(pool: &PgPool, report: Uuid, now: Time, key: EvidenceKey) -> Result<Finished, CollectError> {
    let (pieces, queue) = mpsc::channel(WAITING);
    let about = About { id: report.to_string(), made_at: now };
    let writing = tokio::task::spawn_blocking(move || write(queue, about, &key));
    let read = db::in_snapshot(pool, async move |connection: &mut PgConnection| {
        let mut collector = Collector { connection, report, pieces, openings: Vec::new(), ledger: Vec::new() };
        collector.all(now).await
    });
    let read = read.await;
    let written = writing.await.map_err(|error| CollectError::Disk(io::Error::other(error)))?;
    // A disk that is full ends the reading, too: then its error is the cause.
    match (read, written) {
        (Err(CollectError::Disk(_)) | Ok(()), Err(error)) => Err(CollectError::Disk(error)),
        (Err(error), _) => Err(error),
        (Ok(()), Ok(finished)) => Ok(finished),
    }
}

fn write(mut queue: mpsc::Receiver<Piece>, about: About, key: &EvidenceKey) -> io::Result<Finished> {
    let file: File = tempfile::tempfile()?;
    let mut bundle = Bundle::new(file, about);
    loop {
        match queue.blocking_recv() {
            Some(Piece::Begin(name)) => bundle.begin(&name)?,
            Some(Piece::Bytes(bytes)) => bundle.write(&bytes)?,
            Some(Piece::End) => bundle.end()?,
            Some(Piece::Done) => return bundle.finish(key),
            None => return Err(io::Error::other("the reading ended early")),
        }
    }
}

struct Collector<'c> {
    connection: &'c mut PgConnection,
    report: Uuid,
    pieces: mpsc::Sender<Piece>,
    /// Those that rows and mismatches name.
    openings: Vec<Uuid>,
    /// Lines of the ledger that the report's own refer to.
    ledger: Vec<Uuid>,
}

/// A line that knows where its file goes on.
trait Keyed {
    type Key;
    fn split(self) -> (Self::Key, String);

    /// The opening that it names.
    fn opening(&self) -> Option<Uuid> {
        None
    }

    /// The lines of the ledger that it names.
    fn ledger(&self) -> Vec<Uuid> {
        Vec::new()
    }
}

impl<K> Keyed for Line<K> {
    type Key = K;
    fn split(self) -> (K, String) {
        (self.key, self.text)
    }
}

impl Keyed for RowLine {
    type Key = i64;
    fn split(self) -> (i64, String) {
        (self.key, self.text)
    }

    fn opening(&self) -> Option<Uuid> {
        self.opening_id
    }
}

impl Keyed for Charged {
    type Key = i64;
    fn split(self) -> (i64, String) {
        (self.key, self.text)
    }

    fn ledger(&self) -> Vec<Uuid> {
        self.ledger.clone()
    }
}

impl Keyed for Opening {
    type Key = Uuid;
    fn split(self) -> (Uuid, String) {
        (self.key, self.text)
    }

    fn opening(&self) -> Option<Uuid> {
        self.opening_id
    }
}

impl Keyed for Booked {
    type Key = Uuid;
    fn split(self) -> (Uuid, String) {
        (self.key, self.text)
    }

    fn ledger(&self) -> Vec<Uuid> {
        self.settles.into_iter().collect()
    }
}

impl Collector<'_> {
    async fn all(&mut self, now: Time) -> Result<(), CollectError> {
        let report = within(db::report(self.connection, self.report)).await?.ok_or(CollectError::NotFound)?;
        if matches!(report["state"].as_str(), Some("received" | "reading")) {
            return Err(CollectError::Unfinished);
        }
        self.file(lines::README, README.as_bytes().to_vec()).await?;
        self.file(lines::REPORT, facts(&report, now)).await?;
        self.raw(report["format"].as_str().unwrap_or_default()).await?;
        self.profile(&report).await?;
        self.lines(lines::REDACTIONS, db::redactions).await?;
        self.lines(lines::ROWS, db::rows).await?;
        self.lines(lines::ERRORS, db::errors).await?;
        self.lines(lines::MISMATCHES, db::mismatches).await?;
        self.lines(lines::FACTS, db::facts).await?;
        self.lines(lines::ACTS, db::acts).await?;
        self.lines(lines::CHARGE_LINES, db::charge_lines).await?;
        self.ledger().await?;
        self.openings().await?;
        self.send(Piece::Done).await
    }

    async fn send(&self, piece: Piece) -> Result<(), CollectError> {
        let gone = |_| CollectError::Disk(io::Error::other("the writing ended"));
        self.pieces.send(piece).await.map_err(gone)
    }

    async fn file(&self, name: &str, bytes: Vec<u8>) -> Result<(), CollectError> {
        self.send(Piece::Begin(name.to_owned())).await?;
        self.send(Piece::Bytes(bytes)).await?;
        self.send(Piece::End).await
    }

    async fn raw(&mut self, format: &str) -> Result<(), CollectError> {
        self.send(Piece::Begin(lines::raw(format).to_owned())).await?;
        for n in 0.. {
            match within(reports::chunk(self.connection, self.report, n)).await? {
                Some(bytes) => self.send(Piece::Bytes(bytes)).await?,
                None => break,
            }
        }
        self.send(Piece::End).await
    }

    async fn profile(&mut self, report: &Value) -> Result<(), CollectError> {
        let Some(sha256) = report["profile_sha256"].as_str().and_then(|it| hex::decode(it).ok()) else { return Ok(()) };
        match within(db::profile(self.connection, &sha256)).await? {
            Some(text) => self.file(lines::PROFILE, text.into_bytes()).await,
            None => Ok(()),
        }
    }

    /// A file of lines.
    async fn lines<L: Keyed<Key: Copy>>(
        &mut self,
        name: &str,
        read: impl AsyncFn(&mut PgConnection, Uuid, Page<L::Key>) -> sqlx::Result<Vec<L>>,
    ) -> Result<(), CollectError> {
        self.send(Piece::Begin(name.to_owned())).await?;
        self.pages(read).await?;
        self.send(Piece::End).await
    }

    /// Lines page by page. The openings and ledger lines that they name are kept.
    async fn pages<L: Keyed<Key: Copy>>(
        &mut self,
        read: impl AsyncFn(&mut PgConnection, Uuid, Page<L::Key>) -> sqlx::Result<Vec<L>>,
    ) -> Result<(), CollectError> {
        let mut after = None;
        loop {
            let page = within(read(self.connection, self.report, Page { limit: PAGE, after })).await?;
            self.openings.extend(page.iter().filter_map(Keyed::opening));
            self.ledger.extend(page.iter().flat_map(Keyed::ledger));
            let (last, is_last) = self.page(page).await?;
            after = last;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Sends lines. The key of the last of them, and whether no page follows.
    async fn page<L: Keyed<Key: Copy>>(&self, page: Vec<L>) -> Result<(Option<L::Key>, bool), CollectError> {
        let is_last = i64::try_from(page.len()).is_ok_and(|it| it < PAGE);
        let (mut bytes, mut last) = (Vec::new(), None);
        for line in page {
            let (key, text) = line.split();
            last = Some(key);
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(b'\n');
        }
        self.send(Piece::Bytes(bytes)).await?;
        Ok((last, is_last))
    }

    /// The lines that the report's rows caused, those that they refer to, and the price lists of expected fees.
    async fn ledger(&mut self) -> Result<(), CollectError> {
        self.send(Piece::Begin(lines::LEDGER.to_owned())).await?;
        self.pages(db::ledger).await?;
        let (mut ids, mut lists) = (std::mem::take(&mut self.ledger), Vec::new());
        distinct(&mut ids);
        for ids in ids.chunks(usize::try_from(PAGE).unwrap_or(1)) {
            let page = within(db::beside(self.connection, self.report, ids)).await?;
            lists.extend(page.iter().filter_map(|it| it.price_list.clone()));
            distinct(&mut lists);
            self.page(page).await?;
        }
        self.send(Piece::End).await?;
        for sha256 in lists {
            if let Some(text) = within(db::price_list(self.connection, &sha256)).await? {
                self.file(&lines::price_list(&sha256), text.into_bytes()).await?;
            }
        }
        Ok(())
    }

    async fn openings(&mut self) -> Result<(), CollectError> {
        self.send(Piece::Begin(lines::OPENINGS.to_owned())).await?;
        let mut openings = std::mem::take(&mut self.openings);
        distinct(&mut openings);
        for ids in openings.chunks(usize::try_from(PAGE).unwrap_or(1)) {
            let page = within(db::openings(self.connection, ids)).await?;
            self.page(page).await?;
        }
        self.send(Piece::End).await
    }
}

fn distinct<T: Ord>(all: &mut Vec<T>) {
    all.sort_unstable();
    all.dedup();
}

/// `report.json`.
fn facts(report: &Value, now: Time) -> Vec<u8> {
    let mut facts = json!({
        "form": lines::FORM,
        "software": concat!("account-opening ", env!("CARGO_PKG_VERSION")),
        "made_at": now,
    });
    if let (Some(facts), Some(report)) = (facts.as_object_mut(), report.as_object()) {
        facts.extend(report.clone());
    }
    serde_json::to_vec_pretty(&facts).unwrap_or_default()
}
