//! The rows between a CSV file's header and its trailer: each record becomes a row or an error, and is counted.

use super::csv::Record;
use super::error::{Code, HeaderError, Problem, ReportError};
use super::fields::{Columns, Field, Fields, Style, id};
use super::records::{charge, register};
use super::row::{ChargeType, Kind, Located, Row};
use super::tally::{Occurrences, Sums};
use super::{Ending, Item};

pub struct Body {
    kind: Kind,
    columns: Columns,
    rows: u64,
    bad_rows: u64,
    sums: Sums,
    occurrences: Occurrences,
    /// Why the file is not complete; the first reason is kept.
    incomplete: Option<String>,
    failed: Option<HeaderError>,
}

impl Body {
    pub fn new(kind: Kind, columns: Columns) -> Self {
        let (sums, occurrences) = (Sums::default(), Occurrences::default());
        Self { kind, columns, rows: 0, bad_rows: 0, sums, occurrences, incomplete: None, failed: None }
    }

    pub const fn kind(&self) -> Kind {
        self.kind
    }

    pub const fn rows(&self) -> u64 {
        self.rows
    }

    pub const fn bad_rows(&self) -> u64 {
        self.bad_rows
    }

    pub const fn sums(&self) -> &Sums {
        &self.sums
    }

    /// Reads a record as a row. The row that exceeds what can be told apart becomes the file's end.
    pub fn row(&mut self, record: &Record, style: &dyn Style) -> Item {
        self.columns.learn_from(record);
        match self.parse(record, style) {
            Ok(None) => {
                self.failed = Some(Occurrences::beyond(record.line));
                Item::End(self.ending())
            }
            Ok(Some((key, row))) => {
                self.rows += 1;
                let (line, byte, len) = (record.line, record.byte, record.len);
                Item::Row(Box::new(Located { line, byte, len, key, row }))
            }
            Err(problem) => self.bad(record, problem),
        }
    }

    /// None: the file has too many distinct rows.
    fn parse(&mut self, record: &Record, style: &dyn Style) -> Result<Option<(String, Row)>, Problem> {
        let fields = Fields::of(record, &self.columns, style)?;
        if self.kind == Kind::Register {
            return register(&fields).map(|(key, row)| Some((key, Row::Register(row))));
        }
        let (line_id, mut row) = charge(&fields)?;
        let key = match line_id {
            Some(id) => id,
            None if self.columns.place(Field::LineId).is_some() => return fields.required(Field::LineId, None),
            None => match self.occurrences.key(record.fields()) {
                Some(key) => key,
                None => return Ok(None),
            },
        };
        row.line_id.clone_from(&key);
        if row.line_type != ChargeType::Settlement {
            self.sums.add(&row.currency, row.amount);
        }
        Ok(Some((key, Row::Charge(row))))
    }

    /// Counts a record that cannot be used. The opening that it names is kept: the row is not absent.
    pub fn bad(&mut self, record: &Record, problem: Problem) -> Item {
        self.rows += 1;
        self.bad_rows += 1;
        self.incomplete(super::BAD_ROW);
        let named = |field| {
            let text = record.field(self.columns.place(field)?);
            id(text).ok().filter(|it| !it.is_empty())
        };
        let (provider_reference, reference) = (named(Field::ProviderReference), named(Field::Reference));
        Item::Error(ReportError { provider_reference, reference, is_row: true, ..located(record, problem) })
    }

    /// An error that loses no row, such as a wrong trailer.
    pub fn wrong(&mut self, record: &Record, field: Option<&str>, code: Code, detail: impl Into<String>) -> Item {
        let detail = detail.into();
        self.incomplete(&detail);
        Item::Error(located(record, Problem { field: field.map(str::to_owned), code, detail }))
    }

    pub fn incomplete(&mut self, why: &str) {
        self.incomplete.get_or_insert_with(|| why.to_owned());
    }

    pub fn ending(&self) -> Ending {
        Ending {
            incomplete: self.incomplete.clone(),
            failed: self.failed.clone(),
            rows: self.rows,
            bad_rows: self.bad_rows,
            sums: self.sums.list(),
            stated: None,
        }
    }
}

fn located(record: &Record, problem: Problem) -> ReportError {
    ReportError {
        line: record.line,
        byte: record.byte,
        len: record.len,
        problem,
        is_row: false,
        provider_reference: None,
        reference: None,
    }
}
