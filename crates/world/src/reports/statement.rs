//! The bank statement (camt.053) of the customer that pays the charges: one account per currency.
//!
//! Each settlement is paid by one entry, which names it in one of the three places where banks put a reference.

use chrono::NaiveDate;
use rust_decimal::Decimal;

use super::deal::Dealt;
use super::divergence::Kind;
use super::line::{Line, money};
use super::{Ask, Marks, stamp};
use crate::mint;

/// The balance of each account before its first statement.
const OPENING: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 2);
/// The payment of an account beside the settlements.
const RENT: Decimal = Decimal::from_parts(75_000, 0, 0, false, 2);

/// A file that grows line by line.
#[derive(Default)]
struct Xml {
    text: String,
    lines: usize,
}

impl Xml {
    fn line(&mut self, line: &str) -> usize {
        self.text.push_str(line);
        self.text.push('\n');
        self.lines += 1;
        self.lines
    }
}

/// An entry: positive leaves the account.
struct Entry {
    amount: Decimal,
    /// The settlement that it pays; none: something else.
    settlement: Option<String>,
    mark: Option<usize>,
}

/// A statement and what is wrong with it.
struct Statement<'a> {
    account: &'a str,
    currency: &'a str,
    number: usize,
    opening: Decimal,
    entries: Vec<Entry>,
    /// The closing balance is this much off.
    off: Decimal,
    /// Its divergence as a whole.
    mark: Option<usize>,
}

/// Writes the statements, and marks the lines of the divergences. Returns the number of entries too.
pub(super) fn write(settlements: &[Line], dealt: &Dealt, seed: u64, ask: &Ask, marks: &mut Marks) -> (String, usize) {
    let mut xml = Xml::default();
    let (day, id) = (ask.as_of.date_naive(), mint::id("msg", seed, &["statement", &stamp(ask.as_of)]));
    xml.line("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    xml.line("<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.08\">");
    xml.line("<BkToCstmrStmt>");
    xml.line(&format!("<GrpHdr><MsgId>{id}</MsgId><CreDtTm>{}</CreDtTm></GrpHdr>", stamp(ask.as_of)));
    let mut written = 0;
    for statement in statements(settlements, dealt, marks) {
        written += statement.entries.len();
        statement.write(&mut xml, (seed, day), marks);
    }
    xml.line("</BkToCstmrStmt>");
    xml.line("</Document>");
    if ask.cut {
        // In the middle of a record, as a broken transfer leaves it.
        xml.text.truncate(xml.text.len() * 2 / 3);
    }
    (xml.text, written)
}

fn statements<'a>(settlements: &'a [Line], dealt: &Dealt, marks: &mut Marks) -> Vec<Statement<'a>> {
    let mut currencies: Vec<&str> = settlements.iter().map(|line| line.currency.as_str()).collect();
    currencies.sort_unstable();
    currencies.dedup();
    let mut other = dealt.has(Kind::OtherPayment);
    let mut statements = Vec::new();
    for currency in currencies {
        let mut entries = vec![rent(currency, dealt, marks)];
        for line in settlements.iter().filter(|line| line.currency == currency && !line.fee.amount.is_zero()) {
            let wrong = line.mark.is_none() && std::mem::take(&mut other);
            let mark = wrong.then(|| marks.add(Kind::OtherPayment, &line.id, None));
            let more = if wrong { Decimal::ONE } else { Decimal::ZERO };
            entries.push(Entry { amount: line.fee.amount + more, settlement: Some(line.id.clone()), mark });
        }
        statements.push(Statement::new(currency, currency, 1, OPENING, entries));
    }
    if dealt.has(Kind::WrongBalance) {
        let mark = Some(marks.add(Kind::WrongBalance, "balance", None));
        let statement = Statement::new("balance", "EUR", 1, OPENING, vec![rent("balance", dealt, marks)]);
        statements.push(Statement { off: Decimal::ONE, mark, ..statement });
    }
    if dealt.has(Kind::Gap) {
        let mark = Some(marks.add(Kind::Gap, "gap", None));
        statements.push(Statement::new("gap", "EUR", 1, OPENING, vec![rent("gap", dealt, marks)]));
        // Two entries of an account with the same day, amount and text would be one that comes twice.
        let raised = Entry { amount: RENT + Decimal::ONE, ..rent("gap", dealt, marks) };
        let statement = Statement::new("gap", "EUR", 3, OPENING - RENT - Decimal::TEN, vec![raised]);
        statements.push(Statement { mark, ..statement });
    }
    statements
}

/// A payment that has nothing to do with the charges.
fn rent(account: &str, dealt: &Dealt, marks: &mut Marks) -> Entry {
    let mark = dealt.has(Kind::Unrelated).then(|| marks.add(Kind::Unrelated, account, None));
    Entry { amount: RENT, settlement: None, mark }
}

impl<'a> Statement<'a> {
    const fn new(account: &'a str, currency: &'a str, number: usize, opening: Decimal, entries: Vec<Entry>) -> Self {
        Self { account, currency, number, opening, entries, off: Decimal::ZERO, mark: None }
    }

    fn write(&self, xml: &mut Xml, (seed, day): (u64, NaiveDate), marks: &mut Marks) {
        let (iban, currency) = (mint::iban("BE", seed, &["account", self.account]), self.currency);
        let id = mint::id("stm", seed, &[self.account, &self.number.to_string(), &day.to_string()]);
        let start = xml.line(&format!("<Stmt><Id>{id}</Id><ElctrncSeqNb>{}</ElctrncSeqNb>", self.number));
        xml.line(&format!("<CreDtTm>{day}T23:00:00+01:00</CreDtTm>"));
        xml.line(&format!("<Acct><Id><IBAN>{iban}</IBAN></Id><Ccy>{currency}</Ccy></Acct>"));
        let spent: Decimal = self.entries.iter().map(|it| it.amount).sum();
        for (code, balance) in [("OPBD", self.opening), ("CLBD", self.opening - spent + self.off)] {
            let (amount, way) = amount(-balance, currency);
            xml.line(&format!(
                "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>{amount}{way}<Dt><Dt>{day}</Dt></Dt></Bal>"
            ));
        }
        for (at, entry) in self.entries.iter().enumerate() {
            let line = self.entry(xml, at, entry, (&id, day));
            marks.line(entry.mark, line);
        }
        marks.line(self.mark, start);
        xml.line("</Stmt>");
    }

    fn entry(&self, xml: &mut Xml, at: usize, entry: &Entry, (id, day): (&str, NaiveDate)) -> usize {
        let (amount, way) = amount(entry.amount, self.currency);
        xml.line(&format!("<Ntry><NtryRef>{id}/{at}</NtryRef>{amount}{way}<Sts><Cd>BOOK</Cd></Sts>"));
        xml.line(&format!("<BookgDt><Dt>{day}</Dt></BookgDt><ValDt><Dt>{day}</Dt></ValDt>"));
        let details = match (&entry.settlement, at % 3) {
            (None, _) => "<RmtInf><Ustrd>Rent of the office &amp; garage</Ustrd></RmtInf>".to_owned(),
            (Some(id), 0) => format!("<Refs><EndToEndId>{id}</EndToEndId></Refs>"),
            (Some(id), 1) => format!("<RmtInf><Strd><CdtrRefInf><Ref>{id}</Ref></CdtrRefInf></Strd></RmtInf>"),
            (Some(id), _) => format!("<RmtInf><Ustrd>Fees of the bank, settlement {id}</Ustrd></RmtInf>"),
        };
        // A reader knows an entry by the line of its details.
        xml.line(&format!("<NtryDtls><TxDtls>{details}</TxDtls></NtryDtls></Ntry>"))
    }
}

/// Amount and direction: positive is a debit.
fn amount(amount: Decimal, currency: &str) -> (String, &'static str) {
    let way = if amount.is_sign_negative() && !amount.is_zero() {
        "<CdtDbtInd>CRDT</CdtDbtInd>"
    } else {
        "<CdtDbtInd>DBIT</CdtDbtInd>"
    };
    (format!("<Amt Ccy=\"{currency}\">{}</Amt>", money(amount.abs())), way)
}
