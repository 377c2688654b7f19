//! The charge rows of one fee beside what we expect.
//!
//! All rows that name the same opening and code are judged together, from any number of files. The judgement depends only on
//! the set of rows, never on their order, so any order of files ends in the same bookings and mismatches.

mod compare;
mod finding;
mod group;
mod hint;
mod refund;
mod settlement;
#[cfg(test)]
mod tests;

use chrono::{NaiveTime, TimeDelta};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::finding::{conflicting, unlisted};
pub use self::group::{OpenFees, judge as judge_group};
pub use self::hint::Hint;
pub use self::settlement::{Lines, judge as judge_settlement};
use super::register::OurOpening;
use super::{Act, Class, Finding};
use crate::clock::Time;
use crate::domain::fee::{Account, Fee};
use crate::report_files::row::{ChargeRow, ChargeType};

/// The settings that a judgement depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// `AMOUNT_TOLERANCE`.
    pub tolerance: Decimal,
    /// `CHARGE_WINDOW`, in seconds.
    pub charge_window: i64,
    /// `SETTLEMENT_WINDOW`, in seconds.
    pub settlement_window: i64,
    /// The time of the judgement.
    pub now: Time,
}

impl Rules {
    fn within(seconds: i64) -> TimeDelta {
        TimeDelta::try_seconds(seconds).unwrap_or(TimeDelta::MAX)
    }

    /// When a charge stops waiting for the step that owes it.
    #[must_use]
    pub fn charge_due(&self, row: &ChargeRow, received_at: Time) -> Time {
        said_at(row, received_at) + Self::within(self.charge_window)
    }

    /// When an expected fee stops waiting for its charge.
    #[must_use]
    pub fn fee_due(&self, step: Time) -> Time {
        step + Self::within(self.charge_window)
    }

    /// When a settlement stops waiting for its lines.
    #[must_use]
    pub fn settlement_due(&self, row: &ChargeRow, received_at: Time) -> Time {
        said_at(row, received_at) + Self::within(self.settlement_window)
    }
}

/// The time that a row gives itself: the day it was booked on, else the time of its cause.
fn said_at(row: &ChargeRow, received_at: Time) -> Time {
    let booked = row.booked_on.map(|day| day.and_time(NaiveTime::MIN).and_utc());
    booked.or(row.occurred_at).unwrap_or(received_at)
}

/// A charge row, the openings that it names, and the time of the file that it came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    pub row: ChargeRow,
    /// When its file was received.
    pub received_at: Time,
    /// The opening with the row's tracking id.
    pub by_tracking_id: Option<OurOpening>,
    /// The opening that the row's reference names, where it is another one or the only one.
    pub by_reference: Option<OurOpening>,
}

impl Charge {
    /// The opening that the row is about.
    #[must_use]
    pub fn opening(&self) -> Option<&OurOpening> {
        self.by_tracking_id.as_ref().or(self.by_reference.as_ref())
    }
}

/// An expected fee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Its line in the fee ledger.
    pub line: Uuid,
    /// The time of the step that owes it.
    pub at: Time,
    /// With tax.
    pub amount: Decimal,
    pub tax: Decimal,
    pub currency: String,
}

/// Our side of a fee.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ours {
    /// The fee that a step of the opening owes.
    pub expected: Option<Expected>,
    /// The fee's prices for this opening by any row of the price list, past and future.
    pub prices: Vec<Fee>,
    /// Whether a step that owes the fee may still come.
    pub may_be_owed: bool,
    /// Whether there is a price list to judge by.
    pub is_priced: bool,
    /// The fee has more than [`TOGETHER`] lines, so each is judged by itself: see [`judge`].
    #[serde(default)]
    pub is_crowded: bool,
}

/// The most lines of a fee that are judged together. An ordinary fee has one or two; with more than these the file is at fault, and
/// judging all beside all would take the square of their number.
pub const TOGETHER: usize = 20;

/// An amount to be moved from one account to another. Negative: the other way round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booking {
    pub debit: Account,
    pub credit: Account,
    pub amount: Decimal,
    pub tax: Decimal,
    pub currency: String,
    /// The expected fee that it settles.
    pub settles: Option<Uuid>,
}

impl Booking {
    fn of(row: &ChargeRow, debit: Account) -> Self {
        Self {
            debit,
            credit: Account::Charged,
            amount: row.amount,
            tax: row.tax,
            currency: row.currency.clone(),
            settles: None,
        }
    }

    /// A charge that a person must judge, or that waits for its step.
    fn suspended(row: &ChargeRow) -> Vec<Self> {
        vec![Self::of(row, Account::Suspense)]
    }
}

/// The judgement of a row: its class, its bookings, and the finding if the two sides differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    pub class: Class,
    pub rule: &'static str,
    pub bookings: Vec<Booking>,
    pub finding: Option<Finding>,
}

impl Judged {
    const fn matched(rule: &'static str, bookings: Vec<Booking>) -> Self {
        Self { class: Class::Matched, rule, bookings, finding: None }
    }

    const fn found(rule: &'static str, bookings: Vec<Booking>, finding: Finding) -> Self {
        Self { class: finding.class, rule, bookings, finding: Some(finding) }
    }

    /// Whether the row settles its expected fee.
    #[must_use]
    pub fn settles(&self) -> bool {
        self.bookings.iter().any(|it| it.settles.is_some())
    }
}

/// The values that a row was judged by, to judge it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Basis {
    /// The row first, then the others of its fee.
    Fee {
        charges: Vec<Charge>,
        ours: Ours,
        rules: Rules,
    },
    Group {
        charge: Charge,
        open: OpenFees,
        rules: Rules,
    },
    Settlement {
        charge: Charge,
        lines: Lines,
        rules: Rules,
    },
}

impl Basis {
    /// Judges the row again. None: there is no row.
    #[must_use]
    pub fn judge(&self) -> Option<Judged> {
        match self {
            Self::Fee { charges, ours, rules } => judge(charges, ours, rules).into_iter().next(),
            Self::Group { charge, open, rules } => Some(judge_group(charge, open, rules)),
            Self::Settlement { charge, lines, rules } => Some(judge_settlement(charge, lines, rules)),
        }
    }
}

/// The rule of an unknown word that no version has come to know in its time.
const STILL_UNKNOWN: &str = "word_is_still_unknown";

/// Whether a person decides about a row of this class, by the rule that gave it.
#[must_use]
pub fn is_a_case(class: &str, rule: &str) -> bool {
    let settles_itself =
        [Class::Matched, Class::Repeated, Class::Revised, Class::TimingMismatch, Class::UnknownWord, Class::Unrelated];
    let is_open = !settles_itself.iter().any(|it| it.as_str() == class) && rule != compare::OFF_BY_A_UNIT;
    is_open || rule == STILL_UNKNOWN
}

/// Judges all rows about one opening and code, in the order given. Rows of other types than `charge` and `refund` are judged each
/// for itself. So is every row of a crowded fee: none of its charges settles it, and none of its refunds is taken for theirs.
#[must_use]
pub fn judge(charges: &[Charge], ours: &Ours, rules: &Rules) -> Vec<Judged> {
    let mut judged: Vec<Judged> = charges.iter().map(|it| alone(it, ours, rules)).collect();
    if ours.is_crowded {
        return charges.iter().zip(judged).map(|(charge, judged)| in_a_crowd(&charge.row, judged, ours)).collect();
    }
    if ours.expected.is_some() {
        leave_one(charges, &mut judged);
    }
    refund::judge(charges, ours, &mut judged);
    judged
}

fn in_a_crowd(row: &ChargeRow, alone: Judged, ours: &Ours) -> Judged {
    let is_of_fee = row.line_type == ChargeType::Charge && ours.expected.is_some() && may_settle(&alone);
    let is_refund = row.line_type == ChargeType::Refund && (ours.is_priced || ours.expected.is_some());
    let finding = match (is_of_fee, is_refund) {
        (true, _) => finding::crowded(row),
        (_, true) => finding::refund(row, None),
        _ => return alone,
    };
    Judged::found("too_many_lines_of_one_fee", Booking::suspended(row), finding)
}

/// A row without regard to the others of its fee.
fn alone(charge: &Charge, ours: &Ours, rules: &Rules) -> Judged {
    let row = &charge.row;
    if !ours.is_priced && ours.expected.is_none() {
        let class = Class::Unrelated;
        return Judged { class, rule: "no_price_list", bookings: Booking::suspended(row), finding: None };
    }
    match row.line_type {
        ChargeType::Charge => compare::charge(charge, ours, rules),
        ChargeType::Adjustment => Judged::found("adjustment", Booking::suspended(row), finding::adjustment(row)),
        ChargeType::Unknown => {
            let finding = finding::unknown(charge, rules.now);
            let rule = if finding.act == Act::Case { STILL_UNKNOWN } else { "unknown_word" };
            Judged::found(rule, Booking::suspended(row), finding)
        }
        // The refunds of a fee are judged after its charges; groups and settlements have judgements of their own.
        ChargeType::Refund | ChargeType::Group | ChargeType::Settlement => {
            Judged::matched("not_judged_alone", Booking::suspended(row))
        }
    }
}

/// Only one charge settles an expected fee: the first that fits, else the first. Every other one is a duplicate.
fn leave_one(charges: &[Charge], judged: &mut [Judged]) {
    let order = |n: &usize| {
        let row = &charges[*n].row;
        (!judged[*n].settles(), row.occurred_at, row.line_id.clone())
    };
    let is_of_fee = |n: &usize| charges[*n].row.line_type == ChargeType::Charge && may_settle(&judged[*n]);
    let mut of_fee: Vec<usize> = (0..charges.len()).filter(is_of_fee).collect();
    of_fee.sort_by_cached_key(order);
    let Some((first, others)) = of_fee.split_first() else { return };
    for n in others {
        let row = &charges[*n].row;
        let finding = finding::duplicate(row, &charges[*first].row);
        judged[*n] = Judged::found("second_charge", Booking::suspended(row), finding);
    }
}

/// While its opening is in doubt, a row is no charge for the expected fee.
const fn may_settle(judged: &Judged) -> bool {
    !matches!(judged.class, Class::CorrelationMismatch | Class::DuplicateAccount | Class::MissingInternal)
}
