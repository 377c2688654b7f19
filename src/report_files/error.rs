//! Errors of a report file: where, which field, which code, and in words what was found and what is expected.
//!
//! Details are shown to readers and stand in logs of machines, so values that look like an IBAN are masked, and free text is never
//! quoted.

use serde::{Deserialize, Serialize};

use crate::domain::bank;
use crate::domain::text::string_enum;

string_enum!(
    /// Why a row, or a file, is refused.
    Code {
        /// The bytes end with an error, such as those of a gzip file that was cut off.
        Unreadable = "unreadable",
        /// The first records are not those of the format.
        HeaderNotUnderstood = "header_not_understood",
        /// A format that is neither built in nor a profile.
        UnknownFormat = "unknown_format",
        /// The file says another kind or provider than the request.
        ContradictsRequest = "contradicts_request",
        /// An archive; it must be unpacked first.
        Zip = "zip",
        /// Compressed bytes where the file itself is expected.
        Gzip = "gzip",
        /// XML with a document type definition.
        Dtd = "dtd",
        /// XML with an entity of its own.
        Entity = "entity",
        /// XML that is not well-formed, or that ends too early.
        NotWellFormed = "not_well_formed",
        /// XML elements within elements beyond the bound.
        TooDeep = "too_deep",
        /// More distinct rows without an id than can be told apart in bounded memory.
        TooManyRows = "too_many_rows",
        /// A camt message that is neither a statement nor a notification, such as the intraday camt.052.
        WrongMessage = "wrong_message",

        /// A quote without its closing quote: the reading ends there.
        QuoteNotClosed = "quote_not_closed",
        /// A record beyond the bound: the reading ends there.
        RecordTooLong = "record_too_long",
        /// A quote within a field, or text after a closing quote.
        BadQuoting = "bad_quoting",
        /// Bytes that are no text in the encoding of the file.
        BadEncoding = "bad_encoding",
        TooManyColumns = "too_many_columns",
        TooFewColumns = "too_few_columns",

        /// A value that must be there.
        Missing = "missing",
        /// An id beyond the bound.
        TooLong = "too_long",
        ControlCharacter = "control_character",
        AmountNotDecimal = "amount_not_decimal",
        /// A number with an exponent.
        Exponent = "exponent",
        /// A number with more digits after the point than the bound, or than its currency has.
        TooPrecise = "too_precise",
        /// A number with more digits before the point than the bound.
        TooLarge = "too_large",
        NotACount = "not_a_count",
        NotATime = "not_a_time",
        NotADate = "not_a_date",
        /// A date that can be read in two ways.
        AmbiguousDate = "ambiguous_date",
        UnknownCurrency = "unknown_currency",
        InvalidIban = "invalid_iban",
        InvalidBic = "invalid_bic",
        /// A word in a place where the format has only its own words.
        UnknownIndicator = "unknown_indicator",

        /// The file has no closing record: it was cut off.
        NoTrailer = "no_trailer",
        BadTrailer = "bad_trailer",
        SecondTrailer = "second_trailer",
        AfterTrailer = "after_trailer",
        SecondHeader = "second_header",
        /// The closing record counts other rows.
        WrongCount = "wrong_count",
        /// The closing record has other sums.
        WrongSum = "wrong_sum",
        /// A bank statement, or an entry and its details, does not add up.
        BalanceMismatch = "balance_mismatch",
        /// A bank statement is missing before this one.
        StatementGap = "statement_gap",
    }
);

/// An error in one field or record, without its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The column or XML element; absent where the record as a whole is wrong.
    pub field: Option<String>,
    pub code: Code,
    /// The value found, and the value expected.
    pub detail: String,
}

/// A problem and its place in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportError {
    /// The physical line; the file's first is 1.
    pub line: u64,
    /// The offset of the record's first byte.
    pub byte: u64,
    /// The length of the record in bytes, without its line break.
    pub len: u64,
    #[serde(flatten)]
    pub problem: Problem,
    /// Whether a row is lost by it. Else it concerns the file: its trailer, or its end.
    pub is_row: bool,
    /// The tracking id of a bad row, where it can be read.
    pub provider_reference: Option<String>,
    /// Our reference of a bad row, where it can be read.
    pub reference: Option<String>,
}

/// Why a file is refused as a whole, with the columns for the sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderError {
    pub line: u64,
    pub code: Code,
    pub detail: String,
    /// The columns, or the XML root, that the file has.
    pub found: Vec<String>,
    /// The columns that the format has.
    pub expected: Vec<String>,
}

impl Problem {
    #[must_use]
    pub fn new(field: &str, code: Code, detail: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), code, detail: detail.into() }
    }

    #[must_use]
    pub fn of_record(code: Code, detail: impl Into<String>) -> Self {
        Self { field: None, code, detail: detail.into() }
    }
}

impl HeaderError {
    #[must_use]
    pub fn new(line: u64, code: Code, detail: impl Into<String>) -> Self {
        Self { line, code, detail: detail.into(), found: Vec::new(), expected: Vec::new() }
    }

    /// Adds the columns. Those of the file are clipped and masked, since a file without a header shows its first row here.
    #[must_use]
    pub fn columns<'a>(mut self, found: impl Iterator<Item = &'a str>, expected: &[&str]) -> Self {
        self.found = found.take(MAX_COLUMNS_SHOWN).map(plain).collect();
        self.expected = expected.iter().map(|it| (*it).to_owned()).collect();
        self
    }
}

impl HeaderError {
    /// The detail with the columns.
    #[must_use]
    pub fn told(&self) -> String {
        if self.expected.is_empty() {
            return self.detail.clone();
        }
        let found = if self.found.is_empty() { "nothing".to_owned() } else { self.found.join(",") };
        format!("{}; found: {found}; expected: {}", self.detail, self.expected.join(","))
    }
}

impl std::fmt::Display for HeaderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}: {}", self.line, self.code, self.told())
    }
}

impl std::error::Error for HeaderError {}

const MAX_COLUMNS_SHOWN: usize = 50;
const MAX_SHOWN: usize = 64;

/// A value for a detail: quoted, clipped, without control characters, masked if it looks like an IBAN.
#[must_use]
pub fn shown(value: &str) -> String {
    if value.is_empty() { "nothing".to_owned() } else { format!("\"{}\"", plain(value)) }
}

/// A value of a column that holds account numbers: hidden but for its ends, also where it is no IBAN.
#[must_use]
pub fn masked(value: &str) -> String {
    bank::mask(&clean(value))
}

fn clean(value: &str) -> String {
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    value.chars().take(MAX_SHOWN).map(shown).collect()
}

fn plain(value: &str) -> String {
    if looks_like_iban(value) {
        return bank::mask(&bank::compact(value));
    }
    let mut text = clean(value);
    if value.chars().nth(MAX_SHOWN).is_some() {
        text.push('…');
    }
    text
}

/// Two letters, two digits and at least eight more: also an IBAN with a typing error stays private.
fn looks_like_iban(value: &str) -> bool {
    let compact = bank::compact(&value.chars().take(200).collect::<String>());
    let bytes = compact.as_bytes();
    bytes.len() >= 12
        && bytes[..2].iter().all(u8::is_ascii_uppercase)
        && bytes[2..4].iter().all(u8::is_ascii_digit)
        && bytes.iter().all(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_a_detail_is_short_and_no_iban() {
        assert_eq!(shown("BE68 5390 0754 7034"), "\"BE68…7034\"");
        assert_eq!(shown("be68539007547035"), "\"BE68…7035\"");
        assert_eq!(shown("a\nb\0"), "\"a\u{fffd}b\u{fffd}\"");
        assert_eq!(shown(""), "nothing");
        assert_eq!(shown(&"x".repeat(65)), format!("\"{}…\"", "x".repeat(64)));
        assert_eq!(shown("6,05"), "\"6,05\"");
    }
}
