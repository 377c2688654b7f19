//! A line of the charges file.

use chrono::NaiveDate;
use clock::Time;
use rust_decimal::Decimal;

use super::entry::Entry;
use super::prices::{Bill, Fee};
use super::stamp;
use crate::mint;

pub(super) const COLUMNS: [&str; 16] = [
    "line_id",
    "type",
    "code",
    "quantity",
    "account_opening_request_id",
    "reference",
    "amount",
    "tax",
    "currency",
    "original_amount",
    "original_currency",
    "fx_rate",
    "settlement_id",
    "occurred_at",
    "booked_on",
    "description",
];

/// A line, as it will be written. Amounts include the tax; positive means that the customer owes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) id: String,
    pub(super) kind: &'static str,
    pub(super) code: String,
    pub(super) quantity: usize,
    pub(super) tracking_id: String,
    pub(super) reference: String,
    pub(super) fee: Fee,
    pub(super) currency: String,
    pub(super) original: Option<(Decimal, String, Decimal)>,
    /// Empty: in no settlement.
    pub(super) settlement: String,
    pub(super) occurred_at: Option<Time>,
    pub(super) booked_on: Option<NaiveDate>,
    pub(super) description: String,
    /// Its divergence.
    pub(super) mark: Option<usize>,
}

impl Line {
    /// A charge for a step of a request.
    pub(super) fn charge(entry: &Entry, code: &str, bill: Bill, at: Time, seed: u64) -> Self {
        let request = &entry.request;
        // The legacy call gives no tracking id.
        let tracking_id = if request.blocking { "" } else { entry.id() };
        Self {
            id: mint::id("chg", seed, &[entry.id(), code]),
            kind: "charge",
            code: code.to_owned(),
            quantity: 1,
            tracking_id: tracking_id.to_owned(),
            reference: request.reference.clone(),
            fee: bill.fee,
            settlement: settlement(&request.market, &bill.currency, seed),
            currency: bill.currency,
            original: bill.original,
            occurred_at: Some(at),
            booked_on: Some(at.date_naive()),
            description: format!("{}, {}", code.replace('_', " "), request.market),
            mark: None,
        }
    }

    /// A line about no opening in particular.
    pub(super) fn loose(kind: &'static str, id: String, fee: Fee, booked_on: NaiveDate, seed: u64) -> Self {
        Self {
            id,
            kind,
            code: String::new(),
            quantity: 1,
            tracking_id: String::new(),
            reference: String::new(),
            fee,
            currency: "EUR".to_owned(),
            original: None,
            settlement: settlement("*", "EUR", seed),
            occurred_at: None,
            booked_on: Some(booked_on),
            description: String::new(),
            mark: None,
        }
    }

    /// Moves the line to another currency, and to a settlement in it.
    pub(super) fn in_currency(self, currency: &str, seed: u64) -> Self {
        Self { currency: currency.to_owned(), settlement: settlement("*", currency, seed), ..self }
    }

    pub(super) fn fields(&self) -> [String; 16] {
        let (original, currency, rate) = match &self.original {
            Some((amount, currency, rate)) => (money(*amount), currency.clone(), rate.to_string()),
            None => Default::default(),
        };
        [
            self.id.clone(),
            self.kind.to_owned(),
            self.code.clone(),
            self.quantity.to_string(),
            self.tracking_id.clone(),
            self.reference.clone(),
            money(self.fee.amount),
            money(self.fee.tax),
            self.currency.clone(),
            original,
            currency,
            rate,
            self.settlement.clone(),
            self.occurred_at.map(stamp).unwrap_or_default(),
            self.booked_on.map(|day| day.to_string()).unwrap_or_default(),
            self.description.clone(),
        ]
    }
}

/// With both digits of the minor unit.
pub(super) fn money(amount: Decimal) -> String {
    format!("{amount:.2}")
}

/// The id of the one settlement per market and currency.
fn settlement(market: &str, currency: &str, seed: u64) -> String {
    mint::id("stl", seed, &[market, currency])
}
