//! A statement or notification: its account, its balances, and whether they add up, also with the statement before it.

use std::cell::OnceCell;
use std::collections::HashMap;

use chrono::{NaiveDate, NaiveDateTime};
use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};

use super::entry::{Money, Place, direction, money, signed};
use crate::domain::bank::{compact, mask};
use crate::outbound::json::sanitize;
use crate::report_files::date;
use crate::report_files::error::{Code, Problem};
use crate::report_files::number::quantity;
use crate::report_files::row::{Aspect, Balance, Flaw, Statement};
use crate::report_files::tally::Sums;

/// Flaws that are listed of one statement.
const MAX_FLAWS: usize = 100;
/// Accounts of one file whose last balance is remembered.
const MAX_ACCOUNTS: usize = 10_000;

/// A statement that is being read.
#[derive(Debug, Default)]
pub struct Builder {
    place: Place,
    number_in_file: u64,
    is_notification: bool,
    pub id: String,
    made_at: Option<NaiveDateTime>,
    account: String,
    account_currency: String,
    /// Made when the first row needs it.
    account_key: OnceCell<String>,
    number: Option<u64>,
    legal_number: Option<u64>,
    pub page: Option<u64>,
    balance: BalanceBuilder,
    opening: Option<Balance>,
    /// The closing balance of the day before, where no opening balance stands.
    previous: Option<Balance>,
    closing: Option<Balance>,
    interim: [Option<Balance>; 2],
    pub movements: Sums,
    pub rows: u64,
    flaws: Vec<Flaw>,
    /// An entry was bad, so nothing can be added up.
    pub is_unsure: bool,
}

#[derive(Debug, Default)]
struct BalanceBuilder {
    code: String,
    money: Option<Money>,
    is_credit: Option<bool>,
    date: Option<NaiveDate>,
}

/// The last statement of an account in this file.
struct Last {
    number: Option<u64>,
    closing: Option<Balance>,
}

/// The last statement of each account in the file so far.
#[derive(Default)]
pub struct Accounts(HashMap<String, Last>);

impl Builder {
    pub fn new(place: Place, number_in_file: u64, is_notification: bool) -> Self {
        Self { place, number_in_file, is_notification, ..Self::default() }
    }

    pub const fn number_in_file(&self) -> u64 {
        self.number_in_file
    }

    pub fn account(&self) -> String {
        mask(&self.account)
    }

    pub fn account_number(&self) -> String {
        compact(&self.account)
    }

    /// Tells accounts apart without their number.
    pub fn account_key(&self) -> &str {
        self.account_key.get_or_init(|| {
            let hash = Sha256::new().chain_update(&self.account).chain_update([0]).chain_update(&self.account_currency);
            hex::encode(&hash.finalize()[..16])
        })
    }

    /// Takes the text of an element below the statement.
    pub fn element(&mut self, path: &str, text: &str, ccy: &str) -> Result<(), Problem> {
        let number = || quantity(text).ok();
        let result = match path {
            "Bal/Amt" => money(text, ccy).map(|it| self.balance.money = Some(it)),
            "Bal/CdtDbtInd" => direction(text).map(|it| self.balance.is_credit = Some(it)),
            "Bal/Dt/Dt" => date::local_date(text).map(|it| self.balance.date = Some(it)),
            "Bal/Dt/DtTm" => date::local_time(text).map(|it| self.balance.date = Some(it.date())),
            _ => {
                match path {
                    "Id" => self.id = sanitize(text),
                    "CreDtTm" => self.made_at = date::local_time(text).ok(),
                    "ElctrncSeqNb" => self.number = number(),
                    "LglSeqNb" => self.legal_number = number(),
                    "StmtPgntn/PgNb" | "NtfctnPgntn/PgNb" => self.page = number(),
                    "Acct/Id/IBAN" | "Acct/Id/Othr/Id" | "Acct/Id/PrtryAcct/Id" => self.account = text.to_owned(),
                    "Acct/Ccy" => self.account_currency = text.to_owned(),
                    "Bal/Tp/CdOrPrtry/Cd" | "Bal/Tp/Cd" => self.balance.code = text.to_owned(),
                    "Bal" => self.end_balance(),
                    _ => {}
                }
                return Ok(());
            }
        };
        result.map_err(|(code, detail)| Problem::new(path, code, detail))
    }

    fn end_balance(&mut self) {
        let BalanceBuilder { code, money, is_credit, date } = std::mem::take(&mut self.balance);
        let (Some(money), Some(is_credit)) = (money, is_credit) else { return };
        let balance = Balance { amount: signed(money.amount, is_credit), currency: money.currency, date };
        match code.as_str() {
            "OPBD" => self.opening = Some(balance),
            "PRCD" => self.previous = Some(balance),
            "CLBD" => self.closing = Some(balance),
            "ITBD" if self.interim[0].is_none() => self.interim[0] = Some(balance),
            "ITBD" => self.interim[1] = Some(balance),
            _ => {}
        }
    }

    pub fn flaw(&mut self, aspect: Aspect, place: Place, currency: Option<&str>, expected: String, found: String) {
        if self.flaws.len() < MAX_FLAWS {
            let (line, byte) = place;
            let currency = currency.map(str::to_owned);
            self.flaws.push(Flaw { aspect, line, byte, expected, found, currency });
        }
    }

    /// A page of a statement begins or ends with an interim balance.
    fn balances(&mut self) -> (Option<Balance>, Option<Balance>) {
        let [first, second] = std::mem::take(&mut self.interim);
        let opening = self.opening.take().or(self.previous.take());
        let (opening, left) = if opening.is_some() { (opening, [first, second]) } else { (first, [second, None]) };
        let [a, b] = left;
        (opening, self.closing.take().or(b).or(a))
    }

    /// Ends the statement: checks its balances and its place behind the one before.
    pub fn finish(mut self, accounts: &mut Accounts) -> Statement {
        let (opening, closing) = self.balances();
        let number = self.number.or(self.legal_number);
        let account_key = self.account_key().to_owned();
        if let (Some(opening), Some(closing), false) = (&opening, &closing, self.is_unsure) {
            self.check_entries(opening, closing);
        }
        if let Some(last) = accounts.0.get(&account_key) {
            self.check_order(last, number, opening.as_ref());
        }
        if accounts.0.len() < MAX_ACCOUNTS || accounts.0.contains_key(&account_key) {
            accounts.0.insert(account_key.clone(), Last { number, closing: closing.clone() });
        }
        let (line, byte) = self.place;
        Statement {
            line,
            byte,
            number_in_file: self.number_in_file,
            account: self.account(),
            account_key,
            id: self.id,
            number,
            page: self.page,
            is_notification: self.is_notification,
            made_at: self.made_at,
            opening,
            closing,
            movements: self.movements.list(),
            rows: self.rows,
            flaws: self.flaws,
        }
    }

    fn check_entries(&mut self, opening: &Balance, closing: &Balance) {
        let mut sums = std::mem::take(&mut self.movements);
        let moved = sums.clone();
        sums.add(&opening.currency, opening.amount);
        let expected = sums.of(&opening.currency);
        if opening.currency != closing.currency || expected != closing.amount {
            let currency = Some(closing.currency.as_str());
            self.flaw(Aspect::Entries, self.place, currency, expected.to_string(), closing.amount.to_string());
        }
        self.movements = moved;
    }

    /// A statement after a gap cannot begin with the last balance, so a gap is told alone.
    fn check_order(&mut self, last: &Last, number: Option<u64>, opening: Option<&Balance>) {
        if let (Some(before), Some(number)) = (last.number, number) {
            // Pages share a number, and the first statement of a year may begin the count again.
            if number > before + 1 {
                return self.flaw(Aspect::Number, self.place, None, (before + 1).to_string(), number.to_string());
            }
        }
        if let (Some(closing), Some(opening)) = (&last.closing, opening)
            && (closing.amount, &closing.currency) != (opening.amount, &opening.currency)
        {
            let (expected, found): (Decimal, Decimal) = (closing.amount, opening.amount);
            let currency = opening.currency.clone();
            self.flaw(Aspect::Opening, self.place, Some(&currency), expected.to_string(), found.to_string());
        }
    }
}

impl Flaw {
    #[must_use]
    pub const fn code(&self) -> Code {
        match self.aspect {
            Aspect::Number | Aspect::Opening => Code::StatementGap,
            Aspect::Entries | Aspect::Details => Code::BalanceMismatch,
        }
    }

    /// In words.
    #[must_use]
    pub fn detail(&self) -> String {
        let (expected, found) = (&self.expected, &self.found);
        let currency = self.currency.as_ref().map(|it| format!(" {it}")).unwrap_or_default();
        let what = match self.aspect {
            Aspect::Entries => "found the closing balance",
            Aspect::Details => "found transactions of",
            Aspect::Opening => "found the opening balance",
            Aspect::Number => "found the statement number",
        };
        let why = match self.aspect {
            Aspect::Entries => ", the opening balance and the entries",
            Aspect::Details => ", the amount of their entry",
            Aspect::Opening => ", the closing balance of the statement before",
            Aspect::Number => ": a statement is missing before this one",
        };
        format!("{what} {found}{currency}; expected {expected}{currency}{why}")
    }
}
