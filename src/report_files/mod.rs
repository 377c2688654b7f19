//! Report files: parses a file into canonical rows, one error per bad row, and an [`Ending`] that says whether the file is complete.
//!
//! A bank's own format is a [`Format`] in its adapter's folder; [`profile`]s describe others as data.
//!
//! The caller pulls items: [`open`] reads the header from any [`Read`] of decoded bytes, and each [`Item`] after it reads as much as it
//! needs, in bounded memory. The same bytes give the same items, so a reader that starts again skips what it has stored.

pub(crate) mod body;
mod camt;
pub(crate) mod csv;
pub mod date;
pub mod error;
pub(crate) mod fields;
pub mod framed;
pub mod number;
pub mod profile;
mod records;
pub mod row;
pub(crate) mod source;
mod tally;

use std::fmt::Debug;
use std::io::{self, Read};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::camt::CAMT;
pub use self::error::{Code, HeaderError, Problem, ReportError};
use self::framed::PULLED;
use self::profile::{Profile, Profiles, Table};
use self::row::{Header, Kind, Located, Row, Statement};
use self::source::Source;
pub use self::tally::Sum;

/// The bytes of a file that suffice for [`sniff`].
pub const SNIFF_BYTES: usize = 64 * 1024;

/// The name of the format in which the service writes the lists that it pulls.
pub const PULL: &str = "pull";

/// A format that code reads.
pub trait Format: Send + Sync + Debug {
    /// Its name in requests and rows: of a bank's own format, the provider's name.
    fn name(&self) -> &'static str;

    /// Whether a file that begins like this is one of this format. The service asks where a request names no format. A format that
    /// its files do not show answers no; the service then goes by the provider's name.
    fn begins(&self, _head: &[u8]) -> bool {
        false
    }

    /// Reads up to the first row. A header that contradicts the request is refused ([`Expected::agrees_with`]).
    fn open<'r>(&self, source: Input<'r>, expected: &Expected<'_>) -> Result<File<'r>, OpenError>;
}

/// The decoded bytes of a file.
pub type Input<'r> = Source<Box<dyn Read + Send + 'r>>;

/// The header of a file, and what follows.
pub type File<'r> = (Header, Box<dyn Items + 'r>);

/// The claims of the request, or of the command line, about a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected<'a> {
    pub kind: Option<Kind>,
    pub provider: Option<&'a str>,
    /// A bank's own (its name), `camt`, `pull` or a profile, where the file does not show its format.
    pub format: Option<&'a str>,
    /// The formats of the banks.
    pub own: &'a [&'static dyn Format],
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

/// The conclusions from a file that was read to its end.
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
    /// The trailer's count and sums, right or wrong.
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
pub trait Items: Iterator<Item = io::Result<Item>> + Send {
    /// The counts before the bytes could not be read any more.
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

    /// A bank's own (its name), `camt`, `pull`, or a profile's name.
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
    let source = Source::new(Box::new(read) as Box<dyn Read + Send + 'r>)?;
    refuse_archives(source.head())?;
    match expected.reader(source.head())? {
        Reader::Code(format) => {
            let (header, items) = format.open(source, expected)?;
            Ok(Reading { header, format: format.name().to_owned(), profile: None, items, is_over: false })
        }
        Reader::Profile(profile) => {
            let (header, items) = Table::open(source, Arc::clone(&profile), expected)?;
            let (format, items) = (profile.name.clone(), Box::new(items));
            Ok(Reading { header, format, profile: Some(profile), items, is_over: false })
        }
    }
}

enum Reader {
    Code(&'static dyn Format),
    Profile(Arc<Profile>),
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
    /// The formats that code reads.
    fn coded(&self) -> impl Iterator<Item = &'static dyn Format> {
        self.own.iter().copied().chain([&CAMT as &dyn Format, &PULLED])
    }

    /// The reader of a file that begins like this.
    fn reader(&self, head: &[u8]) -> Result<Reader, HeaderError> {
        let unknown = |found: &str| {
            let detail = format!("found {found}; expected one of {}", self.formats().join(", "));
            HeaderError::new(1, Code::UnknownFormat, detail)
        };
        let Some(format) = self.format else {
            return self.seen(head).map(Reader::Code).ok_or_else(|| unknown("a file that does not show its format"));
        };
        if let Some(coded) = self.coded().find(|it| it.name() == format) {
            return Ok(Reader::Code(coded));
        }
        let profile = self.profiles.and_then(|it| it.get(format)).map(Reader::Profile);
        profile.ok_or_else(|| unknown(&format!("the format {}", error::shown(format))))
    }

    /// The format that the file shows, else the provider's own. Else the first one: its refusal says what was found and expected.
    fn seen(&self, head: &[u8]) -> Option<&'static dyn Format> {
        let own = || self.own.iter().copied().find(|it| Some(it.name()) == self.provider);
        self.coded().find(|it| it.begins(head)).or_else(own).or_else(|| self.own.first().copied())
    }

    /// The names of all formats.
    #[must_use]
    pub fn formats(&self) -> Vec<&str> {
        let coded = self.coded().map(|it| -> &str { it.name() });
        coded.chain(self.profiles.into_iter().flat_map(Profiles::names)).collect()
    }

    /// Refuses a header that contradicts the request.
    pub fn agrees_with(&self, header: &Header, line: u64) -> Result<(), HeaderError> {
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

#[cfg(test)]
mod tests;
