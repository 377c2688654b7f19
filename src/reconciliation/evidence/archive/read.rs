//! Reads the zip of a bundle, and names every byte that is not as the writer writes it.
//!
//! Nothing is unpacked, and no length in the file is believed beyond the file's own: a zip that claims more than it holds is refused.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use super::{END, Entry, end};
use crate::reconciliation::evidence::Finding;

/// More than a bundle ever has.
const MAX_ENTRIES: u64 = 10_000;
const MAX_NAME: usize = 200;
/// The bytes before the name in a central header, and after it.
const BEFORE_NAME: usize = 46;
const AFTER_NAME: usize = 28;

/// The name of the zip itself in findings.
pub const ZIP: &str = "zip";

/// A zip with its entries read.
pub struct Archive {
    file: File,
    pub entries: Vec<Entry>,
}

/// A range of a file as a stream.
pub struct Part<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl<'a> Part<'a> {
    pub(super) const fn new(file: &'a File, at: u64, left: u64) -> Self {
        Self { file, at, left }
    }
}

impl Read for Part<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        let read = self.file.read_at(&mut into[..most], self.at)?;
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

/// A zip with the flaws of its form. Without an archive the entries cannot be found.
pub struct Opened {
    pub archive: Option<Archive>,
    pub findings: Vec<Finding>,
}

/// # Errors
/// If the file cannot be read.
pub fn open(file: File) -> io::Result<Opened> {
    let length = file.metadata()?.len();
    let mut reader = Reader { file, findings: Vec::new() };
    let entries = reader.entries(length)?;
    let Reader { file, findings } = reader;
    Ok(Opened { archive: entries.map(|entries| Archive { file, entries }), findings })
}

impl Archive {
    /// The content of an entry.
    #[must_use]
    pub fn read(&self, entry: &Entry) -> Part<'_> {
        Part::new(&self.file, entry.content(), entry.size)
    }
}

struct Reader {
    file: File,
    findings: Vec<Finding>,
}

/// A little-endian number.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

impl Reader {
    fn found(&mut self, what: String) {
        self.findings.push(Finding::of(ZIP, what));
    }

    fn bytes(&self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }

    /// None: the end record does not say where the entries are.
    fn entries(&mut self, length: u64) -> io::Result<Option<Vec<Entry>>> {
        if length < END {
            self.found(format!("is {length} bytes long: no bundle, or the beginning of one"));
            return Ok(None);
        }
        let found = self.bytes(length - END, usize::try_from(END).unwrap_or_default())?;
        let (count, size, offset) = (number(&found[24..32]), number(&found[40..48]), number(&found[48..56]));
        self.compare("the end record", length - END, &found, &end(count, size, offset));
        if offset.checked_add(size) != Some(length - END) || count > MAX_ENTRIES || size > length {
            self.found(format!(
                "the end record speaks of {count} entries before byte {offset} and {size} bytes about them, which a file of {length} \
                 bytes does not hold: it was cut off, extended, or is no bundle"
            ));
            return Ok(None);
        }
        let entries = self.central(count, offset, size)?;
        for entry in &entries {
            let local = entry.local();
            let found = self.bytes(entry.offset, local.len())?;
            self.compare(&format!("the local header of {}", entry.name), entry.offset, &found, &local);
        }
        Ok(Some(entries))
    }

    /// Reads the central headers up to the first that leads nowhere.
    fn central(&mut self, count: u64, offset: u64, size: u64) -> io::Result<Vec<Entry>> {
        let (mut at, mut content) = (offset, 0);
        let (mut entries, mut names) = (Vec::new(), BTreeSet::new());
        for _ in 0..count {
            let Some(entry) = self.header(at, offset + size)? else { break };
            let header = entry.central();
            let found = self.bytes(at, header.len())?;
            self.compare(&format!("the central header of {}", entry.name), at, &found, &header);
            at += header.len() as u64;
            if !names.insert(entry.name.clone()) {
                self.found(format!("{} stands in it twice", entry.name));
            }
            let ends = entry.content().checked_add(entry.size).filter(|it| *it <= offset);
            if entry.offset != content || ends.is_none() {
                let Entry { name, offset, size, .. } = &entry;
                self.found(format!(
                    "{name} is said to begin at byte {offset} with {size} bytes; the entry before it ends at byte {content}"
                ));
                break;
            }
            content = ends.unwrap_or_default();
            entries.push(entry);
        }
        if content != offset || at != offset + size {
            self.found(format!(
                "bytes {content} to {offset} belong to no entry, or bytes {at} to {} to no header",
                offset + size
            ));
        }
        Ok(entries)
    }

    /// The entry of the central header at a place. None: there is none.
    fn header(&mut self, at: u64, until: u64) -> io::Result<Option<Entry>> {
        let room = until.saturating_sub(at);
        if room < (BEFORE_NAME + AFTER_NAME) as u64 {
            self.found(format!("the headers end at byte {at}, before the last entry"));
            return Ok(None);
        }
        let fixed = self.bytes(at, BEFORE_NAME)?;
        let name_length = usize::try_from(number(&fixed[28..30])).unwrap_or_default();
        if name_length > MAX_NAME || room < (BEFORE_NAME + name_length + AFTER_NAME) as u64 {
            self.found(format!("the central header at byte {at} has a name of {name_length} bytes"));
            return Ok(None);
        }
        let rest = self.bytes(at + BEFORE_NAME as u64, name_length + AFTER_NAME)?;
        let Some(name) = safe_name(&rest[..name_length]) else {
            self.found(format!(
                "the central header at byte {at} has a name that no bundle has: it may lead out of its folder"
            ));
            return Ok(None);
        };
        let extra = &rest[name_length..];
        let crc = u32::try_from(number(&fixed[16..20])).unwrap_or_default();
        Ok(Some(Entry { name, crc, size: number(&extra[4..12]), offset: number(&extra[20..28]) }))
    }

    /// Names the first byte that differs.
    fn compare(&mut self, what: &str, at: u64, found: &[u8], expected: &[u8]) {
        if let Some(place) = found.iter().zip(expected).position(|(found, expected)| found != expected) {
            let byte = at + place as u64;
            self.found(format!("{what}: byte {byte} is {:#04x}; expected {:#04x}", found[place], expected[place]));
        }
    }
}

/// A relative path of plain characters, with none of the parts that lead out of a folder.
fn safe_name(bytes: &[u8]) -> Option<String> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./".contains(byte);
    let name = std::str::from_utf8(bytes).ok().filter(|_| bytes.iter().all(is_plain))?;
    let is_part = |part: &str| !part.is_empty() && part != "." && part != "..";
    name.split('/').all(is_part).then(|| name.to_owned())
}
