//! Files of rows in a frame: `HEADER`, the column names, the rows, `TRAILER`. An adapter describes such files of its bank by a
//! [`Framed`], and the service writes the lists that it pulls as such files.
//!
//! The file is complete if a right `TRAILER` ends it and no row is bad. A row after the `TRAILER` belongs to no count, so it is
//! named and not used.

mod frame;

use std::io::{self, Read};

use chrono::NaiveDate;

use self::frame::Trailer;
pub use self::frame::register_columns;
use super::body::Body;
use super::csv::{Dialect, Next, Record, Scanner};
use super::error::{Code, Problem};
use super::fields::Style;
use super::number::{NumberFormat, Refusal};
use super::row::{ChargeType, Kind};
use super::source::Source;
use super::{Ending, Expected, File, Format, Input, Item, Items, OpenError, date};
use crate::clock::Time;
use crate::domain::Verdict;

/// A format in a frame.
#[derive(Clone, Copy, Debug)]
pub struct Framed {
    /// Its name.
    pub name: &'static str,
    /// The name of such a file in a refusal: the HEADER of …
    pub title: &'static str,
    /// The verdict of a status word.
    pub verdict: fn(&str) -> Verdict,
    /// Why the service takes no file of this format for complete, even if its trailer is right. None: a right trailer decides.
    pub incomplete: Option<&'static str>,
}

/// The lists that the service pulls. Such a list is never complete: it shows changed requests, and others may be at the
/// provider all the same.
pub static PULLED: Framed = Framed {
    name: super::PULL,
    title: "a pulled list",
    verdict,
    incomplete: Some("it was pulled from a list of changes, which says nothing about what is absent"),
};

/// The verdict of a status word of a pulled list. Stored files hold these words.
fn verdict(word: &str) -> Verdict {
    match word {
        "INITIATED" => Verdict::Started,
        "IN_PROGRESS" => Verdict::Pending,
        "COMPLETED" | "SUCCEEDED" => Verdict::Completed,
        "REJECTED" => Verdict::Rejected,
        _ => Verdict::Unknown,
    }
}

/// A file that is being read.
struct Framing<R> {
    style: Words,
    source: Source<R>,
    scanner: Scanner,
    record: Record,
    body: Body,
    trailer: Option<Trailer>,
    /// No record follows.
    is_at_end: bool,
    is_over: bool,
}

/// How the values between the frame's records are written, with the status words of the format.
struct Words(fn(&str) -> Verdict);

impl Style for Words {
    fn number(&self) -> NumberFormat {
        NumberFormat::PLAIN
    }

    fn time(&self, text: &str) -> Result<Time, Refusal> {
        date::time(text)
    }

    fn date(&self, text: &str) -> Result<NaiveDate, Refusal> {
        date::date(text)
    }

    fn verdict(&self, word: &str) -> Verdict {
        (self.0)(word)
    }

    fn charge_type(&self, word: &str) -> ChargeType {
        match word.parse() {
            Ok(known) if known != ChargeType::Unknown => known,
            _ => ChargeType::Unknown,
        }
    }
}

impl Format for Framed {
    fn name(&self) -> &'static str {
        self.name
    }

    /// Reads the `HEADER` and the column names.
    fn open<'r>(&self, mut source: Input<'r>, expected: &Expected<'_>) -> Result<File<'r>, OpenError> {
        let (mut scanner, mut record) = (Scanner::new(Dialect::RFC_4180), Record::default());
        scanner.next(&mut source, &mut record)?;
        let header = frame::header(&record, self.title)?;
        expected.agrees_with(&header, record.line)?;
        scanner.next(&mut source, &mut record)?;
        let columns = frame::columns(&record, header.kind)?;
        let mut body = Body::new(header.kind, columns);
        if let Some(why) = self.incomplete {
            body.incomplete(why);
        }
        let style = Words(self.verdict);
        let file = Framing { style, source, scanner, record, body, trailer: None, is_at_end: false, is_over: false };
        Ok((header, Box::new(file)))
    }
}

impl<R: Read> Framing<R> {
    fn item(&mut self) -> io::Result<Option<Item>> {
        loop {
            if self.is_at_end {
                return Ok(self.end());
            }
            match self.scanner.next(&mut self.source, &mut self.record)? {
                Next::End => self.is_at_end = true,
                Next::Last => {
                    self.is_at_end = true;
                    // The error of this record says why no TRAILER follows.
                    self.trailer.get_or_insert_default();
                    let flaw = self.record.flaw.take();
                    return Ok(flaw.map(|it| self.body.bad(&self.record, it)));
                }
                Next::Record => {
                    if let Some(item) = self.read() {
                        return Ok(Some(item));
                    }
                }
            }
        }
    }

    /// Makes an item of the record. None: a right trailer.
    fn read(&mut self) -> Option<Item> {
        let (record, body) = (&self.record, &mut self.body);
        let is_flawed = record.flaw.is_some();
        match (record.field(0), &self.trailer) {
            ("TRAILER", None) if !is_flawed => self.read_trailer(),
            ("TRAILER", Some(_)) => {
                let detail = "found a second TRAILER; expected one, at the end of the file";
                Some(body.wrong(record, None, Code::SecondTrailer, detail))
            }
            (_, Some(_)) => {
                let detail = "found a record after the TRAILER; expected the end of the file";
                Some(body.bad(record, Problem::of_record(Code::AfterTrailer, detail)))
            }
            ("HEADER", None) if !is_flawed => {
                let detail = "found a second HEADER; expected rows, and one file per report";
                Some(body.bad(record, Problem::of_record(Code::SecondHeader, detail)))
            }
            _ => Some(body.row(record, &self.style)),
        }
    }

    fn read_trailer(&mut self) -> Option<Item> {
        let (record, body) = (&self.record, &mut self.body);
        let trailer = match frame::trailer(record, body.kind()) {
            Ok(trailer) => trailer,
            Err(detail) => {
                self.trailer = Some(Trailer::default());
                return Some(body.wrong(record, Some("TRAILER"), Code::BadTrailer, detail));
            }
        };
        let (rows, sums) = (body.rows(), body.sums());
        let wrong = if trailer.rows != rows {
            Some((Code::WrongCount, format!("found {rows} rows; the TRAILER counts {}", trailer.rows)))
        } else if body.kind() == Kind::Charges && body.bad_rows() == 0 && !trailer.sums.equal(sums) {
            Some((Code::WrongSum, format!("found the sums {sums}; the TRAILER has {}", trailer.sums)))
        } else {
            None
        };
        self.trailer = Some(trailer);
        wrong.map(|(code, detail)| body.wrong(record, Some("TRAILER"), code, detail))
    }

    /// The error of a missing trailer, then the ending, then nothing.
    fn end(&mut self) -> Option<Item> {
        if self.trailer.is_none() {
            self.trailer = Some(Trailer::default());
            (self.record.line, self.record.byte, self.record.len) = (self.source.line(), self.source.byte(), 0);
            let detail = "found the end of the file; expected a TRAILER before it: the file was cut off";
            return Some(self.body.wrong(&self.record, None, Code::NoTrailer, detail));
        }
        if std::mem::replace(&mut self.is_over, true) {
            return None;
        }
        let stated = self.trailer.take().filter(|it| it.is_read).map(Trailer::stated);
        Some(Item::End(Ending { stated, ..self.body.ending() }))
    }
}

impl<R: Read> Iterator for Framing<R> {
    type Item = io::Result<Item>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        self.item().transpose()
    }
}

impl<R: Read + Send> Items for Framing<R> {
    fn so_far(&self) -> Ending {
        self.body.ending()
    }
}
