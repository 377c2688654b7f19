//! `NexusBank`'s register and charges: `HEADER`, the column names, the rows, `TRAILER`.
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
use super::row::{ChargeType, Header, Kind};
use super::source::Source;
use super::{Ending, Expected, Item, Items, OpenError, date};
use crate::clock::Time;
use crate::domain::Verdict;
pub use crate::provider::nexusbank::verdict;

/// A file that is being read.
pub struct NexusBank<R> {
    source: Source<R>,
    scanner: Scanner,
    record: Record,
    body: Body,
    trailer: Option<Trailer>,
    /// No record follows.
    is_at_end: bool,
    is_over: bool,
}

struct Words;

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
        verdict(word)
    }

    fn charge_type(&self, word: &str) -> ChargeType {
        match word.parse() {
            Ok(known) if known != ChargeType::Unknown => known,
            _ => ChargeType::Unknown,
        }
    }
}

impl<R: Read> NexusBank<R> {
    /// Reads the `HEADER` and the column names.
    pub fn open(mut source: Source<R>, expected: &Expected<'_>) -> Result<(Header, Self), OpenError> {
        let (mut scanner, mut record) = (Scanner::new(Dialect::RFC_4180), Record::default());
        scanner.next(&mut source, &mut record)?;
        let header = frame::header(&record)?;
        expected.agrees_with(&header, record.line)?;
        scanner.next(&mut source, &mut record)?;
        let columns = frame::columns(&record, header.kind)?;
        let body = Body::new(header.kind, columns);
        let file = Self { source, scanner, record, body, trailer: None, is_at_end: false, is_over: false };
        Ok((header, file))
    }

    /// Reads the beginning of a register that was made of a provider's list. It is never complete: the list shows what changed, and
    /// what is absent from it may be at the provider all the same.
    pub fn open_list(source: Source<R>, expected: &Expected<'_>) -> Result<(Header, Self), OpenError> {
        let (header, mut file) = Self::open(source, expected)?;
        file.body.incomplete("it was pulled from a list of changes, which says nothing about what is absent");
        Ok((header, file))
    }

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
            _ => Some(body.row(record, &Words)),
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

impl<R: Read> Iterator for NexusBank<R> {
    type Item = io::Result<Item>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        self.item().transpose()
    }
}

impl<R: Read + Send> Items for NexusBank<R> {
    fn so_far(&self) -> Ending {
        self.body.ending()
    }
}

#[cfg(test)]
mod tests;
