//! Reads a stored report: its pieces go to a thread of their own, which parses them, and slices of rows come back.
//!
//! Both channels hold little, so memory does not grow with the file: the parser waits for the database, and the
//! database for the parser. A piece that cannot be read is an error of the reading, and no end of the file.

use std::io::{self, Read};

use sqlx::{PgConnection, PgPool};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::config::REPORT_FORMATS;
use crate::db::{self, describe, reports};
use crate::report_files::profile::Profiles;
use crate::report_files::row::{Kind, Located, Row, Statement};
use crate::report_files::{self, Ending, Expected, HeaderError, Item, OpenError, ReportError};

/// The most rows in a slice.
pub const SLICE: usize = 10_000;
/// The rows that the parser hands over at once: while slices are small, it takes no processor for more than the next one.
const PART: usize = 500;
/// Pieces of 1 MiB that one statement reads.
const AT_ONCE: i32 = 4;
/// Pieces that wait to be parsed, and parts of slices that wait to be stored.
const PIECES: usize = 1;
const PARTS: usize = SLICE / PART;

/// The next rows of a file, in its order.
#[derive(Debug, Default)]
pub struct Slice {
    pub rows: Vec<Located<Row>>,
    pub errors: Vec<ReportError>,
    /// Bank statements that ended in this slice, with what is wrong with them.
    pub statements: Vec<Statement>,
    /// The last slice has it.
    pub ending: Option<Ending>,
}

impl Slice {
    fn len(&self) -> usize {
        self.rows.len() + self.errors.len() + self.statements.len()
    }

    fn append(&mut self, next: Self) {
        self.rows.extend(next.rows);
        self.errors.extend(next.errors);
        self.statements.extend(next.statements);
        self.ending = next.ending;
    }
}

/// Why a reading ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReadingError {
    /// The bytes could not be had: the report is read again later.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The bytes are no report: it has failed for good.
    #[error("{0}")]
    Header(HeaderError),
}

/// The report's own description.
#[derive(Clone, Debug)]
pub struct Source {
    pub report: Uuid,
    pub provider: String,
    pub kind: Kind,
    pub format: String,
    pub profiles: Profiles,
}

/// A stored report that is read. Dropping it ends the reading.
pub struct Reading {
    parts: mpsc::Receiver<Result<Slice, ReadingError>>,
}

impl Reading {
    pub fn of(pool: PgPool, source: Source) -> Self {
        let (pieces, parts) = (mpsc::channel(PIECES), mpsc::channel(PARTS));
        tokio::spawn(feed(pool, source.report, pieces.0));
        tokio::task::spawn_blocking(move || parse(&source, Pieces::new(pieces.1), &parts.0));
        Self { parts: parts.1 }
    }

    /// The next slice of about so many rows. None: the reading has ended.
    ///
    /// # Errors
    /// Why it ended early.
    pub async fn next(&mut self, rows: usize) -> Result<Option<Slice>, ReadingError> {
        let Some(first) = self.parts.recv().await else { return Ok(None) };
        let mut slice = first?;
        slice.rows.reserve_exact(rows.saturating_sub(slice.rows.len()));
        while slice.len() + PART <= rows && slice.ending.is_none() {
            let Some(next) = self.parts.recv().await else { return Ok(None) };
            slice.append(next?);
        }
        Ok(Some(slice))
    }
}

async fn feed(pool: PgPool, report: Uuid, pieces: mpsc::Sender<io::Result<Vec<u8>>>) {
    let mut first = 0;
    loop {
        let read = db::once(&pool, async move |connection: &mut PgConnection| {
            reports::chunks(connection, report, first, AT_ONCE).await
        });
        let (all, is_last): (Vec<_>, bool) = match read.await {
            Ok(read) => {
                let is_last = i32::try_from(read.len()).is_ok_and(|it| it < AT_ONCE);
                (read.into_iter().chain(is_last.then(Vec::new)).map(Ok).collect(), is_last)
            }
            Err(error) => (vec![Err(io::Error::other(describe(&error)))], true),
        };
        for piece in all {
            if pieces.send(piece).await.is_err() {
                return;
            }
        }
        if is_last {
            return;
        }
        first += AT_ONCE;
    }
}

/// The pieces as one stream. An empty piece is the end; a channel that closes before is none.
struct Pieces {
    queue: mpsc::Receiver<io::Result<Vec<u8>>>,
    piece: io::Cursor<Vec<u8>>,
    ended: bool,
}

impl Pieces {
    fn new(queue: mpsc::Receiver<io::Result<Vec<u8>>>) -> Self {
        Self { queue, piece: io::Cursor::default(), ended: false }
    }
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.piece.read(into)?;
            if read > 0 || into.is_empty() || self.ended {
                return Ok(read);
            }
            let piece = self.queue.blocking_recv().unwrap_or_else(|| Err(io::Error::other("the reading was ended")))?;
            self.ended = piece.is_empty();
            self.piece = io::Cursor::new(piece);
        }
    }
}

fn parse(source: &Source, pieces: Pieces, parts: &mpsc::Sender<Result<Slice, ReadingError>>) {
    let expected = Expected {
        kind: Some(source.kind),
        provider: Some(&source.provider),
        format: Some(&source.format),
        own: REPORT_FORMATS,
        profiles: Some(&source.profiles),
    };
    let mut part = Slice::default();
    let reading = match report_files::open(pieces, &expected) {
        Ok(reading) => reading,
        Err(OpenError::Io(error)) => return drop(parts.blocking_send(Err(error.into()))),
        Err(OpenError::Header(error)) => return drop(parts.blocking_send(Err(ReadingError::Header(error)))),
    };
    for item in reading {
        let item = match item {
            Ok(item) => item,
            Err(error) => return drop(parts.blocking_send(Err(error.into()))),
        };
        // The end of the file comes with its last rows.
        let is_full = part.len() >= PART && !matches!(item, Item::End(_));
        if is_full && parts.blocking_send(Ok(std::mem::take(&mut part))).is_err() {
            return;
        }
        match item {
            Item::Row(row) => part.rows.push(*row),
            Item::Error(error) => part.errors.push(error),
            Item::Statement(statement) => part.statements.push(*statement),
            Item::End(ending) => {
                part.ending = Some(ending);
                return drop(parts.blocking_send(Ok(part)));
            }
        }
    }
}
