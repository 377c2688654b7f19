//! Stores a report as it comes, before it is read.
//!
//! The body goes to a temporary file first, decompressed, bounded and hashed on the way, and then into the database in one commit.
//! So a transaction never waits for a sender, and an upload that breaks off leaves nothing. The same bytes again are the same
//! report.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use flate2::read;
use flate2::write::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use tokio::sync::mpsc;
use tokio::time::sleep;
use uuid::Uuid;

use crate::db::reports::{self, CHUNK, NewReport};
use crate::report_files::{HeaderError, SNIFF_BYTES};

/// Decompressed bytes that a compressed one may become, beyond the first MiB: text of this kind stays below fifty.
const RATIO: u64 = 200;
/// Parts of the body that wait to be written.
pub const WAITING: usize = 8;
/// An upload rests after each piece that it stored: so many times as long as the statement took, and at most for [`LONGEST_REST`], because
/// a gigabyte must fit the time limit of its commit. Postgres flushes the log of the piece with the commit of the next webhook, so without
/// rests a large upload makes each webhook wait for the disk.
const REST: u32 = 4;
const LONGEST_REST: Duration = Duration::from_millis(50);

/// A report as it was received, in a temporary file.
#[derive(Debug)]
pub struct Received {
    file: File,
    pub bytes: u64,
    pub sha256: [u8; 32],
    /// The beginning, which shows what it is.
    pub head: Vec<u8>,
}

/// Why a body could not be received.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// Over `REPORT_MAX_BYTES`, or compressed more than text is.
    #[error("{0}")]
    TooLarge(String),
    /// Not what its `Content-Encoding` says.
    #[error("the body is not gzip, or its end is missing")]
    NotGzip,
    /// The sender went away.
    #[error("the upload broke off")]
    BrokeOff,
    /// Its beginning shows that it cannot be read.
    #[error("{0}")]
    Header(HeaderError),
    #[error("the report cannot be kept in a temporary file: {0}")]
    Disk(io::Error),
}

/// How a body is received.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub is_gzip: bool,
    pub max_bytes: u64,
}

impl Bounds {
    /// The most bytes that so many compressed ones may become.
    fn limit(self, compressed: u64) -> u64 {
        let by_ratio = (CHUNK as u64).saturating_add(compressed.saturating_mul(RATIO));
        if self.is_gzip { self.max_bytes.min(by_ratio) } else { self.max_bytes }
    }

    /// In words, that a limit was exceeded.
    fn told(self, limit: u64) -> String {
        if limit < self.max_bytes {
            return format!("compressed more than {RATIO} to 1, which no report is");
        }
        format!("over REPORT_MAX_BYTES = {limit} bytes")
    }
}

/// A file's bytes, decompressed, which end with an error where an upload would be refused.
pub struct Bounded<R> {
    bytes: Unpacked<R>,
    bounds: Bounds,
    read: u64,
}

enum Unpacked<R> {
    Plain(R),
    Gzip(Box<read::MultiGzDecoder<Counted<R>>>),
}

/// Compressed bytes, counted.
struct Counted<R> {
    file: R,
    read: u64,
}

impl<R: Read> Bounded<R> {
    pub fn new(file: R, bounds: Bounds) -> Self {
        let gzip = |file| Unpacked::Gzip(Box::new(read::MultiGzDecoder::new(Counted { file, read: 0 })));
        let bytes = if bounds.is_gzip { gzip(file) } else { Unpacked::Plain(file) };
        Self { bytes, bounds, read: 0 }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let (read, compressed) = match &mut self.bytes {
            Unpacked::Plain(file) => (file.read(into)?, 0),
            Unpacked::Gzip(decoder) => (decoder.read(into)?, decoder.get_ref().read),
        };
        self.read += read as u64;
        let limit = self.bounds.limit(compressed);
        if self.read > limit { Err(io::Error::other(self.bounds.told(limit))) } else { Ok(read) }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        self.read += read as u64;
        Ok(read)
    }
}

/// A look at the beginning of a file, once there are [`SNIFF_BYTES`] of it.
pub type Look = Box<dyn Fn(&[u8]) -> Result<(), HeaderError> + Send>;

/// Writes the parts of a body to a temporary file. Blocking: run it on a thread of its own. An empty part is the end of the body;
/// a channel that closes before it is an upload that broke off.
pub fn receive(mut parts: mpsc::Receiver<Vec<u8>>, bounds: Bounds, look: Look) -> Result<Received, ReceiveError> {
    let mut spool = Spool::new(bounds.max_bytes, look).map_err(ReceiveError::Disk)?;
    if bounds.is_gzip {
        let mut decoder = MultiGzDecoder::new(spool);
        let mut compressed = 0_u64;
        loop {
            let part = parts.blocking_recv().ok_or(ReceiveError::BrokeOff)?;
            if part.is_empty() {
                break;
            }
            compressed += part.len() as u64;
            decoder.get_mut().limit = bounds.limit(compressed);
            let written = decoder.write_all(&part);
            written.map_err(|error| decoder.get_mut().refusal(error, bounds, ReceiveError::NotGzip))?;
        }
        decoder.try_finish().map_err(|error| decoder.get_mut().refusal(error, bounds, ReceiveError::NotGzip))?;
        spool = decoder.finish().map_err(|_| ReceiveError::NotGzip)?;
    } else {
        loop {
            let part = parts.blocking_recv().ok_or(ReceiveError::BrokeOff)?;
            if part.is_empty() {
                break;
            }
            if let Err(error) = spool.write_all(&part) {
                let disk = ReceiveError::Disk(io::Error::from(error.kind()));
                return Err(spool.refusal(error, bounds, disk));
            }
        }
    }
    spool.received()
}

/// The temporary file with what is known of its content.
struct Spool {
    file: File,
    hash: Sha256,
    head: Vec<u8>,
    look: Look,
    /// The beginning is no report. The rest is neither kept nor hashed, only counted: a gigabyte of zeros would take seconds of a processor,
    /// and the disk from all other work.
    refused: Option<HeaderError>,
    bytes: u64,
    limit: u64,
    over: Option<u64>,
}

impl Write for Spool {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.bytes += part.len() as u64;
        if self.bytes > self.limit {
            self.over = Some(self.limit);
            return Err(io::Error::other("over the limit"));
        }
        if self.refused.is_some() {
            return Ok(part.len());
        }
        self.file.write_all(part)?;
        self.hash.update(part);
        let missing = SNIFF_BYTES.saturating_sub(self.head.len());
        self.head.extend_from_slice(&part[..part.len().min(missing)]);
        if (1..=part.len()).contains(&missing) {
            self.refused = (self.look)(&self.head).err();
        }
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Spool {
    fn new(limit: u64, look: Look) -> io::Result<Self> {
        let file = tempfile::tempfile()?;
        Ok(Self { file, hash: Sha256::new(), head: Vec::new(), look, refused: None, bytes: 0, limit, over: None })
    }

    fn refusal(&self, error: io::Error, bounds: Bounds, otherwise: ReceiveError) -> ReceiveError {
        match self.over {
            Some(limit) => ReceiveError::TooLarge(bounds.told(limit)),
            None if error.kind() == io::ErrorKind::StorageFull => ReceiveError::Disk(error),
            None => otherwise,
        }
    }

    fn received(mut self) -> Result<Received, ReceiveError> {
        if let Some(error) = self.refused {
            return Err(ReceiveError::Header(error));
        }
        self.file.seek(SeekFrom::Start(0)).map_err(ReceiveError::Disk)?;
        Ok(Received { file: self.file, bytes: self.bytes, sha256: self.hash.finalize().into(), head: self.head })
    }
}

impl Received {
    /// A received file of bytes that the service wrote itself.
    ///
    /// # Errors
    /// If there is no room for a temporary file.
    pub fn of(bytes: &[u8]) -> Result<Self, ReceiveError> {
        let mut spool = Spool::new(u64::MAX, Box::new(|_| Ok(()))).map_err(ReceiveError::Disk)?;
        spool.write_all(bytes).map_err(ReceiveError::Disk)?;
        spool.received()
    }

    /// Stores the report and its bytes, in the caller's transaction. The report that holds the same bytes, if there is one, is
    /// returned with `false`.
    ///
    /// # Errors
    /// The database's, or the temporary file's.
    pub async fn store(&self, connection: &mut PgConnection, report: &NewReport) -> sqlx::Result<(Uuid, bool)> {
        let Some(id) = reports::insert(connection, report).await? else {
            let same = reports::same(connection, &report.provider, &report.kind, &report.sha256).await?;
            return Ok((same.ok_or(sqlx::Error::RowNotFound)?, false));
        };
        self.store_chunks(connection, id).await?;
        Ok((id, true))
    }

    /// Stores the bytes of a report that is stored, in the caller's transaction, with rests.
    ///
    /// # Errors
    /// As [`Received::store`].
    pub async fn store_chunks(&self, connection: &mut PgConnection, report: Uuid) -> sqlx::Result<()> {
        for n in 0.. {
            let chunk = self.chunk(n).map_err(sqlx::Error::Io)?;
            if chunk.is_empty() {
                break;
            }
            let (began, is_last) = (Instant::now(), chunk.len() < CHUNK);
            reports::insert_chunks(connection, report, n, &[chunk]).await?;
            if !is_last {
                sleep((began.elapsed() * REST).min(LONGEST_REST)).await;
            }
        }
        Ok(())
    }

    /// A piece of the file, empty after the last. Copying more of them in one go would hold up the requests that share the thread.
    fn chunk(&self, n: i32) -> io::Result<Vec<u8>> {
        let mut file = &self.file;
        let place = u64::try_from(n).unwrap_or_default() * CHUNK as u64;
        file.seek(SeekFrom::Start(place))?;
        let mut chunk = Vec::with_capacity(CHUNK);
        file.take(CHUNK as u64).read_to_end(&mut chunk)?;
        Ok(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report_files::Code;

    #[test]
    fn the_rest_of_a_file_whose_beginning_is_no_report_is_counted_and_not_kept() {
        let part = vec![0; SNIFF_BYTES];
        let look: Look = Box::new(|_| Err(HeaderError::new(1, Code::HeaderNotUnderstood, "")));
        let mut spool = Spool::new(3 * SNIFF_BYTES as u64, look).unwrap();
        spool.write_all(&part[1..]).unwrap();
        assert_eq!(spool.refused, None, "a byte is missing to the look");
        for _ in 0..2 {
            spool.write_all(&part).unwrap();
        }
        assert_eq!(spool.file.metadata().unwrap().len(), 2 * SNIFF_BYTES as u64 - 1);
        assert!(spool.write_all(&[0; 2]).is_err(), "it is over the limit all the same");
        assert!(matches!(spool.received(), Err(ReceiveError::Header(_))));
    }
}
