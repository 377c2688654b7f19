//! Bank entries beside the settlements that they name.
//!
//! ```text
//! names.rs    the settlements that texts name
//! chain.rs    the statements of an account: which add up, which follow on from another
//! finding.rs  what is told to a person
//! ```
//!
//! All entries that name a settlement are judged together, so the order of files does not matter. One entry pays a settlement: the
//! first, by day and key, with exactly its amount and currency. Positive means that we owe, and that we paid; an entry's reversal
//! indicator does not turn its sign.

pub mod chain;
mod finding;
pub mod names;
#[cfg(test)]
mod tests;

use chrono::{NaiveDate, NaiveTime, TimeDelta};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Class, Finding};
use crate::clock::Time;

/// The settings that a judgement depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// `SETTLEMENT_WINDOW`, in seconds.
    pub window: i64,
    /// The time of the judgement.
    pub now: Time,
    /// Whether there is a complete bank report of the provider: without one an absent payment says nothing.
    pub has_statements: bool,
}

impl Rules {
    fn due(&self, from: Time) -> Time {
        from + TimeDelta::try_seconds(self.window).unwrap_or(TimeDelta::MAX)
    }
}

/// The sum that a settlement asks for in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    pub currency: String,
    pub amount: Decimal,
    /// The day it was booked on, else when its file was received.
    pub said_at: Time,
}

/// A settlement that charges or bank entries name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    pub id: String,
    /// Per currency; none while its row has not come.
    pub dues: Vec<Due>,
}

/// A bank entry, whichever statements repeat it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub key: String,
    pub amount: Decimal,
    pub currency: String,
    pub booked_on: Option<NaiveDate>,
    pub is_reversal: bool,
    /// The settlements that its texts name.
    pub names: Vec<String>,
    /// When its first file was received.
    pub received_at: Time,
    /// Whether a statement that adds up has it.
    pub is_sound: bool,
    pub statement_id: String,
    /// Masked.
    pub account: String,
    pub servicer_reference: Option<String>,
}

impl Entry {
    /// Charges may come later than the money moved, and older statements may be sent later.
    fn waits_until(&self, rules: &Rules) -> Time {
        let booked = self.booked_on.map(|day| day.and_time(NaiveTime::MIN).and_utc());
        rules.due(booked.map_or(self.received_at, |it| it.max(self.received_at)))
    }
}

/// The judgement of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JudgedEntry {
    pub key: String,
    pub class: Class,
    pub rule: &'static str,
    pub finding: Option<Finding>,
}

impl JudgedEntry {
    fn matched(entry: &Entry, rule: &'static str) -> Self {
        Self { key: entry.key.clone(), class: Class::Matched, rule, finding: None }
    }

    fn found(entry: &Entry, rule: &'static str, finding: Finding) -> Self {
        Self { key: entry.key.clone(), class: finding.class, rule, finding: Some(finding) }
    }
}

/// A due that an entry pays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    pub currency: String,
    /// Negative: the provider gave it to us.
    pub amount: Decimal,
    pub entry: String,
}

/// The judgement of a settlement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Of sound entries, in the order given.
    pub entries: Vec<JudgedEntry>,
    pub payments: Vec<Payment>,
    /// The settlement is unpaid although its window has passed.
    pub unpaid: Option<Finding>,
    /// Whether something is still to be paid.
    pub is_open: bool,
    /// When it must be judged again without a new row.
    pub look_at: Option<Time>,
}

/// The values that an entry was judged by, to judge it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    pub key: String,
    pub settlement: Settlement,
    /// The entry, and those that pay the settlement.
    pub entries: Vec<Entry>,
    pub rules: Rules,
}

impl Basis {
    /// The other entries that name the settlement do not matter.
    #[must_use]
    pub fn of(key: &str, settlement: &Settlement, all: &[Entry], (payments, rules): (&[Payment], Rules)) -> Self {
        let pays = |it: &Entry| payments.iter().any(|payment| payment.entry == it.key);
        let entries = all.iter().filter(|it| it.key == key || pays(it)).cloned().collect();
        Self { key: key.to_owned(), settlement: settlement.clone(), entries, rules }
    }

    /// Judges the entry again. None: no statement that adds up has it.
    #[must_use]
    pub fn judge(&self) -> Option<JudgedEntry> {
        let judged = judge(&self.settlement, &self.entries, &self.rules);
        judged.entries.into_iter().find(|it| it.key == self.key)
    }
}

/// Judges a settlement and all entries that name it.
#[must_use]
pub fn judge(settlement: &Settlement, entries: &[Entry], rules: &Rules) -> Judged {
    let payments: Vec<Payment> = settlement.dues.iter().filter_map(|due| payment(due, entries)).collect();
    let sound = entries.iter().filter(|it| it.is_sound);
    let judged: Vec<JudgedEntry> = sound.map(|it| entry(it, settlement, &payments, rules)).collect();
    let is_unpaid = |due: &&Due| !due.amount.is_zero() && !payments.iter().any(|it| it.currency == due.currency);
    let unpaid: Vec<&Due> = settlement.dues.iter().filter(is_unpaid).collect();
    let passed = |due: &&Due| rules.due(due.said_at) <= rules.now;
    let late: Vec<&Due> = unpaid.iter().copied().filter(passed).collect();
    // An entry that names the settlement has a finding of its own, or its statement has.
    let is_named = !entries.is_empty() || names::word_of(&settlement.id).is_none();
    let is_missed = rules.has_statements && !is_named && !late.is_empty();
    let waiting = judged.iter().filter_map(|it| match it.finding.as_ref()?.act {
        super::Act::Wait { until } => Some(until),
        _ => None,
    });
    let to_come = unpaid.iter().map(|due| rules.due(due.said_at)).filter(|due| *due > rules.now);
    Judged {
        look_at: waiting.chain(to_come).min(),
        is_open: !unpaid.is_empty(),
        unpaid: is_missed.then(|| finding::unpaid(settlement, &late)),
        entries: judged,
        payments,
    }
}

/// The first entry, by day and key, that pays a due exactly.
fn payment(due: &Due, entries: &[Entry]) -> Option<Payment> {
    let pays =
        |it: &&Entry| it.is_sound && it.names.len() == 1 && it.currency == due.currency && it.amount == due.amount;
    let first = entries.iter().filter(pays).min_by_key(|it| (it.booked_on, &it.key))?;
    let (currency, amount) = (due.currency.clone(), due.amount);
    (!amount.is_zero()).then(|| Payment { currency, amount, entry: first.key.clone() })
}

fn entry(entry: &Entry, settlement: &Settlement, payments: &[Payment], rules: &Rules) -> JudgedEntry {
    let found = |rule, finding| JudgedEntry::found(entry, rule, finding);
    if entry.names.len() > 1 {
        return found("names_several_settlements", finding::several(entry));
    }
    if settlement.dues.is_empty() {
        let until = entry.waits_until(rules);
        return if until > rules.now {
            found("settlement_is_still_to_come", finding::early(entry, until))
        } else {
            found("settlement_never_came", finding::unknown(entry))
        };
    }
    let Some(due) = settlement.dues.iter().find(|it| it.currency == entry.currency) else {
        return found("another_currency", finding::currency(entry, &settlement.dues));
    };
    let payment = payments.iter().find(|it| it.currency == due.currency);
    match payment {
        Some(payment) if payment.entry == entry.key => JudgedEntry::matched(entry, "pays_its_settlement"),
        None if entry.amount.is_zero() && due.amount.is_zero() => JudgedEntry::matched(entry, "nothing_to_pay"),
        _ if entry.amount == -due.amount => found("gives_the_payment_back", finding::given_back(entry, due)),
        Some(_) => found("second_payment", finding::second(entry, due)),
        None => found("another_amount", finding::amount(entry, due)),
    }
}
