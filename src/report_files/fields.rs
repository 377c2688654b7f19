//! The fields of one record by their canonical names, each checked as its type.
//!
//! Framed files and those of every profile are read by this one code; a format says only where a field stands and how it is written.

use chrono::NaiveDate;
use iso_currency::Currency;
use rust_decimal::Decimal;

use super::csv::Record;
use super::error::{Code, Problem, masked, shown};
use super::number::{NumberFormat, Refusal, canonical, quantity};
use super::row::ChargeType;
use crate::clock::Time;
use crate::domain::Verdict;
use crate::domain::bank::{Bic, Iban};
use crate::domain::text::string_enum;
use crate::outbound::json::sanitize;

string_enum!(
    /// The canonical names of fields: the columns of framed files, and the keys of profiles.
    Field {
        ProviderReference = "account_opening_request_id",
        Reference = "reference",
        Status = "status",
        Iban = "iban",
        Bic = "bic",
        RejectionReason = "rejection_reason",
        Market = "market",
        Currency = "currency",
        CreatedAt = "created_at",
        DecidedAt = "decided_at",
        LineId = "line_id",
        Type = "type",
        Code = "code",
        Quantity = "quantity",
        Amount = "amount",
        /// An amount that we owe, in formats with two columns.
        Debit = "debit",
        /// An amount that we get, in formats with two columns.
        Credit = "credit",
        Tax = "tax",
        OriginalAmount = "original_amount",
        OriginalCurrency = "original_currency",
        FxRate = "fx_rate",
        SettlementId = "settlement_id",
        OccurredAt = "occurred_at",
        BookedOn = "booked_on",
        Description = "description",
    }
);

/// Longest id, in characters.
pub const MAX_ID: usize = 255;

/// Where each field stands in a record, and what its column is called in the file.
#[derive(Clone, Debug)]
pub struct Columns {
    places: [Option<usize>; Field::ALL.len()],
    names: Vec<String>,
    /// The number of fields of a record; a file without column names shows it in its first row.
    width: Option<usize>,
}

impl Columns {
    /// Columns under their names in the file; `column` says the name of the column that holds a field, if there is one.
    pub fn named<'a>(names: Vec<String>, column: impl Fn(Field) -> Option<&'a str>) -> Self {
        let place = |field| names.iter().position(|it| Some(it.as_str()) == column(field));
        Self { places: places(place), width: Some(names.len()), names }
    }

    /// Columns of a file without names; `place` says where a field stands, if it is there.
    pub fn numbered(place: impl Fn(Field) -> Option<usize>) -> Self {
        let places = places(place);
        let needed = places.iter().flatten().max().map_or(0, |it| it + 1);
        Self { places, names: (1..=needed).map(|it| format!("column {it}")).collect(), width: None }
    }

    /// Learns the number of fields from the first record that has them all.
    pub fn learn_from(&mut self, record: &Record) {
        let has_all = record.flaw.is_none() && record.width() >= self.names.len();
        if has_all && self.width.is_none() {
            self.width = Some(record.width());
        }
    }

    fn width(&self) -> usize {
        self.width.unwrap_or(self.names.len())
    }

    pub fn place(&self, field: Field) -> Option<usize> {
        self.places[field as usize]
    }

    fn name(&self, field: Field) -> &str {
        self.place(field).map_or(field.as_str(), |place| &self.names[place])
    }
}

fn places(place: impl Fn(Field) -> Option<usize>) -> [Option<usize>; Field::ALL.len()] {
    std::array::from_fn(|it| place(Field::ALL[it]))
}

/// How a format writes its values.
pub trait Style {
    fn number(&self) -> NumberFormat;
    fn time(&self, text: &str) -> Result<Time, Refusal>;
    fn date(&self, text: &str) -> Result<NaiveDate, Refusal>;
    fn verdict(&self, word: &str) -> Verdict;
    fn charge_type(&self, word: &str) -> ChargeType;
    /// The value of a field for which the format has no column.
    fn default(&self, _field: Field) -> Option<&str> {
        None
    }
    /// The amount with our sign: positive means that we owe.
    fn signed(&self, amount: Decimal) -> Decimal {
        amount
    }
}

/// A record with the right number of fields.
pub struct Fields<'a> {
    record: &'a Record,
    columns: &'a Columns,
    style: &'a dyn Style,
}

impl<'a> Fields<'a> {
    /// Checks the record as a whole.
    pub fn of(record: &'a Record, columns: &'a Columns, style: &'a dyn Style) -> Result<Self, Problem> {
        if let Some(flaw) = &record.flaw {
            return Err(flaw.clone());
        }
        let (found, expected) = (record.width(), columns.width());
        let told = || format!("found {found} fields; expected {expected}");
        match found.cmp(&expected) {
            std::cmp::Ordering::Less => Err(Problem::of_record(Code::TooFewColumns, told())),
            std::cmp::Ordering::Greater => Err(Problem::of_record(Code::TooManyColumns, told())),
            std::cmp::Ordering::Equal => Ok(Self { record, columns, style }),
        }
    }

    /// The text of a field; absent where the format lacks it or the row has none.
    pub fn text(&self, field: Field) -> Option<&'a str> {
        let Some(place) = self.columns.place(field) else { return self.style.default(field) };
        Some(self.record.field(place)).filter(|it| !it.is_empty())
    }

    pub fn problem(&self, field: Field, code: Code, detail: impl Into<String>) -> Problem {
        Problem::new(self.columns.name(field), code, detail)
    }

    fn parsed<T>(&self, field: Field, parse: impl Fn(&str) -> Result<T, Refusal>) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(field) else { return Ok(None) };
        parse(text).map(Some).map_err(|(code, detail)| self.problem(field, code, detail))
    }

    pub fn required<T>(&self, field: Field, value: Option<T>) -> Result<T, Problem> {
        value.ok_or_else(|| self.problem(field, Code::Missing, "found nothing; expected a value"))
    }

    /// An id or a word: short and without control characters.
    pub fn id(&self, field: Field) -> Result<Option<String>, Problem> {
        self.parsed(field, id)
    }

    /// Text for people; its control characters are replaced, and its end is cut off.
    pub fn prose(&self, field: Field) -> Option<String> {
        self.text(field).map(sanitize)
    }

    pub fn currency(&self, field: Field) -> Result<Option<Currency>, Problem> {
        self.parsed(field, currency)
    }

    pub fn iban(&self) -> Result<Option<String>, Problem> {
        self.parsed(Field::Iban, iban)
    }

    pub fn bic(&self) -> Result<Option<String>, Problem> {
        let parse = |text: &str| Bic::parse(text).map(|it| it.as_str().to_owned());
        let refused = |why: &str, text: &str| (Code::InvalidBic, format!("found {}: {why}", shown(text)));
        self.parsed(Field::Bic, |text| parse(text).map_err(|why| refused(why, text)))
    }

    pub fn time(&self, field: Field) -> Result<Option<Time>, Problem> {
        self.parsed(field, |text| self.style.time(text))
    }

    pub fn date(&self, field: Field) -> Result<Option<NaiveDate>, Problem> {
        self.parsed(field, |text| self.style.date(text))
    }

    pub fn quantity(&self) -> Result<Option<u64>, Problem> {
        self.parsed(Field::Quantity, quantity)
    }

    pub fn rate(&self) -> Result<Option<Decimal>, Problem> {
        let rate = self.parsed(Field::FxRate, |text| self.style.number().rate(text))?;
        Ok(rate.map(|it| it.normalize()))
    }

    /// An amount as the file writes it, with the sign of the file.
    pub fn unsigned(&self, field: Field, currency: Currency) -> Result<Option<Decimal>, Problem> {
        let amount = self.parsed(field, |text| self.style.number().amount(text))?;
        Ok(amount.map(|it| canonical(it, minor_digits(currency))))
    }

    pub fn amount(&self, field: Field, currency: Currency) -> Result<Option<Decimal>, Problem> {
        Ok(self.unsigned(field, currency)?.map(|it| self.style.signed(it)))
    }

    pub fn verdict(&self, word: &str) -> Verdict {
        self.style.verdict(word)
    }

    pub fn charge_type(&self, word: &str) -> ChargeType {
        self.style.charge_type(word)
    }
}

pub fn id(text: &str) -> Result<String, Refusal> {
    if text.chars().any(char::is_control) {
        return Err((
            Code::ControlCharacter,
            format!("found {}; expected text without control characters", shown(text)),
        ));
    }
    if text.len() > MAX_ID && text.chars().count() > MAX_ID {
        let found = format!("found {} characters", text.chars().count());
        return Err((Code::TooLong, format!("{found}; expected at most {MAX_ID}")));
    }
    Ok(text.to_owned())
}

pub fn currency(text: &str) -> Result<Currency, Refusal> {
    let expected = "expected an ISO 4217 code such as EUR";
    Currency::from_code(text).ok_or_else(|| (Code::UnknownCurrency, format!("found {}; {expected}", shown(text))))
}

/// Digits of the smallest unit; 0 for what has none, such as gold.
#[must_use]
pub fn minor_digits(currency: Currency) -> u32 {
    currency.exponent().map_or(0, u32::from)
}

fn iban(text: &str) -> Result<String, Refusal> {
    let parsed = Iban::parse(text).map(|it| it.as_str().to_owned());
    parsed.map_err(|why| (Code::InvalidIban, format!("found {}: {why}", masked(text))))
}
