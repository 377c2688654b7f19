//! Records of a CSV file (RFC 4180), one at a time, each with its place.
//!
//! A record that is wrong in itself is told as such, and the next one begins at the next line break outside quotes. A quote that is
//! never closed, or a record beyond the bounds, ends the reading: where the next record begins is then a guess.

use std::io::{self, BufRead as _, Read};

use super::error::{Code, Problem};
use super::source::{Encoding, Source, line_breaks};

pub const MAX_RECORD: usize = 64 * 1024;
pub const MAX_FIELDS: usize = 200;

/// The special characters of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    pub delimiter: u8,
    pub quote: u8,
}

impl Dialect {
    pub const RFC_4180: Self = Self { delimiter: b',', quote: b'"' };
}

/// The last record that was read.
#[derive(Debug, Default)]
pub struct Record {
    pub line: u64,
    pub byte: u64,
    /// In bytes of the file, without the line break.
    pub len: u64,
    text: String,
    /// Where each field ends in `text`.
    ends: Vec<usize>,
    /// Why the record cannot be used.
    pub flaw: Option<Problem>,
}

impl Record {
    /// The number of fields.
    pub fn width(&self) -> usize {
        self.ends.len()
    }

    /// A field without the white space around it. A field that is not there is empty.
    pub fn field(&self, index: usize) -> &str {
        let Some(end) = self.ends.get(index) else { return "" };
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        self.text.get(start..*end).unwrap_or_default().trim()
    }

    pub fn fields(&self) -> impl Iterator<Item = &str> {
        (0..self.width()).map(|it| self.field(it))
    }

    fn is_blank(&self) -> bool {
        self.width() == 1 && self.field(0).is_empty()
    }
}

/// The next item of the file.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A record, good or with a flaw.
    Record,
    /// A record after which the reading ends: its flaw says why, its line is that of the opening quote.
    Last,
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    Plain,
    Quoted,
    /// After a quote within quotes: the closing one, or the first of two.
    Quote,
}

/// Reads records.
pub struct Scanner {
    dialect: Dialect,
    at: At,
    text: Vec<u8>,
    is_misquoted: bool,
    /// Where the last quote opened, in the window.
    opened: usize,
}

impl Scanner {
    pub const fn new(dialect: Dialect) -> Self {
        Self { dialect, at: At::Start, text: Vec::new(), is_misquoted: false, opened: 0 }
    }

    /// Reads the next record that is not blank.
    pub fn next<R: Read>(&mut self, source: &mut Source<R>, record: &mut Record) -> io::Result<Next> {
        loop {
            let next = self.read(source, record)?;
            if next != Next::Record || record.flaw.is_some() || !record.is_blank() {
                return Ok(next);
            }
        }
    }

    fn read<R: Read>(&mut self, source: &mut Source<R>, record: &mut Record) -> io::Result<Next> {
        (record.line, record.byte, record.flaw) = (source.line(), source.byte(), None);
        self.begin(record);
        let mut length = 0;
        let ended = loop {
            let text = source.window();
            let until = text.len().min(MAX_RECORD + 1);
            if let Some(end) = self.scan(text, length..until, record) {
                length = end;
                break true;
            }
            length = until;
            if length > MAX_RECORD || is_too_wide(record) || !source.more()? {
                break false;
            }
        };
        if !ended && (length > MAX_RECORD || is_too_wide(record) || self.at == At::Quoted) {
            self.stopped(source, record);
            source.consume(length);
            return Ok(Next::Last);
        }
        if !ended && length == 0 {
            return Ok(Next::End);
        }
        self.finish(source, record, length, ended);
        Ok(Next::Record)
    }

    fn begin(&mut self, record: &mut Record) {
        self.text = std::mem::take(&mut record.text).into_bytes();
        self.text.clear();
        record.ends.clear();
        (self.at, self.is_misquoted) = (At::Start, false);
    }

    /// Goes through text up to the record's line break, and returns its place.
    fn scan(&mut self, text: &[u8], range: std::ops::Range<usize>, record: &mut Record) -> Option<usize> {
        let Dialect { delimiter, quote } = self.dialect;
        for place in range {
            let byte = text[place];
            match self.at {
                At::Quoted if byte == quote => self.at = At::Quote,
                At::Quoted => self.text.push(byte),
                At::Quote if byte == quote => {
                    self.text.push(byte);
                    self.at = At::Quoted;
                }
                _ if byte == delimiter => {
                    record.ends.push(self.text.len());
                    self.at = At::Start;
                    if is_too_wide(record) {
                        return None;
                    }
                }
                _ if byte == b'\n' => return Some(place),
                At::Start if byte == quote => (self.at, self.opened) = (At::Quoted, place),
                At::Quote if byte == b'\r' => {}
                At::Quote => {
                    self.is_misquoted = true;
                    self.text.push(byte);
                    self.at = At::Plain;
                }
                At::Start | At::Plain => {
                    self.is_misquoted |= byte == quote;
                    self.text.push(byte);
                    self.at = At::Plain;
                }
            }
        }
        None
    }

    /// The record ended at `length`, with a line break behind it if it is `terminated`.
    fn finish<R: Read>(&mut self, source: &mut Source<R>, record: &mut Record, length: usize, terminated: bool) {
        if self.at == At::Plain && self.text.last() == Some(&b'\r') {
            self.text.pop();
        }
        record.ends.push(self.text.len());
        let text = &source.window()[..length];
        let carriage_return = usize::from(terminated && text.ends_with(b"\r"));
        record.len = source.raw_len(&text[..length - carriage_return]);
        source.consume(length + usize::from(terminated));
        self.give(record, source.encoding());
        if self.is_misquoted && record.flaw.is_none() {
            let expected = "expected quotes around the whole field, and two of them for each within";
            record.flaw =
                Some(Problem::of_record(Code::BadQuoting, format!("found a quote within a field; {expected}")));
        }
    }

    /// Hands the text over if it is text.
    fn give(&mut self, record: &mut Record, encoding: Encoding) {
        let is_lossy = |text: &str| encoding != Encoding::Utf8 && text.contains(char::REPLACEMENT_CHARACTER);
        match String::from_utf8(std::mem::take(&mut self.text)) {
            Ok(text) if is_lossy(&text) => {
                record.text = text;
                record.flaw = Some(bad_encoding(encoding));
            }
            Ok(text) => {
                let splits_a_character = record.ends.iter().any(|it| !text.is_char_boundary(*it));
                record.flaw = splits_a_character.then(|| bad_encoding(encoding));
                record.text = text;
            }
            Err(error) => {
                // Ids before the broken field are still worth reading.
                let valid = error.utf8_error().valid_up_to();
                let mut bytes = error.into_bytes();
                bytes.truncate(valid);
                record.text = String::from_utf8(bytes).unwrap_or_default();
                record.flaw = Some(bad_encoding(encoding));
            }
        }
    }

    fn stopped<R: Read>(&self, source: &Source<R>, record: &mut Record) {
        let text = source.window();
        record.len = source.raw_len(&text[..text.len().min(MAX_RECORD)]);
        record.flaw = Some(if is_too_wide(record) {
            let detail = format!("found more than {MAX_FIELDS} fields; the reading ends here");
            Problem::of_record(Code::TooManyColumns, detail)
        } else if matches!(self.at, At::Quoted | At::Quote) {
            record.line += line_breaks(&text[..self.opened]);
            let detail = "found a quote without its closing quote; the reading ends here";
            Problem::of_record(Code::QuoteNotClosed, detail)
        } else {
            let detail = "found a record without its end within 64 KiB; the reading ends here";
            Problem::of_record(Code::RecordTooLong, detail)
        });
    }
}

/// Whether a record that is being read has a delimiter after its last allowed field.
fn is_too_wide(record: &Record) -> bool {
    record.ends.len() >= MAX_FIELDS
}

fn bad_encoding(encoding: Encoding) -> Problem {
    let name = encoding.name();
    Problem::of_record(Code::BadEncoding, format!("found bytes that are not {name}; expected {name} text"))
}

#[cfg(test)]
mod tests;
