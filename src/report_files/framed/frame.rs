//! The records around the rows: `HEADER`, column names, `TRAILER`.

use crate::report_files::csv::Record;
use crate::report_files::error::{Code, HeaderError, shown};
use crate::report_files::fields::{Columns, currency, id};
use crate::report_files::number::{NumberFormat, quantity};
use crate::report_files::row::{Header, Kind};
use crate::report_files::tally::Sums;
use crate::report_files::{Stated, date};

const HEADER: [&str; 7] = ["HEADER", "kind", "provider", "version", "period from", "period until", "as of"];

const REGISTER: [&str; 10] = [
    "account_opening_request_id",
    "reference",
    "status",
    "iban",
    "bic",
    "rejection_reason",
    "market",
    "currency",
    "created_at",
    "decided_at",
];

/// The column names of a register.
#[must_use]
pub const fn register_columns() -> &'static [&'static str] {
    &REGISTER
}

const CHARGES: [&str; 16] = [
    "line_id",
    "type",
    "code",
    "quantity",
    "account_opening_request_id",
    "reference",
    "amount",
    "tax",
    "currency",
    "original_amount",
    "original_currency",
    "fx_rate",
    "settlement_id",
    "occurred_at",
    "booked_on",
    "description",
];

/// The last record's count and sums of the rows.
#[derive(Debug, Default)]
pub struct Trailer {
    pub rows: u64,
    pub sums: Sums,
    /// False for a trailer that is missing or cannot be read.
    pub is_read: bool,
}

impl Trailer {
    pub fn stated(self) -> Stated {
        Stated { rows: Some(self.rows), sums: self.sums.list() }
    }
}

/// The first record. `title`: the name of such a file in a refusal.
pub fn header(record: &Record, title: &str) -> Result<Header, HeaderError> {
    let refused = |detail: String| {
        HeaderError::new(record.line, Code::HeaderNotUnderstood, detail).columns(record.fields(), &HEADER)
    };
    if let Some(flaw) = &record.flaw {
        return Err(HeaderError { code: flaw.code, ..refused(flaw.detail.clone()) });
    }
    if record.field(0) != "HEADER" || width(record) != HEADER.len() {
        return Err(refused(format!("the first record is not the HEADER of {title}")));
    }
    if record.field(3) != "1" {
        return Err(refused(format!("found version {}; expected 1", shown(record.field(3)))));
    }
    let kind = record.field(1).parse().ok().filter(|it| *it != Kind::Bank);
    let kind =
        kind.ok_or_else(|| refused(format!("found kind {}; expected register or charges", shown(record.field(1)))))?;
    let time = |place: usize| {
        let told = |(_, detail)| refused(format!("{}: {detail}", HEADER[place]));
        date::time(record.field(place)).map_err(told)
    };
    let (from, until, as_of) = (time(4)?, time(5)?, time(6)?);
    if from > until {
        return Err(refused("the period ends before it begins".to_owned()));
    }
    let provider = id(record.field(2)).ok().filter(|it| !it.is_empty());
    let provider = provider.ok_or_else(|| refused("found no provider".to_owned()))?;
    Ok(Header { kind, provider, from: Some(from), until: Some(until), as_of: Some(as_of) })
}

/// The number of fields without empty ones at the end: a spreadsheet gives every record the same number.
fn width(record: &Record) -> usize {
    let empty = record.fields().collect::<Vec<_>>().into_iter().rev().take_while(|it| it.is_empty()).count();
    record.width() - empty
}

/// The column names, in any order; each stands there once.
pub fn columns(record: &Record, kind: Kind) -> Result<Columns, HeaderError> {
    let expected: &[&str] = if kind == Kind::Register { &REGISTER } else { &CHARGES };
    let mut names: Vec<&str> = record.fields().collect();
    let columns = Columns::named(names.iter().map(|it| (*it).to_owned()).collect(), |field| Some(field.as_str()));
    names.sort_unstable();
    let mut sorted = expected.to_vec();
    sorted.sort_unstable();
    if record.flaw.is_none() && names == sorted {
        return Ok(columns);
    }
    let detail = format!("the second record does not have the column names of a {kind} file");
    Err(HeaderError::new(record.line, Code::HeaderNotUnderstood, detail).columns(record.fields(), expected))
}

/// # Errors
/// The value found and the form expected.
pub fn trailer(record: &Record, kind: Kind) -> Result<Trailer, String> {
    let form = if kind == Kind::Register { "TRAILER,rows" } else { "TRAILER,rows,EUR=sum;SEK=sum" };
    let refused = |why: String| format!("{why}; expected {form}");
    if width(record) > form.split(',').count() {
        return Err(refused(format!("found a TRAILER with {} fields", width(record))));
    }
    let rows = quantity(record.field(1)).map_err(|(_, detail)| refused(detail))?;
    let mut sums = Sums::default();
    for part in record.field(2).split(';').map(str::trim).filter(|it| !it.is_empty()) {
        let (code, amount) = part.split_once('=').ok_or_else(|| refused(format!("found {}", shown(part))))?;
        let currency = currency(code.trim()).map_err(|(_, detail)| refused(detail))?;
        let amount = NumberFormat::PLAIN.amount(amount.trim()).map_err(|(_, detail)| refused(detail))?;
        sums.add(currency.code(), amount);
    }
    Ok(Trailer { rows, sums, is_read: true })
}
