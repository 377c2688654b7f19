//! A CSV file that is read by a profile: preamble, header, rows, footer.
//!
//! Only a footer shows that a file is whole. A format without one is never complete, so nothing is concluded from what is absent.

use std::io::{self, BufRead as _, Read};
use std::sync::Arc;

use iso_currency::Currency;
use rust_decimal::Decimal;

use super::{Column, Footer, Profile};
use crate::report_files::body::Body;
use crate::report_files::csv::{MAX_RECORD, Next, Record, Scanner};
use crate::report_files::error::{Code, HeaderError, Problem};
use crate::report_files::fields::{Columns, Style as _, minor_digits};
use crate::report_files::number::{Refusal, canonical, quantity};
use crate::report_files::row::Header;
use crate::report_files::source::Source;
use crate::report_files::{Ending, Expected, Item, Items, OpenError, Stated, Sum};

/// A file that is being read.
pub struct Table<R> {
    profile: Arc<Profile>,
    source: Source<R>,
    scanner: Scanner,
    record: Record,
    body: Body,
    stated: Option<Stated>,
    has_footer: bool,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Records,
    /// No record follows; the ending does.
    End,
    Over,
}

impl<R: Read> Table<R> {
    /// Reads preamble and header.
    pub fn open(
        mut source: Source<R>,
        profile: Arc<Profile>,
        expected: &Expected<'_>,
    ) -> Result<(Header, Self), OpenError> {
        if !source.is_marked() {
            source.decode_as(profile.encoding);
        }
        let provider = profile.provider.as_deref().or(expected.provider).unwrap_or_default().to_owned();
        let header = Header { kind: profile.kind, provider, from: None, until: None, as_of: None };
        expected.agrees_with(&header, 1)?;
        skip(&mut source, profile.skip_lines)?;
        let (mut scanner, mut record) = (Scanner::new(profile.dialect), Record::default());
        if profile.has_header {
            scanner.next(&mut source, &mut record)?;
        }
        let columns = if profile.has_header { named(&profile, &record)? } else { numbered(&profile) };
        let (body, phase) = (Body::new(profile.kind, columns), Phase::Records);
        let file = Self { profile, source, scanner, record, body, stated: None, has_footer: false, phase };
        Ok((header, file))
    }

    fn item(&mut self) -> io::Result<Option<Item>> {
        loop {
            if self.phase != Phase::Records {
                return Ok(self.end());
            }
            match self.scanner.next(&mut self.source, &mut self.record)? {
                Next::Record => {
                    if let Some(item) = self.read() {
                        return Ok(Some(item));
                    }
                }
                Next::End => self.phase = Phase::End,
                Next::Last => {
                    // The error of this record says why no closing record follows.
                    (self.phase, self.has_footer) = (Phase::End, true);
                    let flaw = self.record.flaw.take();
                    return Ok(flaw.map(|it| self.body.bad(&self.record, it)));
                }
            }
        }
    }

    /// Makes an item of the record. None: a right footer.
    fn read(&mut self) -> Option<Item> {
        let profile = Arc::clone(&self.profile);
        let (record, body) = (&self.record, &mut self.body);
        if self.has_footer {
            let detail = "found a record after the closing one; expected the end of the file";
            return Some(body.bad(record, Problem::of_record(Code::AfterTrailer, detail)));
        }
        let footer = profile.footer.as_ref().filter(|it| record.field(0).starts_with(&it.starts_with));
        let Some(footer) = footer else { return Some(body.row(record, &*profile)) };
        self.has_footer = true;
        match self.compare(footer) {
            Ok(()) => None,
            Err((code, detail)) => {
                let field = Some(footer.starts_with.as_str());
                Some(self.body.wrong(&self.record, field, code, detail))
            }
        }
    }

    /// Compares the footer's count and sum with those of the rows.
    fn compare(&mut self, footer: &Footer) -> Result<(), Refusal> {
        let field = |place: Option<usize>| place.map(|it| self.record.field(it));
        let rows = field(footer.rows).map(quantity).transpose()?;
        let number = |place| match field(place) {
            None | Some("") => Ok(None),
            Some(text) => self.profile.number.amount(text).map(Some),
        };
        let (amount, debit, credit) = (number(footer.amount)?, number(footer.debit)?, number(footer.credit)?);
        let two = debit.or(credit).map(|_| debit.unwrap_or_default() - credit.unwrap_or_default());
        let amount = amount.map(|it| self.profile.signed(it)).or(two);
        let sums = self.body.sums().list();
        self.stated = Some(stated(rows, amount, &sums));
        let found = self.body.rows();
        if let Some(rows) = rows.filter(|it| *it != found) {
            return Err((Code::WrongCount, format!("found {found} rows; the closing record counts {rows}")));
        }
        let sum = sums.first().map(|it| it.amount).unwrap_or_default();
        if let Some(amount) = amount.filter(|it| self.body.bad_rows() == 0 && sums.len() < 2 && *it != sum) {
            return Err((Code::WrongSum, format!("found the sum {sum}; the closing record has {amount}")));
        }
        Ok(())
    }

    /// The error of a missing footer, then the ending, then nothing.
    fn end(&mut self) -> Option<Item> {
        if self.phase == Phase::Over {
            return None;
        }
        if self.profile.footer.is_none() {
            self.body.incomplete("the format has no closing record that would show a file that was cut off");
        } else if !std::mem::replace(&mut self.has_footer, true) {
            (self.record.line, self.record.byte, self.record.len) = (self.source.line(), self.source.byte(), 0);
            let detail = "found the end of the file; expected a closing record before it: the file was cut off";
            return Some(self.body.wrong(&self.record, None, Code::NoTrailer, detail));
        }
        self.phase = Phase::Over;
        Some(Item::End(Ending { stated: self.stated.take(), ..self.body.ending() }))
    }
}

impl<R: Read> Iterator for Table<R> {
    type Item = io::Result<Item>;

    fn next(&mut self) -> Option<Self::Item> {
        self.item().transpose()
    }
}

impl<R: Read + Send> Items for Table<R> {
    fn so_far(&self) -> Ending {
        self.body.ending()
    }
}

/// A footer with one sum is that of the file's only currency.
fn stated(rows: Option<u64>, amount: Option<Decimal>, sums: &[Sum]) -> Stated {
    let currency = sums.first().map(|it| it.currency.clone()).filter(|_| sums.len() == 1);
    let sum = currency.zip(amount).map(|(currency, amount)| {
        let digits = Currency::from_code(&currency).map_or(0, minor_digits);
        Sum { currency, amount: canonical(amount, digits) }
    });
    Stated { rows, sums: sum.into_iter().collect() }
}

/// Passes over the preamble. A line that does not end within the bound is left to the scanner, which tells it.
fn skip<R: Read>(source: &mut Source<R>, lines: u64) -> io::Result<()> {
    for _ in 0..lines {
        let mut line = Vec::new();
        source.by_ref().take(MAX_RECORD as u64).read_until(b'\n', &mut line)?;
    }
    Ok(())
}

/// Finds the profile's columns in the header. Two fields may stand in one column.
fn named(profile: &Profile, record: &Record) -> Result<Columns, HeaderError> {
    let expected: Vec<&str> = profile.columns.values().filter_map(Column::name).collect();
    let refused =
        |code, detail: String| HeaderError::new(record.line, code, detail).columns(record.fields(), &expected);
    if let Some(flaw) = &record.flaw {
        return Err(refused(flaw.code, flaw.detail.clone()));
    }
    let names: Vec<String> = record.fields().map(str::to_owned).collect();
    let missing = expected.iter().find(|it| names.iter().filter(|name| name == *it).count() != 1);
    if let Some(missing) = missing {
        let detail = format!("the column {missing} of the profile {} is missing or stands twice", profile.name);
        return Err(refused(Code::HeaderNotUnderstood, detail));
    }
    Ok(Columns::named(names, |field| profile.columns.get(&field).and_then(Column::name)))
}

fn numbered(profile: &Profile) -> Columns {
    Columns::numbered(|field| profile.columns.get(&field).and_then(Column::place))
}

impl Column {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Place(_) => None,
        }
    }

    const fn place(&self) -> Option<usize> {
        match self {
            Self::Place(place) => Some(*place),
            Self::Name(_) => None,
        }
    }
}
