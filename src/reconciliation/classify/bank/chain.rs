//! The statements of one account: which of them add up, and which follow on from another.
//!
//! Judged are all known statements of the account, from all files, so the order of files does not matter. A
//! statement may come again, corrected: its newest version counts, and versions without a flaw of their own share its outcome.

use std::collections::{HashMap, HashSet};

use chrono::{Datelike as _, NaiveDate};
use rust_decimal::Decimal;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::clock::Time;
use crate::domain::text::string_enum;
use crate::reconciliation::classify::{Act, Class, Difference, Finding, Suggestion};
use crate::report_files::row::{Aspect, Balance, Flaw, Statement};

string_enum!(
    /// The outcome of a statement's check.
    Outcome {
        /// Its entries count.
        Sound = "sound",
        /// The statement does not add up; its entries do not count.
        BalanceMismatch = "BALANCE_MISMATCH",
        /// A statement is missing before it; its entries do not count.
        StatementGap = "STATEMENT_GAP",
    }
);

impl Outcome {
    /// The class of what does not count.
    #[must_use]
    pub const fn class(self) -> Option<Class> {
        match self {
            Self::Sound => None,
            Self::BalanceMismatch => Some(Class::BalanceMismatch),
            Self::StatementGap => Some(Class::StatementGap),
        }
    }
}

/// The rule of rows of a statement that does not count as this file has it.
pub const OWN: &str = "its_statement_does_not_count";
/// The rule of rows of a statement that does not count because of its newest version, which another file has.
pub const NEWER: &str = "its_newest_version_does_not_count";

/// A statement as one file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub statement: Statement,
    /// Nothing is concluded from sums and gaps in an incomplete file.
    pub is_complete: bool,
    pub as_of: Time,
}

impl Version {
    /// Versions of one statement have the same.
    #[must_use]
    pub fn subject(&self) -> String {
        let it = &self.statement;
        let number = |it: Option<u64>| it.map(|it| it.to_string()).unwrap_or_default();
        let opening = it.opening.as_ref().map(|it| format!("{} {}", it.amount.normalize(), it.currency));
        let parts = [
            it.account_key.as_str(),
            &it.is_notification.to_string(),
            &it.id,
            &number(it.number),
            &number(it.page),
            &opening.unwrap_or_default(),
        ];
        let hash = parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part).chain_update([0]));
        format!("statement:{}", hex::encode(&hash.finalize()[..16]))
    }

    fn has_own_flaw(&self) -> bool {
        self.is_complete && has_own_flaw(&self.statement)
    }

    /// The key by which the newest of two versions is found.
    fn age(&self) -> (bool, Time, String) {
        (self.is_complete, self.as_of, serde_json::to_string(&self.statement).unwrap_or_default())
    }

    fn day(&self) -> Option<NaiveDate> {
        let it = &self.statement;
        let balance = |it: &Option<Balance>| it.as_ref().and_then(|it| it.date);
        balance(&it.opening).or_else(|| balance(&it.closing)).or_else(|| it.made_at.map(|it| it.date()))
    }
}

/// Whether a statement does not add up in itself.
#[must_use]
pub fn has_own_flaw(statement: &Statement) -> bool {
    own_flaw(statement).is_some()
}

fn own_flaw(statement: &Statement) -> Option<&Flaw> {
    statement.flaws.iter().find(|it| matches!(it.aspect, Aspect::Entries | Aspect::Details))
}

/// A version with what it came to; the finding belongs to the newest one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    pub subject: String,
    pub outcome: Outcome,
    pub is_newest: bool,
    /// This version adds up; the newest one, which another file has, does not count, and so neither does this one.
    pub by_newer: bool,
    pub finding: Option<Finding>,
}

/// Judges all statements of one account, in the order given.
#[must_use]
pub fn judge(versions: &[Version]) -> Vec<Judged> {
    let subjects: Vec<String> = versions.iter().map(Version::subject).collect();
    let mut newest: HashMap<&str, usize> = HashMap::new();
    for (n, subject) in subjects.iter().enumerate() {
        let held = newest.entry(subject).or_insert(n);
        if versions[n].age() > versions[*held].age() {
            *held = n;
        }
    }
    let account = Account::of(newest.values().map(|n| &versions[*n]).collect());
    let findings: HashMap<&str, Option<Finding>> =
        newest.iter().map(|(subject, n)| (*subject, finding(subject, &versions[*n], &account))).collect();
    let judged = |n: usize| {
        let subject = subjects[n].as_str();
        let found = findings.get(subject).cloned().flatten();
        let has_own_flaw = versions[n].has_own_flaw();
        let outcome = match &found {
            _ if has_own_flaw => Outcome::BalanceMismatch,
            Some(it) if it.class == Class::StatementGap => Outcome::StatementGap,
            Some(_) => Outcome::BalanceMismatch,
            None => Outcome::Sound,
        };
        let is_newest = newest.get(subject) == Some(&n);
        let by_newer = !is_newest && !has_own_flaw && outcome != Outcome::Sound;
        Judged { subject: subjects[n].clone(), outcome, is_newest, by_newer, finding: found.filter(|_| is_newest) }
    };
    (0..versions.len()).map(judged).collect()
}

fn finding(subject: &str, it: &Version, account: &Account<'_>) -> Option<Finding> {
    if !it.is_complete {
        return None;
    }
    if let Some(flaw) = own_flaw(&it.statement) {
        let field = if flaw.aspect == Aspect::Details { "entry" } else { "closing_balance" };
        let difference = of_amounts(field, &flaw.expected, &flaw.found);
        let action = "ask the bank for a corrected statement; nothing of this one is settled";
        return Some(of_statement(Class::BalanceMismatch, subject, it, difference, &flaw.detail(), action));
    }
    let (difference, why) = account.gap(it)?;
    let action = "send the statement that is missing; until then nothing of this one is settled";
    Some(of_statement(Class::StatementGap, subject, it, difference, why, action))
}

fn of_statement(class: Class, subject: &str, it: &Version, difference: Difference, why: &str, action: &str) -> Finding {
    let Statement { id, account, number, page, opening, closing, .. } = &it.statement;
    let balance = |it: &Option<Balance>| it.as_ref().map(|it| format!("{} {}", it.amount, it.currency));
    Finding {
        class,
        subject: subject.to_owned(),
        aspect: "statement",
        act: Act::Case,
        ours: json!({}),
        theirs: json!({
            "statement_id": id, "account": account, "number": number, "page": page,
            "opening_balance": balance(opening), "closing_balance": balance(closing),
        }),
        differences: vec![difference],
        suggested: Suggestion { class, because: vec![why.to_owned()], action: action.to_owned() },
    }
}

fn of_amounts(field: &str, ours: &str, theirs: &str) -> Difference {
    let amounts = ours.parse().ok().zip(theirs.parse().ok());
    let delta = amounts.map(|(ours, theirs): (Decimal, Decimal)| (theirs - ours).to_string());
    Difference { delta, ..Difference::new(field, Some(ours), Some(theirs)) }
}

fn of_numbers(field: &str, missing: u64) -> Difference {
    Difference::new(field, Some(&missing.to_string()), Some(&(missing + 1).to_string()))
}

/// A balance that another statement may begin or end with.
type Amount = (Decimal, String);

fn amount(balance: &Balance) -> Amount {
    (balance.amount.normalize(), balance.currency.clone())
}

/// The statements of an account in their order, and by what another statement may follow on from.
struct Account<'a> {
    /// Without notifications, which have neither balances nor the statements' numbers.
    order: Vec<&'a Version>,
    has_days: bool,
    /// The first place of each number.
    numbers: HashMap<(Option<i32>, u64), usize>,
    pages: HashSet<(&'a str, Option<u64>, u64)>,
    /// How many statements end with it.
    closings: HashMap<Amount, usize>,
    /// The first place of a statement that begins with it on that day.
    openings: HashMap<(Amount, NaiveDate), usize>,
}

impl<'a> Account<'a> {
    fn of(mut order: Vec<&'a Version>) -> Self {
        order.retain(|it| !it.statement.is_notification);
        let has_days = order.iter().all(|it| it.day().is_some());
        order.sort_by_cached_key(|it| {
            let Statement { number, page, made_at, id, .. } = &it.statement;
            (it.day().filter(|_| has_days), *number, *page, *made_at, id.clone(), it.subject())
        });
        let (numbers, pages) = (HashMap::new(), HashSet::new());
        let mut account =
            Self { order: Vec::new(), has_days, numbers, pages, closings: HashMap::new(), openings: HashMap::new() };
        for (place, it) in order.iter().enumerate() {
            account.add(place, it);
        }
        Self { order, ..account }
    }

    fn add(&mut self, place: usize, it: &'a Version) {
        let statement = &it.statement;
        if let Some(number) = statement.number {
            self.numbers.entry((self.year(it), number)).or_insert(place);
        }
        self.pages.extend(statement.page.map(|page| (statement.id.as_str(), statement.number, page)));
        if let Some(closing) = &statement.closing {
            *self.closings.entry(amount(closing)).or_default() += 1;
        }
        if let Some((opening, day)) = statement.opening.as_ref().and_then(|it| Some((it, it.date?))) {
            self.openings.entry((amount(opening), day)).or_insert(place);
        }
    }

    fn year(&self, it: &Version) -> Option<i32> {
        it.day().filter(|_| self.has_days).map(|day| day.year())
    }

    /// The gap before a statement. The first known one of an account follows on from nothing.
    fn gap(&self, it: &Version) -> Option<(Difference, &'static str)> {
        let place = self.order.iter().position(|other| std::ptr::eq(*other, it)).filter(|place| *place > 0)?;
        let missing = if let Some(page) = self.missing_page(it) {
            (of_numbers("page", page), "a page is missing before this one")
        } else if let Some(number) = self.missing_number(it, place) {
            (of_numbers("number", number), "a statement is missing before this one")
        } else {
            let closing = self.missing_balance(it, place)?;
            let opening = it.statement.opening.as_ref().map(|it| it.amount.to_string()).unwrap_or_default();
            let why = "no statement of the account ends with this opening balance";
            (of_amounts("opening_balance", &closing.amount.to_string(), &opening), why)
        };
        (!self.is_covered(it)).then_some(missing)
    }

    fn missing_page(&self, it: &Version) -> Option<u64> {
        let statement = &it.statement;
        let before = statement.page.filter(|page| *page > 1)? - 1;
        (!self.pages.contains(&(statement.id.as_str(), statement.number, before))).then_some(before)
    }

    /// The number that should be there. The first statement of a year may begin the count again.
    fn missing_number(&self, it: &Version, place: usize) -> Option<u64> {
        let number = it.statement.number.filter(|number| *number > 1)?;
        let year = self.year(it);
        let has_numbers = self.order[..place].iter().any(|other| other.statement.number.is_some());
        let follows = self.numbers.contains_key(&(year, number - 1));
        let is_shared = self.numbers.get(&(year, number)).is_some_and(|first| *first < place);
        (has_numbers && !follows && !is_shared).then_some(number - 1)
    }

    /// The closing balance that the statement should begin with.
    fn missing_balance(&self, it: &Version, place: usize) -> Option<&Balance> {
        let opening = it.statement.opening.as_ref()?;
        let last = self.order[..place].iter().rev().find_map(|other| other.statement.closing.as_ref())?;
        let own = it.statement.closing.as_ref().is_some_and(|closing| amount(closing) == amount(opening));
        let ends = self.closings.get(&amount(opening)).copied().unwrap_or_default();
        // A statement of more days may begin where another one began.
        let first = opening.date.and_then(|day| self.openings.get(&(amount(opening), day)));
        let follows = ends > usize::from(own) || first.is_some_and(|first| *first < place);
        (!follows).then_some(last)
    }

    /// Whether a longer statement has all days of this one.
    fn is_covered(&self, it: &Version) -> bool {
        let days = |it: &Version| {
            let Statement { opening, closing, .. } = &it.statement;
            Some((opening.as_ref()?.date?, closing.as_ref()?.date?))
        };
        let Some((from, until)) = days(it) else { return false };
        let covers =
            |(first, last): (NaiveDate, NaiveDate)| first <= from && until <= last && last - first > until - from;
        self.order.iter().filter_map(|other| days(other)).any(covers)
    }
}
