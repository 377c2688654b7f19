//! The charges: what each step cost, refunds, adjustments, group lines and the settlements of all of them.
//!
//! Refusals in euros are charged by one group line; each other step has its own line.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use rust_decimal::Decimal;

use super::deal::Dealt;
use super::divergence::{File, Kind};
use super::entry::Entry;
use super::line::{COLUMNS, Line, money};
use super::prices::{self, Bill, Fee, Step, minor};
use super::sheet::Sheet;
use super::{Ask, Marks};
use crate::mint;
use crate::snapshot::Status;

/// The bank debits a settlement so many days later.
const DEBITED_AFTER: Days = Days::new(3);
/// A group that no number of unsettled fees can have.
const WRONG_QUANTITY: usize = 1_000;

/// The code of refusals.
const REFUSED: &str = "application_rejected";

/// Sums of the written rows by currency, without the settlements.
pub(super) type Sums = BTreeMap<String, Decimal>;

/// Writes the file, and marks the lines of the divergences. Returns the written rows and their sums too.
pub(super) fn write(
    entries: &[Entry],
    dealt: &Dealt,
    seed: u64,
    ask: &Ask,
    marks: &mut Marks,
) -> (String, Vec<Line>, Sums) {
    let mut books = Books { seed, ask, marks, lines: Vec::new(), refusals: Vec::new() };
    for (at, entry) in entries.iter().enumerate() {
        let kind = dealt.of(at).filter(|kind| kind.file() == File::Charges && ask.shows(*kind));
        let partner = dealt.partner(at).and_then(|partner| entries.get(partner));
        books.entry(entry, kind, partner);
    }
    if ask.again {
        books.lines.retain(|line| line.mark.is_some());
    } else {
        books.group();
        books.loose(dealt);
        books.settle(dealt);
    }
    let mut lines = books.lines;

    let mut sheet = Sheet::default();
    sheet.record(ask.header("charges"));
    sheet.record(COLUMNS);
    let (kept, mut sums) = (ask.kept(lines.len()), Sums::new());
    for line in lines.iter().take(kept) {
        marks.line(line.mark, sheet.record(line.fields()));
        if line.kind != "settlement" {
            *sums.entry(line.currency.clone()).or_default() += line.fee.amount;
        }
    }
    if !ask.cut {
        let written: Vec<String> = sums.iter().map(|(of, sum)| format!("{of}={}", money(*sum))).collect();
        sheet.record(["TRAILER", &kept.to_string(), &written.join(";")]);
    }
    lines.truncate(kept);
    (sheet.finish(), lines, sums)
}

/// The lines as they are collected.
struct Books<'a> {
    seed: u64,
    ask: &'a Ask,
    marks: &'a mut Marks,
    lines: Vec<Line>,
    /// The fees that the group line sums up.
    refusals: Vec<Fee>,
}

impl Books<'_> {
    /// The lines of one request.
    fn entry(&mut self, entry: &Entry, kind: Option<Kind>, partner: Option<&Entry>) {
        let (seed, ask) = (self.seed, self.ask);
        let (request, in_period) = (&entry.request, |at| ask.from <= at && at < ask.until && at <= ask.as_of);
        let line = |step, at| {
            let price = prices::price(request, step, at)?;
            Some(Line::charge(entry, &price.code, price.bill(&request.market), at, seed))
        };
        if !request.blocking && in_period(request.created_at) {
            self.lines.extend(line(Step::Accepted, request.created_at));
        }
        let decided = entry.decided_at(ask.as_of).filter(|at| in_period(*at));
        let opened = entry.status(ask.as_of) == Status::Completed;
        let step = if opened { Step::Opened } else { Step::Rejected };
        let charge = decided.and_then(|at| line(step, at));
        match (kind, charge) {
            (Some(kind), charge) => self.diverge(kind, charge, entry, partner),
            (None, Some(charge)) => self.right(charge, entry),
            (None, None) => {}
        }
    }

    /// A refusal in euros goes into the group line, if the service's step falls into the period too.
    fn right(&mut self, charge: Line, entry: &Entry) {
        if charge.code != REFUSED || entry.unheard || charge.original.is_some() {
            self.lines.push(charge);
        } else {
            self.refusals.push(charge.fee);
        }
    }

    /// The lines of a request's decision with its divergence.
    fn diverge(&mut self, kind: Kind, charge: Option<Line>, entry: &Entry, partner: Option<&Entry>) {
        let (seed, ask) = (self.seed, self.ask);
        let extra = |word: &str, like: Line| Line { id: mint::id("chg", seed, &[word, entry.id()]), ..like };
        if let (Kind::ChargedTwice, Some(charge)) = (kind, &charge) {
            // Which of the two is the second one is for the service to say.
            return self.wrong(kind, Some(entry), [charge.clone(), extra("again", charge.clone())]);
        }
        let (right, wrong) = match (kind, charge) {
            (Kind::ChargedTooEarly, _) => (None, self.too_early(entry)),
            (Kind::RefundWithoutCharge, Some(charge)) => {
                self.right(charge, entry);
                (None, refund_of_nothing(entry, seed, ask))
            }
            (_, None) | (Kind::NotCharged, Some(_)) => (None, None),
            (Kind::NotPriced, Some(charge)) => {
                let (code, description) = ("courier".to_owned(), "Courier, express".to_owned());
                (Some(charge.clone()), Some(Line { code, description, ..extra("courier", charge) }))
            }
            (Kind::SwappedCharge, Some(charge)) => {
                let reference = partner.map(|it| it.request.reference.clone()).unwrap_or_default();
                (Some(charge.clone()), Some(Line { reference, ..extra("swapped", charge) }))
            }
            (Kind::RefundTooLarge, Some(charge)) => {
                let more = Fee { amount: charge.fee.amount + Decimal::ONE, ..charge.fee };
                (Some(charge.clone()), Some(refund(&charge, more, seed)))
            }
            (Kind::Revised, Some(charge)) => {
                let description = format!("{}, corrected", charge.description);
                (None, Some(Line { description, ..charge }))
            }
            (kind, Some(charge)) => (None, Some(misbilled(kind, charge, entry, seed))),
        };
        let key = wrong.as_ref().map_or_else(|| entry.id().to_owned(), |line| line.id.clone());
        let mark = self.marks.add(kind, &key, Some(entry));
        self.lines.extend(right);
        self.lines.extend(wrong.map(|line| Line { mark: Some(mark), ..line }));
    }

    /// A charge for an account that is not open; the window runs from its moment.
    fn too_early(&self, entry: &Entry) -> Option<Line> {
        let at = self.ask.as_of;
        let price = prices::price(&entry.request, Step::Opened, at)?;
        let line = Line::charge(entry, &price.code, price.bill(&entry.request.market), at, self.seed);
        Some(Line { booked_on: None, ..line })
    }

    /// Adds one line for all refusals in euros.
    fn group(&mut self) {
        let (from, day) = (self.ask.from.to_rfc3339(), self.day());
        if self.refusals.is_empty() {
            return;
        }
        let sum = total(self.refusals.iter());
        let id = mint::id("grp", self.seed, &[&from]);
        let line = Line::loose("group", id, sum, day, self.seed);
        let (code, description) = (REFUSED.to_owned(), "Rejected applications, all markets".to_owned());
        self.lines.push(Line { code, description, quantity: self.refusals.len(), ..line });
    }

    /// Divergences that are about no request.
    fn loose(&mut self, dealt: &Dealt) {
        let (seed, day) = (self.seed, self.day());
        let euros = |cents: i64, tax: i64| Fee { amount: Decimal::new(cents, 2), tax: Decimal::new(tax, 2) };
        let id = |prefix: &str, word: &str| mint::id(prefix, seed, &["loose", word]);
        if dealt.has(Kind::Adjustment) {
            let line = Line::loose("adjustment", id("adj", "one"), euros(-1234, 0), day, seed);
            let description = "Correction of earlier months:\n\"goodwill\", once".to_owned();
            self.wrong(Kind::Adjustment, None, [Line { description, ..line }]);
        }
        if dealt.has(Kind::WrongGroup) {
            let fee = Fee { amount: Decimal::new(605, 2) * Decimal::from(WRONG_QUANTITY), tax: Decimal::from(1_050) };
            let line = Line::loose("group", id("grp", "wrong"), fee, day, seed);
            self.wrong(
                Kind::WrongGroup,
                None,
                // A group stands for all fees of its code: with the code of opened accounts it would hide those that are not charged.
                [Line { code: "request_accepted".to_owned(), quantity: WRONG_QUANTITY, ..line }],
            );
        }
        if dealt.has(Kind::ChargedStranger) {
            let line = Line::loose("charge", id("chg", "stranger"), euros(605, 105), day, seed);
            let (tracking_id, reference) = (id("aor", "stranger"), id("ref", "stranger"));
            let (code, occurred_at) = ("account_opened".to_owned(), Some(self.ask.from));
            self.wrong(Kind::ChargedStranger, None, [Line { code, tracking_id, reference, occurred_at, ..line }]);
        }
        if dealt.has(Kind::UnknownType) {
            let line = Line::loose("waiver", id("wav", "one"), euros(100, 0), day, seed);
            self.wrong(Kind::UnknownType, None, [Line { settlement: String::new(), ..line }]);
        }
        if dealt.has(Kind::ConflictingLines) {
            let line = Line::loose("adjustment", id("adj", "two"), euros(200, 0), day, seed);
            let line = Line { settlement: String::new(), ..line };
            self.wrong(Kind::ConflictingLines, None, [line.clone(), Line { fee: euros(300, 0), ..line }]);
        }
    }

    fn wrong<const N: usize>(&mut self, kind: Kind, entry: Option<&Entry>, lines: [Line; N]) {
        let key = lines.first().map(|line| line.id.clone()).unwrap_or_default();
        let mark = Some(self.marks.add(kind, &key, entry));
        self.lines.extend(lines.into_iter().map(|line| Line { mark, ..line }));
    }

    /// A settlement for each set of lines that names one.
    fn settle(&mut self, dealt: &Dealt) {
        let mut sets: BTreeMap<String, Vec<&Line>> = BTreeMap::new();
        for line in self.lines.iter().filter(|line| !line.settlement.is_empty()) {
            sets.entry(line.settlement.clone()).or_default().push(line);
        }
        let mut wrong = [Kind::SettlementSum, Kind::SettlementCount, Kind::SettlementTax]
            .into_iter()
            .filter(|kind| dealt.has(*kind));
        let mut settlements = Vec::new();
        for (id, lines) in sets {
            let currency = lines.first().map(|line| line.currency.clone()).unwrap_or_default();
            let debited = self.day().checked_add_days(DEBITED_AFTER).unwrap_or(self.day());
            let right = Line {
                quantity: lines.len(),
                currency,
                settlement: id.clone(),
                description: format!("Debited on {debited}"),
                ..Line::loose("settlement", id, total(lines.iter().map(|line| &line.fee)), self.day(), self.seed)
            };
            settlements.push(match wrong.next() {
                None => right,
                Some(kind) => {
                    let mark = Some(self.marks.add(kind, &right.id, None));
                    Line { mark, ..wrong_settlement(kind, right) }
                }
            });
        }
        self.lines.extend(settlements);
    }

    fn day(&self) -> NaiveDate {
        self.ask.as_of.date_naive()
    }
}

fn total<'a>(fees: impl Iterator<Item = &'a Fee>) -> Fee {
    let none = Fee { amount: Decimal::ZERO, tax: Decimal::ZERO };
    fees.fold(none, |sum, fee| Fee { amount: sum.amount + fee.amount, tax: sum.tax + fee.tax })
}

/// A charge with another amount or currency.
fn misbilled(kind: Kind, line: Line, entry: &Entry, seed: u64) -> Line {
    let Fee { amount, tax } = line.fee;
    let times = |factor: Decimal| Fee { amount: amount * factor, tax: tax * factor };
    let more = |cents| Fee { amount: amount + Decimal::new(cents, 2), tax };
    let fee = match kind {
        Kind::TaxMissing => Fee { amount: amount - tax, tax: Decimal::ZERO },
        Kind::OldPrice => old_bill(entry, &line).map_or(line.fee, |bill| bill.fee),
        Kind::Hundredfold => times(Decimal::ONE_HUNDRED),
        Kind::WrongSign => times(Decimal::NEGATIVE_ONE),
        Kind::Doubled => times(Decimal::TWO),
        Kind::FxByACent => more(1),
        Kind::FxByMore => more(250),
        _ => line.fee,
    };
    let line = Line { fee, ..line };
    if kind == Kind::OtherChargeCurrency { line.in_currency("USD", seed) } else { line }
}

fn old_bill(entry: &Entry, line: &Line) -> Option<Bill> {
    let price = prices::price(&entry.request, Step::Opened, line.occurred_at?)?;
    prices::before(&price).map(|old| old.bill(&entry.request.market))
}

fn refund(charge: &Line, fee: Fee, seed: u64) -> Line {
    let fee = Fee { amount: -fee.amount, tax: -fee.tax };
    let id = mint::id("rfd", seed, &[&charge.id]);
    Line { id, kind: "refund", fee, description: "Refund".to_owned(), ..charge.clone() }
}

/// A refund of an account that was never opened, and so never charged.
fn refund_of_nothing(entry: &Entry, seed: u64, ask: &Ask) -> Option<Line> {
    let at = entry.decided_at(ask.as_of)?;
    let price = prices::price(&entry.request, Step::Opened, at)?;
    let bill = price.bill(&entry.request.market);
    let charge = Line::charge(entry, &price.code, bill, at, seed);
    Some(refund(&charge, charge.fee, seed))
}

fn wrong_settlement(kind: Kind, right: Line) -> Line {
    let Fee { amount, tax } = right.fee;
    match kind {
        Kind::SettlementSum => Line { fee: Fee { amount: minor(amount + Decimal::TEN), tax }, ..right },
        Kind::SettlementTax => Line { fee: Fee { amount, tax: minor(tax + Decimal::ONE) }, ..right },
        _ => Line { quantity: right.quantity.saturating_sub(1), ..right },
    }
}
