//! Reads a price list: a CSV with the columns of [`COLUMNS`], one price per line.
//!
//! Every wrong cell is reported with its line and column, so that one attempt shows all of them. Contradictions between
//! rows are looked for once every cell is right.

use chrono::{NaiveDate, NaiveTime};
use csv_core::{ReadRecordResult, Reader};
use rust_decimal::Decimal;

use super::{On, Price, minor_digits};
use crate::clock::Time;
use crate::domain::request::CustomerType;

const COLUMNS: [&str; 10] = [
    "provider",
    "market",
    "customer_type",
    "on",
    "code",
    "amount",
    "currency",
    "tax_percent",
    "valid_from",
    "valid_until",
];
/// Stands for every market, or every kind of customer.
const ALL: &str = "*";
/// The longest code, in characters.
const MAX_CODE: usize = 64;
/// A line with more columns than this has nothing to do with a price list.
const MAX_COLUMNS: usize = 64;

/// A reason why a price list is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; expected {expected}")]
pub struct Flaw {
    /// Where and what, such as `line 3, column amount: invalid value "1e3"`.
    pub problem: String,
    /// The expected value.
    pub expected: String,
}

/// The prices of a list, in the order of their lines.
pub(super) fn prices(text: &str, providers: &[&str]) -> Result<Vec<Price>, Vec<Flaw>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().enumerate().map(|(n, line)| (n + 1, line)).filter(|(_, line)| !line.trim().is_empty());
    let (mut prices, mut flaws) = (Vec::new(), Vec::new());
    let mut lines = lines.peekable();
    if let Err(flaw) = header(lines.next()) {
        return Err(vec![flaw]);
    }
    for (n, line) in lines {
        match cells(line) {
            Ok(cells) => prices.extend(Row { line: n, cells, flaws: &mut flaws }.price(providers)),
            Err(problem) => flaws.push(wrong_line(n, &problem)),
        }
    }
    if flaws.is_empty() {
        flaws = contradictions(&prices);
    }
    if flaws.is_empty() { Ok(prices) } else { Err(flaws) }
}

fn header(first: Option<(usize, &str)>) -> Result<(), Flaw> {
    let Some((n, line)) = first else { return Err(wrong_line(1, "the file is empty")) };
    match cells(line) {
        Ok(cells) if cells == COLUMNS => Ok(()),
        Ok(_) => Err(wrong_line(n, &format!("the columns are {line:?}"))),
        Err(problem) => Err(wrong_line(n, &problem)),
    }
}

fn wrong_line(n: usize, problem: &str) -> Flaw {
    Flaw { problem: format!("line {n}: {problem}"), expected: format!("the columns {}", COLUMNS.join(",")) }
}

/// The cells of one line, without the white space around them.
fn cells(line: &str) -> Result<[String; COLUMNS.len()], String> {
    if line.matches('"').count() % 2 == 1 {
        return Err("a quote is not closed".to_owned());
    }
    let (mut output, mut ends) = (vec![0; line.len() + 1], [0; MAX_COLUMNS]);
    let ended = format!("{line}\n");
    let (result, _, _, columns) = Reader::new().read_record(ended.as_bytes(), &mut output, &mut ends);
    let columns = if matches!(result, ReadRecordResult::Record) { columns } else { MAX_COLUMNS };
    let mut start = 0;
    let cell = |end: &usize| {
        let bytes = output.get(start..*end).unwrap_or_default();
        start = *end;
        String::from_utf8_lossy(bytes).trim().to_owned()
    };
    let cells: Vec<String> = ends[..columns].iter().map(cell).collect();
    cells.try_into().map_err(|_| format!("{columns} columns"))
}

/// A line that is being read.
struct Row<'a> {
    line: usize,
    cells: [String; COLUMNS.len()],
    flaws: &'a mut Vec<Flaw>,
}

impl Row<'_> {
    /// The price. None: a cell is wrong, and its flaw is noted.
    fn price(mut self, providers: &[&str]) -> Option<Price> {
        let known = |text: &str| providers.contains(&text).then(|| text.to_owned());
        let provider = self.cell(0, &format!("a provider: {}", providers.join(", ")), known);
        let market = self.cell(1, "an ISO 3166 alpha-2 country code such as BE, or *", |text| or_all(text, country));
        let kinds = format!("{}, or *", words(CustomerType::ALL.iter().map(|it| it.as_str())));
        let customer_type = self.cell(2, &kinds, |text| or_all(text, |text| text.parse().ok()));
        let on = self.cell(3, &words(On::ALL.iter().map(|it| it.as_str())), |text| text.parse().ok());
        let code = self.cell(4, "1 to 64 letters, digits, dots, hyphens or underscores", code);
        let without_tax = self.cell(
            5,
            "a decimal number without sign, with at most 15 digits before and 6 after the point",
            |text| decimal(text, 15, 6),
        );
        let currency = self.cell(6, "an ISO 4217 currency code, such as EUR", currency);
        let percent = |text: &str| decimal(text, 3, 4).filter(|percent| *percent <= Decimal::ONE_HUNDRED);
        let tax_percent =
            self.cell(7, "a decimal number from 0 to 100, with at most 4 digits after the point", percent);
        let from = self.cell(8, "a date such as 2026-01-31, or nothing", date);
        let until = self.cell(9, "a date such as 2026-01-31, or nothing", date);
        if let (Some(Some(from)), Some(Some(until))) = (from, until)
            && until <= from
        {
            self.wrong(9, "a date after valid_from");
            return None;
        }
        Some(Price {
            line: self.line,
            provider: provider?,
            market: market?,
            customer_type: customer_type?,
            on: on?,
            code: code?,
            without_tax: without_tax?,
            currency: currency?,
            tax_percent: tax_percent?,
            from: from?,
            until: until?,
        })
    }

    fn cell<T>(&mut self, column: usize, expected: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let read = read(&self.cells[column]);
        if read.is_none() {
            self.wrong(column, expected);
        }
        read
    }

    fn wrong(&mut self, column: usize, expected: &str) {
        let (line, name, value) = (self.line, COLUMNS[column], &self.cells[column]);
        let problem = format!("line {line}, column {name}: invalid value {value:?}");
        self.flaws.push(Flaw { problem, expected: expected.to_owned() });
    }
}

/// None stands for a wrong text; an inner None for all.
#[expect(clippy::option_option, reason = "the outer one is of the text, the inner one of the value")]
fn or_all<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    if text == ALL { Some(None) } else { read(text).map(Some) }
}

fn words<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

fn country(text: &str) -> Option<String> {
    let is_code = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    (is_code && celes::Country::from_alpha2(text).is_ok()).then(|| text.to_owned())
}

fn code(text: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    ((1..=MAX_CODE).contains(&text.len()) && text.chars().all(fits)).then(|| text.to_owned())
}

fn currency(text: &str) -> Option<String> {
    minor_digits(text).map(|_| text.to_owned())
}

/// A number without sign and exponent, with at most so many digits before and after the point.
fn decimal(text: &str, before: usize, after: usize) -> Option<Decimal> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits =
        |text: &str, most: usize| (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits(whole, before) && digits(fraction, after) { Decimal::from_str_exact(text).ok() } else { None }
}

/// Midnight UTC of a date. Nothing: no bound.
#[expect(clippy::option_option, reason = "the outer one is of the text, the inner one of the bound")]
fn date(text: &str) -> Option<Option<Time>> {
    if text.is_empty() {
        return Some(None);
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10)?;
    Some(Some(date.and_time(NaiveTime::MIN).and_utc()))
}

/// Pairs of rows that cannot both hold.
fn contradictions(prices: &[Price]) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    for (n, first) in prices.iter().enumerate() {
        for second in prices[n + 1..].iter().filter(|it| meet(first, it)) {
            let (a, b) = (first.line, second.line);
            if first.on == second.on && is_same_scope(first, second) {
                let problem = format!("lines {a} and {b} price the same fee at the same time");
                flaws.push(Flaw { problem, expected: "one price at any time".to_owned() });
            } else if may_both_be_owed(first.on, second.on) && covers_the_same(first, second) {
                let problem = format!("lines {a} and {b} make one opening owe {:?} twice", first.code);
                flaws.push(Flaw { problem, expected: "a code of its own for each step".to_owned() });
            }
        }
    }
    flaws
}

/// Whether both rows price the same code of the same provider at some moment.
fn meet(a: &Price, b: &Price) -> bool {
    let begins_before_end = |a: &Price, b: &Price| match (a.from, b.until) {
        (Some(from), Some(until)) => from < until,
        _ => true,
    };
    a.provider == b.provider && a.code == b.code && begins_before_end(a, b) && begins_before_end(b, a)
}

fn is_same_scope(a: &Price, b: &Price) -> bool {
    a.market == b.market && a.customer_type == b.customer_type
}

fn covers_the_same(a: &Price, b: &Price) -> bool {
    let meets = a.market.is_none() || b.market.is_none() || a.market == b.market;
    meets && (a.customer_type.is_none() || b.customer_type.is_none() || a.customer_type == b.customer_type)
}

/// An opening is opened or rejected, never both; it may be accepted before either.
fn may_both_be_owed(a: On, b: On) -> bool {
    a != b && (a == On::Accepted || b == On::Accepted)
}
