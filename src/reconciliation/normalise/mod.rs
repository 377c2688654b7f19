//! Parses a report file into canonical rows, one error per bad row, and an [`Ending`] that says whether the file is complete.
//!
//! The caller pulls items: [`open`] reads the header from any [`Read`] of decoded bytes, and each [`Item`] after it reads as much as it
//! needs, in bounded memory. The same bytes give the same items, so a reader that starts again skips what it has stored.

mod body;
mod camt;
mod csv;
pub mod date;
pub mod error;
mod fields;
mod nexusbank;
pub mod number;
pub mod profile;
mod records;
pub mod row;
mod source;
mod tally;

use std::io::{self, Read};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::camt::Camt;
pub use self::error::{Code, HeaderError, Problem, ReportError};
use self::nexusbank::NexusBank;
pub use self::nexusbank::{register_columns, verdict as register_verdict};
use self::profile::{Profile, Profiles, Table};
use self::row::{Header, Kind, Located, Row, Statement};
use self::source::Source;
pub use self::tally::Sum;

/// The bytes of a file that suffice for [`sniff`].
pub const SNIFF_BYTES: usize = 64 * 1024;

/// The formats beside profiles.
const NEXUSBANK: &str = "nexusbank";
const CAMT: &str = "camt";
/// A register in `NexusBank`'s form that the service has made of a provider's list.
pub const PULL: &str = "pull";

/// What the request, or the command line, says about a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected<'a> {
    pub kind: Option<Kind>,
    pub provider: Option<&'a str>,
    /// `nexusbank`, `camt`, `pull` or a profile, where it cannot be seen.
    pub format: Option<&'a str>,
    pub profiles: Option<&'a Profiles>,
}

/// The next thing in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    Row(Box<Located<Row>>),
    /// A bad row, or an error of the file's frame.
    Error(ReportError),
    /// The end of a bank statement, after its rows.
    Statement(Box<Statement>),
    /// The last item.
    End(Ending),
}

/// What may be concluded from a file that was read to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// Why nothing may be concluded from what is absent, and no sum be checked; absent if the file is complete.
    pub incomplete: Option<String>,
    /// Why the file must not be used at all, although its beginning could be read.
    pub failed: Option<HeaderError>,
    /// Bad ones included.
    pub rows: u64,
    pub bad_rows: u64,
    /// Of good rows, per currency, without settlements.
    pub sums: Vec<Sum>,
    /// What the trailer says, right or wrong.
    pub stated: Option<Stated>,
}

/// Count and sums that a file states about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stated {
    pub rows: Option<u64>,
    pub sums: Vec<Sum>,
}

/// Why a file with a bad row is incomplete.
const BAD_ROW: &str = "a row is bad";

impl Ending {
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.incomplete.is_none() && self.failed.is_none()
    }

    /// Whether it would be complete without its bad rows.
    #[must_use]
    pub fn is_complete_but_for_bad_rows(&self) -> bool {
        self.failed.is_none() && self.incomplete.as_deref().is_none_or(|why| why == BAD_ROW)
    }
}

/// Why a file cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The bytes could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The bytes are not a file of this format.
    #[error(transparent)]
    Header(#[from] HeaderError),
}

/// A file, after its header.
pub struct Reading<'r> {
    header: Header,
    format: String,
    profile: Option<Arc<Profile>>,
    items: Box<dyn Items + 'r>,
    is_over: bool,
}

/// The items of a file in one format.
trait Items: Iterator<Item = io::Result<Item>> + Send {
    /// What was counted before the bytes could not be read any more.
    fn so_far(&self) -> Ending;
}

impl Reading<'_> {
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The profile that reads the file.
    #[must_use]
    pub fn profile(&self) -> Option<&Profile> {
        self.profile.as_deref()
    }

    /// `nexusbank`, `camt`, `pull`, or a profile's name.
    #[must_use]
    pub fn format(&self) -> &str {
        &self.format
    }

    /// Counts and sums of what was read, for a file that cannot be read to its end.
    #[must_use]
    pub fn so_far(&self) -> Ending {
        self.items.so_far()
    }
}

impl Iterator for Reading<'_> {
    type Item = io::Result<Item>;

    fn next(&mut self) -> Option<Self::Item> {
        // A reader may end the file at a row that it cannot take.
        let item = if self.is_over { None } else { self.items.next() };
        self.is_over = !matches!(item, Some(Ok(ref it)) if !matches!(it, Item::End(_)));
        item
    }
}

/// Reads the header of a file. `read` gives the file's own bytes: a compressed transfer is decompressed before.
pub fn open<'r>(read: impl Read + Send + 'r, expected: &Expected<'_>) -> Result<Reading<'r>, OpenError> {
    let source = Source::new(read)?;
    refuse_archives(source.head())?;
    let format = expected.format.unwrap_or_else(|| if camt::is_xml(source.head()) { CAMT } else { NEXUSBANK });
    let profile = expected.profile(format)?;
    let (header, items): (Header, Box<dyn Items + 'r>) = match (&profile, format) {
        (Some(profile), _) => boxed(Table::open(source, Arc::clone(profile), expected)?),
        (None, CAMT) => boxed(Camt::open(source, expected)?),
        (None, PULL) => boxed(NexusBank::open_list(source, expected)?),
        (None, _) => boxed(NexusBank::open(source, expected)?),
    };
    Ok(Reading { header, format: format.to_owned(), profile, items, is_over: false })
}

fn boxed<'r>((header, items): (Header, impl Items + 'r)) -> (Header, Box<dyn Items + 'r>) {
    (header, Box::new(items))
}

/// Reads format and header from the first [`SNIFF_BYTES`] of a file, to refuse it before the rest has come.
pub fn sniff(first: &[u8], expected: &Expected<'_>) -> Result<(String, Header), HeaderError> {
    match open(first, expected) {
        Ok(reading) => Ok((reading.format, reading.header)),
        Err(OpenError::Header(error)) => Err(error),
        Err(OpenError::Io(error)) => Err(HeaderError::new(1, Code::HeaderNotUnderstood, error.to_string())),
    }
}

fn refuse_archives(head: &[u8]) -> Result<(), HeaderError> {
    let refused = |code, detail: &str| Err(HeaderError::new(1, code, detail));
    match head {
        [b'P', b'K', 3 | 5, ..] => refused(Code::Zip, "found a zip archive; unpack it and send the file within"),
        [0x1f, 0x8b, ..] => {
            refused(Code::Gzip, "found gzip; send it with Content-Encoding: gzip, or decompress it before")
        }
        _ => Ok(()),
    }
}

impl Expected<'_> {
    /// The profile of a format. None: the format is a program.
    fn profile(&self, format: &str) -> Result<Option<Arc<Profile>>, HeaderError> {
        if matches!(format, CAMT | NEXUSBANK | PULL) {
            return Ok(None);
        }
        let profile = self.profiles.and_then(|it| it.get(format));
        let known = self.formats().join(", ");
        let unknown = || format!("found the format {}; expected one of {known}", error::shown(format));
        profile.map(Some).ok_or_else(|| HeaderError::new(1, Code::UnknownFormat, unknown()))
    }

    /// The names of all formats.
    #[must_use]
    pub fn formats(&self) -> Vec<&str> {
        [NEXUSBANK, CAMT, PULL].into_iter().chain(self.profiles.into_iter().flat_map(Profiles::names)).collect()
    }

    /// Refuses a header that contradicts the request.
    fn agrees_with(&self, header: &Header, line: u64) -> Result<(), HeaderError> {
        let contradicts = |what: &str, found: &str, expected: &str| {
            let detail = format!("the file is for {what} {}; the request says {expected}", error::shown(found));
            Err(HeaderError::new(line, Code::ContradictsRequest, detail))
        };
        match (self.kind, self.provider) {
            (Some(kind), _) if kind != header.kind => contradicts("kind", header.kind.as_str(), kind.as_str()),
            (_, Some(provider)) if provider != header.provider => contradicts("provider", &header.provider, provider),
            _ => Ok(()),
        }
    }
}
