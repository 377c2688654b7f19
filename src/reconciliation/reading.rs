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
/// Pieces of 1 MiB that wait to be parsed, and slices that wait to be stored.
const PIECES: usize = 2;
const SLICES: usize = 1;

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
    /// Takes its first rows; with the last of them goes the rest. None: nothing is left.
    pub fn take(&mut self, rows: usize) -> Option<Self> {
        if self.rows.len() > rows {
            let rest = self.rows.split_off(rows);
            return Some(Self { rows: std::mem::replace(&mut self.rows, rest), ..Self::default() });
        }
        let is_empty = self.rows.is_empty() && self.errors.is_empty() && self.statements.is_empty();
        (!is_empty || self.ending.is_some()).then(|| std::mem::take(self))
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

/// What the report says it is.
#[derive(Clone, Debug)]
pub struct Source {
    pub report: Uuid,
    pub provider: String,
    pub kind: Kind,
    pub format: String,
    pub profiles: Profiles,
}

/// The slices of a stored report. Dropping the receiver ends the reading.
pub fn slices(pool: PgPool, source: Source) -> mpsc::Receiver<Result<Slice, ReadingError>> {
    let (pieces, parsed) = (mpsc::channel(PIECES), mpsc::channel(SLICES));
    tokio::spawn(feed(pool, source.report, pieces.0));
    tokio::task::spawn_blocking(move || parse(&source, Pieces::new(pieces.1), &parsed.0));
    parsed.1
}

async fn feed(pool: PgPool, report: Uuid, pieces: mpsc::Sender<io::Result<Vec<u8>>>) {
    for n in 0.. {
        let read =
            db::once(&pool, async move |connection: &mut PgConnection| reports::chunk(connection, report, n).await);
        let piece = match read.await {
            Ok(Some(piece)) => Ok(piece),
            Ok(None) => Ok(Vec::new()),
            Err(error) => Err(io::Error::other(describe(&error))),
        };
        let is_last = !matches!(&piece, Ok(bytes) if !bytes.is_empty());
        if pieces.send(piece).await.is_err() || is_last {
            return;
        }
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

fn parse(source: &Source, pieces: Pieces, slices: &mpsc::Sender<Result<Slice, ReadingError>>) {
    let expected = Expected {
        kind: Some(source.kind),
        provider: Some(&source.provider),
        format: Some(&source.format),
        own: REPORT_FORMATS,
        profiles: Some(&source.profiles),
    };
    let mut slice = Slice::default();
    let reading = match report_files::open(pieces, &expected) {
        Ok(reading) => reading,
        Err(OpenError::Io(error)) => return drop(slices.blocking_send(Err(error.into()))),
        Err(OpenError::Header(error)) => return drop(slices.blocking_send(Err(ReadingError::Header(error)))),
    };
    for item in reading {
        match item {
            Ok(Item::Row(row)) => slice.rows.push(*row),
            Ok(Item::Error(error)) => slice.errors.push(error),
            Ok(Item::Statement(statement)) => slice.statements.push(*statement),
            Ok(Item::End(ending)) => slice.ending = Some(ending),
            Err(error) => return drop(slices.blocking_send(Err(error.into()))),
        }
        let is_full = slice.rows.len() + slice.errors.len() + slice.statements.len() >= SLICE;
        if (is_full || slice.ending.is_some()) && slices.blocking_send(Ok(std::mem::take(&mut slice))).is_err() {
            return;
        }
    }
}
