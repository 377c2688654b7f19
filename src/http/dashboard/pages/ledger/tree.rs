//! A settlement as a tree: its lines, its total, and the bank entry that pays it. The node that does not add up is marked.

use rust_decimal::Decimal;

use crate::db::charge_lines::{Payment, SettledLine, Settlement};
use crate::domain::OpeningId;
use crate::domain::fee::shown;
use crate::http::dashboard::Layout;
use crate::http::dashboard::pages::opening::page_of;
use crate::http::dashboard::parts::{Mark, Moment, Privacy};
use crate::reconciliation::classify::Class;

pub struct Node {
    pub id: String,
    pub provider: String,
    pub report: String,
    pub line: i64,
    pub as_of: Moment,
    pub total: String,
    pub lines: Sum,
    pub leaves: Vec<Leaf>,
    /// Lines that are not listed.
    pub more: i64,
    pub bank: Paid,
    pub payments: Vec<Entry>,
    /// The page of the mismatch about its payment.
    pub mismatch: Option<String>,
}

/// The lines of a settlement beside what it says of them.
pub struct Sum {
    pub mark: Mark,
    pub text: String,
    pub differs: bool,
}

pub struct Leaf {
    pub text: String,
    /// Of its opening.
    pub href: Option<String>,
}

/// The payments beside the total.
pub struct Paid {
    pub mark: Mark,
    pub text: String,
    pub differs: bool,
}

pub struct Entry {
    pub at: Moment,
    pub amount: String,
    pub report: Option<(String, i64)>,
}

#[must_use]
pub fn node(layout: &Layout, privacy: &Privacy, it: &Settlement) -> Node {
    let listed = i64::try_from(it.lines.len()).unwrap_or_default();
    Node {
        id: privacy.text(&it.settlement_id),
        provider: it.provider.clone(),
        report: layout.url(&format!("/reports/{}", it.report_id)),
        line: it.line,
        as_of: it.as_of.into(),
        total: money(it.amount, &it.currency),
        lines: sum(layout, it),
        leaves: it.lines.iter().map(|it| leaf(layout, privacy, it)).collect(),
        more: it.count - listed,
        bank: paid(layout, it),
        payments: it.payments.iter().map(|it| entry(layout, it)).collect(),
        mismatch: it.mismatch.map(|it| layout.url(&format!("/mismatches/{it}"))),
    }
}

fn money(amount: Decimal, currency: &str) -> String {
    format!("{} {currency}", shown(amount, currency))
}

fn sum(layout: &Layout, it: &Settlement) -> Sum {
    let adds_up = (it.count, it.sum) == (it.quantity, it.amount);
    let is_waiting = it.class == Class::TimingMismatch.as_str();
    let (word, tone, icon) = match (adds_up, is_waiting) {
        (true, _) => ("adds_up", "good", "done"),
        (false, true) => ("lines_still_to_come", "waiting", "clock"),
        (false, false) => ("does_not_add_up", "urgent", "differs"),
    };
    let off = it.sum - it.amount;
    let off = if off.is_zero() { String::new() } else { format!(", off by {}", money(off, &it.currency)) };
    Sum {
        mark: Mark::state(word, tone, icon, layout.icons()),
        text: format!("{} of {} lines, {}{off}", it.count, it.quantity, money(it.sum, &it.currency)),
        differs: !adds_up && !is_waiting,
    }
}

fn leaf(layout: &Layout, privacy: &Privacy, line: &SettledLine) -> Leaf {
    let code = if line.code.is_empty() { String::new() } else { format!(" {}", line.code) };
    let text = format!("{} {}{code}: {} {}", line.line_id, line.line_type, line.amount, line.currency);
    Leaf { text: privacy.text(&text), href: line.opening_id.map(|it| layout.url(&page_of(OpeningId(it)))) }
}

fn paid(layout: &Layout, it: &Settlement) -> Paid {
    let amounts = it.payments.iter().filter_map(|it| it.amount.parse::<Decimal>().ok());
    let sum: Decimal = amounts.sum();
    let (word, tone, icon, text) = match (it.payments.is_empty(), it.mismatch.is_some()) {
        (_, true) => ("does_not_add_up", "urgent", "differs", "the bank statement says otherwise".to_owned()),
        (true, false) => ("not_paid_yet", "waiting", "clock", "no bank entry names it yet".to_owned()),
        (false, false) if sum == it.amount => ("paid", "good", "done", money(sum, &it.currency)),
        (false, false) => ("does_not_add_up", "urgent", "differs", money(sum, &it.currency)),
    };
    Paid { mark: Mark::state(word, tone, icon, layout.icons()), text, differs: tone == "urgent" }
}

fn entry(layout: &Layout, payment: &Payment) -> Entry {
    let report = |(id, line)| (layout.url(&format!("/reports/{id}")), line);
    Entry {
        at: payment.at.into(),
        amount: format!("{} {}", payment.amount, payment.currency),
        report: payment.report_id.zip(payment.line).map(report),
    }
}
