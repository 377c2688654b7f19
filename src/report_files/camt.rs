//! Bank statements (ISO 20022 camt.053) and notifications (camt.054), versions 02 to 13.
//!
//! Elements are known by their path of local names, so that one reader takes all versions, prefixes, and banks. A row is made
//! when its transaction ends, so that an entry of many transactions takes no more memory than one of few.

mod entry;
mod statement;
mod xml;

use std::collections::VecDeque;
use std::io::{self, Read};

use self::entry::{Entry, Place, Transaction};
use self::statement::{Accounts, Builder};
use self::xml::{Step, Xml, XmlError};
use super::error::{Code, HeaderError, Problem, ReportError, shown};
use super::number::negated;
use super::row::{Aspect, BankRow, Header, Kind, Located, Row};
use super::source::{Encoding, Source};
use super::tally::{Occurrences, Sums};
use super::{Ending, Expected, File, Format, Input, Item, Items, OpenError, date};

/// Root element, message and what the path of a statement is called in it.
const MESSAGES: [(&str, &str, &str); 2] =
    [("camt.053", "BkToCstmrStmt", "Stmt"), ("camt.054", "BkToCstmrDbtCdtNtfctn", "Ntfctn")];

/// The format of all these messages.
#[derive(Clone, Copy, Debug)]
pub struct Camt;

/// See [`Camt`].
pub static CAMT: Camt = Camt;

impl Format for Camt {
    fn name(&self) -> &'static str {
        "camt"
    }

    /// Whether it is XML, in any encoding.
    fn begins(&self, head: &[u8]) -> bool {
        head.iter().find(|it| !it.is_ascii_whitespace() && **it != 0) == Some(&b'<')
    }

    fn open<'r>(&self, source: Input<'r>, expected: &Expected<'_>) -> Result<File<'r>, OpenError> {
        let (header, messages) = Messages::open(source, expected)?;
        Ok((header, Box::new(messages)))
    }
}

/// A file that is being read.
struct Messages<R> {
    xml: Xml<R>,
    /// The path of the element at hand: a copy that is used again.
    path: String,
    /// The path of a statement.
    root: String,
    statement: Option<Builder>,
    entry: Option<Entry>,
    accounts: Accounts,
    occurrences: Occurrences,
    statements: u64,
    ending: Ending,
    sums: Sums,
    queue: VecDeque<Item>,
    is_over: bool,
}

impl<R: Read> Messages<R> {
    /// Reads up to the group header or the first statement.
    fn open(mut source: Source<R>, expected: &Expected<'_>) -> Result<(Header, Self), OpenError> {
        decode_as_declared(&mut source)?;
        let mut xml = Xml::new(source);
        let root = message(&mut xml)?;
        let provider = expected.provider.unwrap_or_default().to_owned();
        let mut header = Header { kind: Kind::Bank, provider, from: None, until: None, as_of: None };
        expected.agrees_with(&header, 1)?;
        let mut file = Self {
            xml,
            path: String::new(),
            root,
            statement: None,
            entry: None,
            accounts: Accounts::default(),
            occurrences: Occurrences::default(),
            statements: 0,
            ending: Ending::default(),
            sums: Sums::default(),
            queue: VecDeque::new(),
            is_over: false,
        };
        header.as_of = file.read_group_header()?;
        Ok((header, file))
    }

    /// The time at which the bank made the message, if its zone is told.
    fn read_group_header(&mut self) -> Result<Option<crate::clock::Time>, OpenError> {
        let mut as_of = None;
        loop {
            match (self.xml.next().map_err(|it| refused(it, &self.xml))?, self.xml.path()) {
                (Step::Close, path) if path.ends_with("/GrpHdr/CreDtTm") => as_of = date::time(self.xml.text()).ok(),
                (Step::Close, path) if path.ends_with("/GrpHdr") => return Ok(as_of),
                (Step::Open, path) if path == self.root => {
                    self.begin_statement();
                    return Ok(as_of);
                }
                (Step::End, _) => return Ok(as_of),
                _ => {}
            }
        }
    }

    fn begin_statement(&mut self) {
        self.statements += 1;
        let is_notification = self.root.ends_with("/Ntfctn");
        self.statement = Some(Builder::new(self.xml.place, self.statements, is_notification));
        // Entries are numbered per statement: an entry that two statements repeat has one key.
        self.occurrences = Occurrences::default();
    }

    fn step(&mut self) -> Result<bool, XmlError> {
        let step = self.xml.next()?;
        let mut path = std::mem::take(&mut self.path);
        path.clear();
        path.push_str(self.xml.path());
        self.take(step, path.strip_prefix(&self.root));
        self.path = path;
        Ok(step != Step::End)
    }

    /// Takes an element by its path below the statement.
    fn take(&mut self, step: Step, path: Option<&str>) {
        match (step, path) {
            (Step::Open, Some("")) => self.begin_statement(),
            (Step::Open, Some("/Ntry")) => self.entry = Some(Entry::new(self.xml.place)),
            (Step::Open, Some("/Ntry/NtryDtls/TxDtls")) => {
                let place = self.xml.place;
                if let Some(before) = self.entry.as_mut().and_then(|it| it.begin_detail(place)) {
                    self.row(before, place.1);
                }
            }
            (Step::Close, Some("")) => self.end_statement(),
            (Step::Close, Some("/Ntry")) => self.end_entry(),
            (Step::Close, Some("/Ntry/NtryDtls/TxDtls")) => self.end_detail(),
            (Step::Close, Some(path)) => self.element(path),
            _ => {}
        }
    }

    fn element(&mut self, path: &str) {
        let (text, ccy) = (self.xml.text(), self.xml.currency());
        if let Some(path) = path.strip_prefix("/Ntry/") {
            let Some(entry) = &mut self.entry else { return };
            match path.strip_prefix("NtryDtls/TxDtls/") {
                Some(path) => entry.detail_element(path, text, ccy),
                None => entry.element(path, text, ccy),
            }
        } else if let (Some(path), Some(statement)) = (path.strip_prefix('/'), &mut self.statement)
            && let Err(problem) = statement.element(path, text, ccy)
        {
            statement.is_unsure = true;
            self.wrong(self.xml.place, problem);
        }
    }

    fn end_detail(&mut self) {
        match self.entry.as_mut().and_then(Entry::end_detail) {
            Some(Ok(transaction)) => self.row(transaction, self.xml.here().1),
            Some(Err((place, problem))) => self.bad(place, problem),
            None => {}
        }
    }

    fn end_entry(&mut self) {
        let Some(entry) = &mut self.entry else { return };
        let (place, is_booked) = (entry.place, entry.is_booked());
        if let Some(problem) = entry.problem() {
            self.entry = None;
            // A bad entry that has moved no money is passed over like every other one.
            if is_booked {
                self.bad(place, problem);
            }
            return;
        }
        if is_booked {
            if let Some(rest) = entry.rest() {
                self.row(rest, self.xml.here().1);
            }
            self.add_up();
        }
        self.entry = None;
    }

    /// Counts the entry in its statement, and compares it with its transactions.
    fn add_up(&mut self) {
        let (Some(entry), Some(statement)) = (&self.entry, &mut self.statement) else { return };
        let (Some(amount), Some(money)) = (entry.amount(), &entry.money) else { return };
        statement.movements.add(&money.currency, amount);
        if let Some((expected, found)) = entry.difference() {
            let (expected, found) = (expected.to_string(), found.to_string());
            statement.flaw(Aspect::Details, entry.place, Some(&money.currency), expected, found);
        }
    }

    /// Makes a row of a transaction that ends at an offset.
    fn row(&mut self, transaction: Transaction, until: u64) {
        let (Some(entry), Some(statement)) = (&self.entry, &mut self.statement) else { return };
        let Some(money) = &entry.money else { return };
        statement.rows += 1;
        let row = BankRow {
            statement: statement.number_in_file(),
            statement_id: statement.id.clone(),
            account: statement.account(),
            amount: negated(transaction.amount),
            currency: money.currency.clone(),
            booked_on: entry.booked_on,
            is_reversal: entry.is_reversal,
            servicer_reference: transaction.servicer_reference.or_else(|| entry.servicer_reference.clone()),
            end_to_end_id: transaction.end_to_end_id,
            references: transaction.references,
        };
        let (line, byte) = transaction.place;
        let Some(key) = self.occurrences.key(identity(&row, statement).iter().map(String::as_str)) else {
            self.ending.failed.get_or_insert_with(|| Occurrences::beyond(line));
            return;
        };
        self.ending.rows += 1;
        self.sums.add(&row.currency, row.amount);
        let len = until.saturating_sub(byte);
        self.queue.push_back(Item::Row(Box::new(Located { line, byte, len, key, row: Row::Bank(row) })));
    }

    fn bad(&mut self, place: Place, problem: Problem) {
        self.ending.rows += 1;
        self.ending.bad_rows += 1;
        self.statement.iter_mut().for_each(|it| it.is_unsure = true);
        self.error(place, problem, true);
        self.ending.incomplete.get_or_insert_with(|| super::BAD_ROW.to_owned());
    }

    fn wrong(&mut self, place: Place, problem: Problem) {
        self.ending.incomplete.get_or_insert_with(|| problem.detail.clone());
        self.error(place, problem, false);
    }

    fn error(&mut self, (line, byte): Place, problem: Problem, is_row: bool) {
        let len = self.xml.here().1.saturating_sub(byte);
        let (provider_reference, reference) = (None, None);
        self.queue.push_back(Item::Error(ReportError {
            line,
            byte,
            len,
            problem,
            is_row,
            provider_reference,
            reference,
        }));
    }

    fn end_statement(&mut self) {
        if let Some(statement) = self.statement.take() {
            self.queue.push_back(Item::Statement(Box::new(statement.finish(&mut self.accounts))));
        }
    }

    /// Reads on until there is an item.
    fn fill(&mut self) -> io::Result<()> {
        while self.queue.is_empty() && !self.is_over {
            match self.step() {
                Ok(true) if self.ending.failed.is_none() => continue,
                Ok(_) => {}
                Err(XmlError::Io(error)) => return Err(error),
                Err(XmlError::Broken(code, detail)) => {
                    self.statement.iter_mut().for_each(|it| it.is_unsure = true);
                    self.end_statement();
                    self.wrong(self.xml.here(), Problem::of_record(code, detail));
                }
                Err(XmlError::Refused(code, detail)) => {
                    self.ending.failed = Some(HeaderError::new(self.xml.here().0, code, detail));
                }
            }
            self.is_over = true;
            let ending = Ending { sums: self.sums.list(), ..std::mem::take(&mut self.ending) };
            self.queue.push_back(Item::End(ending));
        }
        Ok(())
    }
}

impl<R: Read> Iterator for Messages<R> {
    type Item = io::Result<Item>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.fill() {
            Ok(()) => self.queue.pop_front().map(Ok),
            Err(error) => {
                self.is_over = true;
                Some(Err(error))
            }
        }
    }
}

impl<R: Read + Send> Items for Messages<R> {
    fn so_far(&self) -> Ending {
        Ending { sums: self.sums.list(), ..self.ending.clone() }
    }
}

/// The identity of an entry, whichever statement or notification repeats it: the bank's reference where there is
/// one, else all that it says. A bank may use its reference twice, so the amount, the day and the payer's id belong to it.
fn identity(row: &BankRow, statement: &Builder) -> Vec<String> {
    let day = row.booked_on.map(|it| it.to_string()).unwrap_or_default();
    let mut parts = vec![statement.account_number(), row.amount.to_string(), row.currency.clone(), day];
    match &row.servicer_reference {
        Some(reference) => parts.push(reference.clone()),
        // Equal entries on two pages of a statement are two.
        None => parts.push(statement.page.filter(|it| *it > 1).unwrap_or_default().to_string()),
    }
    match (&row.servicer_reference, &row.end_to_end_id) {
        (Some(_), Some(id)) => parts.push(id.clone()),
        _ => parts.extend(row.references.iter().cloned()),
    }
    parts
}

/// Follows `<?xml … encoding="…"?>` where no byte order mark has said the encoding.
fn decode_as_declared<R: Read>(source: &mut Source<R>) -> Result<(), HeaderError> {
    if source.is_marked() {
        return Ok(());
    }
    let head = source.head();
    let declaration = head.split(|it| *it == b'>').next().filter(|it| it.starts_with(b"<?xml")).unwrap_or_default();
    let declaration = String::from_utf8_lossy(declaration).into_owned();
    let Some((_, value)) = declaration.split_once("encoding") else { return Ok(()) };
    let name = value.split(['"', '\'']).nth(1).unwrap_or_default();
    let Some(encoding) = Encoding::named(name) else {
        let detail = format!("found the encoding {}; expected UTF-8 or ISO-8859-1", shown(name));
        return Err(HeaderError::new(1, Code::BadEncoding, detail));
    };
    source.decode_as(encoding);
    Ok(())
}

/// Reads up to the message's own element: which of the two it is. Returns the path of its statements.
fn message<R: Read>(xml: &mut Xml<R>) -> Result<String, OpenError> {
    let mut opened = 0;
    loop {
        opened += 1;
        match xml.next().map_err(|it| refused(it, xml))? {
            Step::Open if xml.path().ends_with("/Document") => {
                let found = xml.namespace().to_owned();
                let opened = xml.next().map_err(|it| refused(it, xml))?;
                return Ok(statements(&found, xml.path(), opened).map_err(|it| at(xml, &found, it))?);
            }
            Step::Open | Step::Close if opened <= MAX_ENVELOPE => {}
            _ => {
                let found = format!("{} in {}", xml.path(), shown(xml.namespace()));
                let detail = "found no ISO 20022 Document".to_owned();
                return Err(at(xml, &found, (Code::HeaderNotUnderstood, detail)).into());
            }
        }
    }
}

/// Tags of an envelope and its header before the document.
const MAX_ENVELOPE: u32 = 200;

fn statements(namespace: &str, path: &str, opened: Step) -> Result<String, (Code, String)> {
    let element = path.rsplit('/').next().unwrap_or_default();
    if namespace.contains(":camt.052.") || element == "BkToCstmrAcctRpt" {
        let detail = "found camt.052, an intraday report whose entries may still change; send camt.053 or camt.054";
        return Err((Code::WrongMessage, detail.to_owned()));
    }
    let fits = |(message, root, _): &&(&str, &str, &str)| {
        let version = namespace.split_once(&format!(":{message}.001.")).and_then(|(_, it)| it.get(..2)?.parse().ok());
        opened == Step::Open && element == *root && version.is_some_and(|it: u8| (2..=13).contains(&it))
    };
    match MESSAGES.iter().find(fits) {
        Some((_, _, statement)) => Ok(format!("{path}/{statement}")),
        None => Err((Code::WrongMessage, format!("found the message {}", shown(element)))),
    }
}

fn at<R: Read>(xml: &Xml<R>, found: &str, (code, detail): (Code, String)) -> HeaderError {
    let expected = ["urn:iso:std:iso:20022:tech:xsd:camt.053.001.02 to .13", "camt.054.001.02 to .13"];
    HeaderError::new(xml.place.0, code, detail).columns([found].into_iter(), &expected)
}

/// The header cannot be read.
fn refused<R: Read>(error: XmlError, xml: &Xml<R>) -> OpenError {
    match error {
        XmlError::Io(error) => OpenError::Io(error),
        XmlError::Broken(code, detail) | XmlError::Refused(code, detail) => {
            OpenError::Header(HeaderError::new(xml.here().0, code, detail))
        }
    }
}

#[cfg(test)]
mod tests;
