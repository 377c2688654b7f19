//! An entry of a statement and its transactions: one row per transaction, else one for the entry.
//!
//! The bank's sign is kept while amounts are compared: a credit is positive. A row has ours: positive means that we paid. `RvslInd`
//! says that an entry takes another one back; its sign is that of its own `CdtDbtInd`.

use chrono::NaiveDate;
use rust_decimal::Decimal;

use crate::outbound::json::sanitize;
use crate::report_files::date;
use crate::report_files::error::{Code, Problem, shown};
use crate::report_files::fields::{currency, minor_digits};
use crate::report_files::number::{NumberFormat, canonical, negated};

/// References that are kept of transactions without an amount of their own, which become one row.
const MAX_REFERENCES: usize = 1_000;

/// Line and offset.
pub type Place = (u64, u64);

/// Money without a sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Money {
    pub amount: Decimal,
    pub currency: String,
}

/// The values that a row is made of.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    pub place: Place,
    /// With the bank's sign.
    pub amount: Decimal,
    pub references: Vec<String>,
    pub servicer_reference: Option<String>,
    pub end_to_end_id: Option<String>,
}

/// An entry that is being read.
#[derive(Debug, Default)]
pub struct Entry {
    pub place: Place,
    pub money: Option<Money>,
    is_credit: Option<bool>,
    pub is_reversal: bool,
    status: String,
    pub booked_on: Option<NaiveDate>,
    pub servicer_reference: Option<String>,
    charges: Charges,
    /// The first thing that is wrong with the entry itself.
    pub problem: Option<Problem>,
    detail: Option<Detail>,
    /// The sum of transactions with an amount of their own.
    itemised: Decimal,
    /// The charges of transactions.
    charged: Decimal,
    /// The first transaction, if the instructed amount is its only one: alone in its entry, it has the entry's amount.
    first: Option<Transaction>,
    /// Transactions without one: they share what is left of the entry.
    rest: Option<Transaction>,
    /// The transactions that have begun.
    details: u64,
    pub has_bad_detail: bool,
}

/// A transaction that is being read.
#[derive(Debug, Default)]
struct Detail {
    place: Place,
    /// In the order in which they are trusted.
    amounts: [Option<Money>; 3],
    /// The amount that the debtor ordered, perhaps before charges.
    instructed: Option<Money>,
    is_credit: Option<bool>,
    charges: Charges,
    references: Vec<String>,
    servicer_reference: Option<String>,
    end_to_end_id: Option<String>,
    problem: Option<Problem>,
}

/// The charges that a bank took from an amount, with its sign.
#[derive(Debug, Default)]
struct Charges {
    total: Decimal,
    amount: Option<Decimal>,
    is_credit: bool,
}

impl Charges {
    /// A charge is read when its element ends: amount and direction stand in any order.
    fn end(&mut self) {
        if let Some(amount) = self.amount.take() {
            self.total += signed(amount, self.is_credit);
        }
        self.is_credit = false;
    }
}

impl Entry {
    pub fn new(place: Place) -> Self {
        Self { place, ..Self::default() }
    }

    /// Pending and informational entries have moved no money.
    pub fn is_booked(&self) -> bool {
        matches!(self.status.as_str(), "" | "BOOK")
    }

    /// With the bank's sign.
    pub fn amount(&self) -> Option<Decimal> {
        let (money, is_credit) = (self.money.as_ref()?, self.is_credit?);
        Some(signed(money.amount, is_credit))
    }

    /// Takes the text of an element below `Ntry`.
    pub fn element(&mut self, path: &str, text: &str, ccy: &str) {
        let result = match path {
            "Amt" => money(text, ccy).map(|it| self.money = Some(it)),
            "CdtDbtInd" => direction(text).map(|it| self.is_credit = Some(it)),
            "RvslInd" => flag(text).map(|it| self.is_reversal = it),
            "Sts" | "Sts/Cd" => {
                // `Sts` ends after `Sts/Cd` and has no text of its own then.
                if !text.is_empty() {
                    self.status = text.to_owned();
                }
                Ok(())
            }
            "Sts/Prtry" => proprietary(text).map(|it| self.status = it),
            "BookgDt/Dt" => date::local_date(text).map(|it| self.booked_on = Some(it)),
            "BookgDt/DtTm" => date::local_time(text).map(|it| self.booked_on = Some(it.date())),
            "AcctSvcrRef" => {
                self.servicer_reference = Some(sanitize(text));
                Ok(())
            }
            _ => charge(&mut self.charges, path, text, ccy),
        };
        if let Err((code, detail)) = result {
            self.problem.get_or_insert_with(|| Problem::new(&format!("Ntry/{path}"), code, detail));
        }
    }

    /// Begins a transaction. The one before it is returned if it waited to see whether it is alone.
    pub fn begin_detail(&mut self, place: Place) -> Option<Transaction> {
        self.details += 1;
        self.detail = Some(Detail { place, ..Detail::default() });
        let first = self.first.take()?;
        self.itemised += first.amount;
        Some(first)
    }

    /// Takes the text of an element below `TxDtls`.
    pub fn detail_element(&mut self, path: &str, text: &str, ccy: &str) {
        let Some(detail) = &mut self.detail else { return };
        if let Err((code, told)) = detail.element(path, text, ccy) {
            let field = format!("Ntry/NtryDtls/TxDtls/{path}");
            detail.problem.get_or_insert_with(|| Problem::new(&field, code, told));
        }
    }

    /// Ends a transaction. None: it has no amount of its own, it waits for the next one, or the entry as a whole is bad or not booked.
    pub fn end_detail(&mut self) -> Option<Result<Transaction, (Place, Problem)>> {
        let detail = self.detail.take()?;
        if self.problem().is_some() || !self.is_booked() {
            return None;
        }
        if let Some(problem) = detail.problem {
            self.has_bad_detail = true;
            return Some(Err((detail.place, problem)));
        }
        let is_credit = detail.is_credit.or(self.is_credit)?;
        let currency = &self.money.as_ref()?.currency;
        let is_ours = |it: &Money| it.currency == *currency;
        let own = detail.amounts.into_iter().flatten().find(is_ours);
        let (has_own, instructed) = (own.is_some(), detail.instructed.filter(is_ours));
        self.charged += detail.charges.total;
        let Detail { place, references, servicer_reference, end_to_end_id, .. } = detail;
        let transaction = Transaction { place, servicer_reference, end_to_end_id, ..Transaction::default() };
        if let Some(money) = own.or(instructed) {
            let amount = signed(money.amount, is_credit);
            let transaction = Transaction { amount, references, ..transaction };
            if self.details == 1 && !has_own {
                self.first = Some(transaction);
                return None;
            }
            self.itemised += amount;
            return Some(Ok(transaction));
        }
        let rest = self.rest.get_or_insert(transaction);
        let room = MAX_REFERENCES.saturating_sub(rest.references.len());
        rest.references.extend(references.into_iter().take(room));
        None
    }

    /// Why the entry cannot be used.
    pub fn problem(&self) -> Option<Problem> {
        let missing = |field| Some(Problem::new(field, Code::Missing, "found nothing; expected a value"));
        match (&self.problem, &self.money, self.is_credit) {
            (Some(problem), _, _) => Some(problem.clone()),
            (None, None, _) => missing("Ntry/Amt"),
            (None, _, None) => missing("Ntry/CdtDbtInd"),
            _ => None,
        }
    }

    /// The row of an entry without transactions, or of those that have no amount of their own.
    pub fn rest(&mut self) -> Option<Transaction> {
        let amount = self.amount()?;
        if self.details == 0 {
            let servicer_reference = self.servicer_reference.clone();
            let (references, end_to_end_id) = (Vec::new(), None);
            return Some(Transaction { place: self.place, amount, references, servicer_reference, end_to_end_id });
        }
        let rest = self.first.take().or(self.rest.take())?;
        let left = amount - self.itemised;
        self.itemised = amount;
        Some(Transaction { amount: left, ..rest })
    }

    /// The amounts of entry and transactions if they differ, also with the charges between them.
    pub fn difference(&self) -> Option<(Decimal, Decimal)> {
        let amount = self.amount().filter(|_| self.details > 0 && !self.has_bad_detail)?;
        // Banks name the same charge at the entry, at its transactions, or at both.
        let (entry, own, none) = (self.charges.total, self.charged, Decimal::ZERO);
        let adds_up = [none, entry, own, entry + own].iter().any(|charges| self.itemised + charges == amount);
        (!adds_up).then_some((amount, self.itemised))
    }
}

impl Detail {
    fn element(&mut self, path: &str, text: &str, ccy: &str) -> Result<(), (Code, String)> {
        match path {
            "Amt" => self.amounts[0] = Some(money(text, ccy)?),
            "AmtDtls/TxAmt/Amt" => self.amounts[1] = Some(money(text, ccy)?),
            "AmtDtls/CntrValAmt/Amt" => self.amounts[2] = Some(money(text, ccy)?),
            "AmtDtls/InstdAmt/Amt" => self.instructed = Some(money(text, ccy)?),
            "CdtDbtInd" => self.is_credit = Some(direction(text)?),
            "Refs/AcctSvcrRef" => self.servicer_reference = Some(sanitize(text)),
            "Refs/EndToEndId" | "RmtInf/Ustrd" | "RmtInf/Strd/CdtrRefInf/Ref" => {
                if text.is_empty() || text == "NOTPROVIDED" {
                    return Ok(());
                }
                if path == "Refs/EndToEndId" {
                    self.end_to_end_id = Some(sanitize(text));
                }
                if self.references.len() < MAX_REFERENCES {
                    self.references.push(sanitize(text));
                }
            }
            _ => charge(&mut self.charges, path, text, ccy)?,
        }
        Ok(())
    }
}

/// `Chrgs/Rcrd` since version 04, `Chrgs` itself before.
fn charge(charges: &mut Charges, path: &str, text: &str, ccy: &str) -> Result<(), (Code, String)> {
    match path {
        "Chrgs/Amt" | "Chrgs/Rcrd/Amt" => charges.amount = Some(money(text, ccy)?.amount),
        "Chrgs/CdtDbtInd" | "Chrgs/Rcrd/CdtDbtInd" => charges.is_credit = direction(text)?,
        "Chrgs" | "Chrgs/Rcrd" => charges.end(),
        _ => {}
    }
    Ok(())
}

pub fn signed(amount: Decimal, is_credit: bool) -> Decimal {
    if is_credit { amount } else { negated(amount) }
}

pub fn money(text: &str, ccy: &str) -> Result<Money, (Code, String)> {
    let currency = currency(ccy)?;
    let amount = NumberFormat::PLAIN.amount(text)?;
    if amount.is_sign_negative() {
        let expected = "expected an amount without a sign, beside CdtDbtInd";
        return Err((Code::AmountNotDecimal, format!("found {}; {expected}", shown(text))));
    }
    Ok(Money { amount: canonical(amount, minor_digits(currency)), currency: currency.code().to_owned() })
}

/// Whether it is a credit.
pub fn direction(text: &str) -> Result<bool, (Code, String)> {
    match text {
        "CRDT" => Ok(true),
        "DBIT" => Ok(false),
        _ => Err((Code::UnknownIndicator, format!("found {}; expected CRDT or DBIT", shown(text)))),
    }
}

/// A bank's own word for the status of an entry says only by chance whether money has moved.
fn proprietary(text: &str) -> Result<String, (Code, String)> {
    match text {
        "BOOK" | "PDNG" | "INFO" => Ok(text.to_owned()),
        _ => Err((Code::UnknownIndicator, format!("found {}; expected BOOK, PDNG or INFO", shown(text)))),
    }
}

fn flag(text: &str) -> Result<bool, (Code, String)> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err((Code::UnknownIndicator, format!("found {}; expected true or false", shown(text)))),
    }
}
