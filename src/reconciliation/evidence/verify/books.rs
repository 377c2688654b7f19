//! The checks of the ledger's lines: the balances, and that each line of the provider is booked for exactly its amount.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufReader, Read};

use rust_decimal::Decimal;
use uuid::Uuid;

use super::Findings;
use super::contents::{Contents, Lines};
use crate::domain::fee::Account;
use crate::reconciliation::classify::charges::Booking;
use crate::reconciliation::evidence::lines::{self, ChargeLineLine, LedgerLine, ReportFacts, RowLine};
use crate::reconciliation::evidence::{bag, derived};
use crate::report_files::row::Kind;

/// A movement of the ledger, as far as bookings speak of it.
struct Moved {
    debit: String,
    credit: String,
    amount: Decimal,
    currency: String,
}

pub fn check(contents: &Contents, report: &ReportFacts, findings: &mut Findings<'_>) -> io::Result<()> {
    derived_again(contents, lines::ROWS, lines::MATCHES, derived::matches, findings)?;
    derived_again(contents, lines::LEDGER, lines::BALANCES, derived::balances, findings)?;
    price_lists(contents, findings);
    let moved = ledger(contents, report, findings)?;
    charge_lines(contents, &moved, findings)?;
    if report.kind == Kind::Bank { payments(contents, report, findings) } else { Ok(()) }
}

/// Each payment is the amount of a row that its line has. A file may have all rows in one line.
fn payments(contents: &Contents, report: &ReportFacts, findings: &mut Findings<'_>) -> io::Result<()> {
    let mut paid: BTreeMap<(u64, Decimal, String), u64> = BTreeMap::new();
    let mut ledger: Lines<'_, LedgerLine> = contents.lines(lines::LEDGER, findings);
    while let Some((n, it)) = ledger.next(findings)? {
        let amount = if it.credit == Account::Paid.as_str() { it.amount } else { -it.amount };
        let is_payment = it.report_id == Some(report.id) && it.cause.starts_with("payment:");
        if let Some(line) = it.line.filter(|_| is_payment) {
            paid.entry((line, amount.normalize(), it.currency)).or_insert(n);
        }
    }
    let mut rows: Lines<'_, RowLine> = contents.lines(lines::ROWS, findings);
    while let Some((_, it)) = rows.next(findings)? {
        let amount: Option<Decimal> = it.theirs["amount"].as_str().and_then(|it| it.parse().ok());
        let currency = it.theirs["currency"].as_str().unwrap_or_default();
        paid.remove(&(it.line, amount.unwrap_or_default().normalize(), currency.to_owned()));
    }
    for ((line, amount, currency), n) in paid {
        let what = format!("pays {amount} {currency}, which no row in line {line} of the provider's file says");
        findings.at(lines::LEDGER, n, what);
    }
    Ok(())
}

/// Makes a file again from another, and names the first line that differs.
fn derived_again(
    contents: &Contents,
    from: &str,
    name: &'static str,
    make: fn(&mut dyn io::BufRead, &mut dyn io::Write) -> io::Result<()>,
    findings: &mut Findings<'_>,
) -> io::Result<()> {
    let (Some(from_part), Some(found)) = (contents.part(from), contents.part(name)) else { return Ok(()) };
    let mut compare = Compare { found: BufReader::new(found), line: 1, differs: None };
    if let Err(error) = make(&mut BufReader::new(from_part), &mut compare) {
        findings.of(name, format!("cannot be made again from {from}: {error}"));
    } else if let Some(line) = compare.end()? {
        findings.at(name, line, format!("does not follow from {from}"));
    }
    Ok(())
}

/// Compares what is written with a file, byte by byte.
struct Compare<R> {
    found: R,
    line: u64,
    differs: Option<u64>,
}

impl<R: Read> Compare<R> {
    /// The first line that differs.
    fn end(mut self) -> io::Result<Option<u64>> {
        let has_more = self.found.read(&mut [0])? > 0;
        Ok(self.differs.or(has_more.then_some(self.line)))
    }
}

impl<R: Read> io::Write for Compare<R> {
    fn write(&mut self, made: &[u8]) -> io::Result<usize> {
        let mut found = Vec::with_capacity(made.len());
        self.found.by_ref().take(made.len() as u64).read_to_end(&mut found)?;
        let same = made.iter().zip(&found).take_while(|(made, found)| made == found).count();
        let breaks = made[..same].split(|it| *it == b'\n').count() as u64 - 1;
        if self.differs.is_none() {
            self.line += breaks;
            self.differs = (same < made.len()).then_some(self.line);
        }
        Ok(made.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A price list is named by its SHA-256.
fn price_lists(contents: &Contents, findings: &mut Findings<'_>) {
    let lists = contents.digests.iter().filter(|(name, _)| name.starts_with("data/price-list-"));
    for (name, sha256) in lists.filter(|(name, sha256)| **name != lines::price_list(sha256)) {
        findings.of(name, format!("has the SHA-256 {sha256}"));
    }
}

fn ledger(contents: &Contents, report: &ReportFacts, findings: &mut Findings<'_>) -> io::Result<HashMap<Uuid, Moved>> {
    let mut lines: Lines<'_, LedgerLine> = contents.lines(lines::LEDGER, findings);
    let mut all: HashMap<Uuid, Moved> = HashMap::new();
    while let Some((n, line)) = lines.next(findings)? {
        if let Some(why) = flaw(contents, report, &line, &all) {
            findings.at(lines::LEDGER, n, why);
        }
        let LedgerLine { id, debit, credit, amount, currency, .. } = line;
        if all.insert(id, Moved { debit, credit, amount, currency }).is_some() {
            findings.at(lines::LEDGER, n, format!("has the id {id} a second time"));
        }
    }
    Ok(all)
}

/// The error in a line by itself.
fn flaw(contents: &Contents, report: &ReportFacts, line: &LedgerLine, before: &HashMap<Uuid, Moved>) -> Option<String> {
    let accounts = [&line.debit, &line.credit].map(|it| it.parse::<Account>().is_ok());
    if accounts != [true; 2] || line.debit == line.credit || line.amount <= Decimal::ZERO {
        return Some("moves no amount above zero from one account to another".to_owned());
    }
    if line.provider != report.provider {
        return Some(format!("is of the provider {}", line.provider));
    }
    if let Some(list) = &line.price_list
        && contents.part(&lines::price_list(list)).is_none()
    {
        return Some(format!("was expected by a price list that is not enclosed: {}{list}", bag::PAYLOAD));
    }
    let undone = line.reverses.and_then(|it| before.get(&it));
    let is_exact = |it: &Moved| {
        (&it.debit, &it.credit, it.amount, &it.currency) == (&line.credit, &line.debit, line.amount, &line.currency)
    };
    (!undone.is_none_or(is_exact)).then(|| "does not move back what it reverses".to_owned())
}

/// Each line of the provider is booked as it says: with its bookings, and for its amount.
fn charge_lines(contents: &Contents, moved: &HashMap<Uuid, Moved>, findings: &mut Findings<'_>) -> io::Result<()> {
    let mut lines: Lines<'_, ChargeLineLine> = contents.lines(lines::CHARGE_LINES, findings);
    while let Some((n, line)) = lines.next(findings)? {
        if let Some(why) = misbooked(&line, moved) {
            findings.at(lines::CHARGE_LINES, n, why);
        }
    }
    Ok(())
}

fn misbooked(line: &ChargeLineLine, moved: &HashMap<Uuid, Moved>) -> Option<String> {
    let bookings: Vec<Booking> = serde_json::from_value(line.bookings.clone()).ok()?;
    let bookings: Vec<Booking> = bookings.into_iter().filter(|it| !it.amount.is_zero()).collect();
    let booked: Vec<&Moved> = line.ledger.iter().filter_map(|id| moved.get(id)).collect();
    if booked.len() != line.ledger.len() {
        return Some(format!("is booked by lines that {} lacks", lines::LEDGER));
    }
    if booked.len() != bookings.len() || !bookings.iter().zip(&booked).all(|(booking, line)| is_booked(booking, line)) {
        return Some(format!("is not booked in {} as its bookings say", lines::LEDGER));
    }
    let into = |it: &&Moved| match (it.debit.as_str(), it.credit.as_str()) {
        (_, "charged") => it.amount,
        ("charged", _) => -it.amount,
        _ => Decimal::ZERO,
    };
    let charged: Decimal = booked.iter().filter(|it| it.currency == line.currency).map(into).sum();
    let expected = if line.line_type == "settlement" { Decimal::ZERO } else { line.amount };
    (charged != expected).then(|| format!("says {expected} {}; {charged} is booked as charged", line.currency))
}

/// A negative amount moves the other way.
fn is_booked(booking: &Booking, line: &Moved) -> bool {
    let (debit, credit) = (booking.debit.as_str(), booking.credit.as_str());
    let accounts = if booking.amount.is_sign_positive() { (debit, credit) } else { (credit, debit) };
    accounts == (line.debit.as_str(), line.credit.as_str())
        && (booking.amount.abs(), &booking.currency) == (line.amount, &line.currency)
}
