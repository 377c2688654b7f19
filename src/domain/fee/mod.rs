//! Fees: what a step of an opening owes to the provider, by the price list.
//!
//! Amounts are exact decimals. Tax is rounded half up to the currency's minor unit, per fee. The module only computes;
//! `db::advance` books each fee in the commit of its step.

mod account;
mod money;
mod read;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use self::account::Account;
pub use self::money::{minor_digits, minor_unit, round_half_up, shown};
pub use self::read::Flaw;
use super::opening::StateName;
use super::request::{CustomerType, Request};
use super::text::string_enum;
use crate::clock::Time;

string_enum!(
    /// The step that causes a fee.
    On {
        /// The provider accepted the request: the opening enters `awaiting_provider`.
        Accepted = "accepted",
        /// The account is open: the opening enters `issuing_card`.
        Opened = "opened",
        /// The provider refused: the opening enters `rejected`. An opening that an operator gave up enters `failed` and
        /// owes nothing.
        Rejected = "rejected",
    }
);

impl On {
    /// The step that enters this state. None: entering it costs nothing.
    #[must_use]
    pub const fn of(state: StateName) -> Option<Self> {
        match state {
            StateName::AwaitingProvider => Some(Self::Accepted),
            StateName::IssuingCard => Some(Self::Opened),
            StateName::Rejected => Some(Self::Rejected),
            StateName::CreatingProfile
            | StateName::RequestingAccount
            | StateName::Escalated
            | StateName::Completed
            | StateName::Failed => None,
        }
    }
}

/// The conditions of a price besides step, code and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The provider's name.
    pub provider: &'a str,
    /// ISO 3166 alpha-2.
    pub market: &'a str,
    /// The kind of customer.
    pub customer_type: CustomerType,
}

impl<'a> Scope<'a> {
    /// The scope of an opening.
    #[must_use]
    pub fn of(request: &'a Request) -> Self {
        Self { provider: &request.provider, market: &request.market, customer_type: request.customer_type }
    }
}

/// A fee that is owed once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fee {
    /// The provider's name of the fee.
    pub code: String,
    /// The price without tax.
    pub without_tax: Decimal,
    /// The tax, rounded half up to the minor unit.
    pub tax: Decimal,
    /// ISO 4217.
    pub currency: String,
}

impl Fee {
    /// The amount with tax.
    #[must_use]
    pub fn amount(&self) -> Decimal {
        self.without_tax + self.tax
    }
}

/// A row of the price list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// The row's line in the file; the first line is 1.
    pub line: usize,
    /// The provider's name.
    pub provider: String,
    /// None: every market.
    pub market: Option<String>,
    /// None: every kind of customer.
    pub customer_type: Option<CustomerType>,
    /// The step that causes the fee.
    pub on: On,
    /// The provider's name of the fee.
    pub code: String,
    /// The price without tax. Zero: the fee is waived.
    pub without_tax: Decimal,
    /// ISO 4217.
    pub currency: String,
    /// Percent of the price.
    pub tax_percent: Decimal,
    /// The first moment at which the price holds. None: it always held.
    pub from: Option<Time>,
    /// The first moment at which the price holds no more. None: it has no end.
    pub until: Option<Time>,
}

impl Price {
    fn holds_at(&self, at: Time) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }

    fn covers(&self, scope: Scope<'_>) -> bool {
        self.provider == scope.provider
            && self.market.as_deref().is_none_or(|market| market == scope.market)
            && self.customer_type.is_none_or(|it| it == scope.customer_type)
    }

    /// The narrowest price wins: market and type, market, type, all.
    const fn rank(&self) -> u8 {
        match (&self.market, self.customer_type) {
            (Some(_), Some(_)) => 3,
            (Some(_), None) => 2,
            (None, Some(_)) => 1,
            (None, None) => 0,
        }
    }

    /// The fee by this price.
    #[must_use]
    pub fn fee(&self) -> Fee {
        let exact = self.without_tax * self.tax_percent / Decimal::ONE_HUNDRED;
        let tax = round_half_up(exact, &self.currency);
        Fee { code: self.code.clone(), without_tax: self.without_tax, tax, currency: self.currency.clone() }
    }
}

/// A price list without contradictions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceList {
    text: String,
    sha256: String,
    /// By code, the narrowest first, so that the first price that fits a code wins.
    prices: Vec<Price>,
}

impl PriceList {
    /// Reads a price list. `providers` are the names that its rows may use.
    ///
    /// # Errors
    /// Every wrong cell, or else every contradiction between rows.
    pub fn read(text: &str, providers: &[&str]) -> Result<Self, Vec<Flaw>> {
        let mut prices = read::prices(text, providers)?;
        prices.sort_by(|a, b| a.code.cmp(&b.code).then(b.rank().cmp(&a.rank())).then(a.line.cmp(&b.line)));
        Ok(Self { text: text.to_owned(), sha256: hex::encode(Sha256::digest(text.as_bytes())), prices })
    }

    /// The file's content.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The SHA-256 of the file's content, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The fees that an opening owes for entering `state` at `at`: per code the narrowest price that holds then.
    #[must_use]
    pub fn owed(&self, scope: Scope<'_>, state: StateName, at: Time) -> Vec<Fee> {
        let Some(on) = On::of(state) else { return Vec::new() };
        let mut holding: Vec<&Price> =
            self.prices.iter().filter(|it| it.on == on && it.covers(scope) && it.holds_at(at)).collect();
        holding.dedup_by(|next, first| next.code == first.code);
        holding.into_iter().filter(|it| !it.without_tax.is_zero()).map(Price::fee).collect()
    }

    /// Every price that an opening's fee of this code has at any time.
    pub fn of_code(&self, scope: Scope<'_>, code: &str) -> impl Iterator<Item = &Price> {
        self.prices.iter().filter(move |it| it.code == code && it.covers(scope))
    }
}
