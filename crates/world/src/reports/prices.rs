//! The bank's prices: its price list, and the currency in which each market is billed.
//!
//! The list is the file that the service reads as `PRICE_LIST`. The bank reads it with code of its own, so that a wrong rule
//! on one side shows as a difference.

use chrono::NaiveDate;
use clock::Time;
use rust_decimal::{Decimal, RoundingStrategy};

use crate::snapshot::AccountRequest;

/// The price list as the bank gives it to its customers.
pub const PRICE_LIST: &str = crate::banks::PRICE_LIST;

/// The currency of the bills of a market that does not pay in euros, and the rate from the euro.
const BILLED_IN: [(&str, &str, Decimal); 1] = [("SE", "SEK", Decimal::from_parts(112_345, 0, 0, false, 4))];

/// A step of a request that the bank may charge for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Accepted,
    Opened,
    Rejected,
}

/// A row of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Price {
    market: String,
    customer_type: String,
    step: Step,
    pub(super) code: String,
    /// Without tax.
    pub(super) net: Decimal,
    pub(super) currency: String,
    tax_percent: Decimal,
    from: NaiveDate,
    /// Exclusive.
    until: Option<NaiveDate>,
}

/// An amount that includes its tax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fee {
    pub(super) amount: Decimal,
    pub(super) tax: Decimal,
}

/// A fee as it is billed: in another currency, it names the original one and the rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bill {
    pub(super) fee: Fee,
    pub(super) currency: String,
    /// Amount and currency of the price list, and the rate.
    pub(super) original: Option<(Decimal, String, Decimal)>,
}

/// Rounds half up to the minor unit, which is a hundredth in all currencies here.
pub(super) fn minor(amount: Decimal) -> Decimal {
    amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

impl Price {
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split(',').collect();
        let [_, market, customer_type, on, code, net, currency, tax_percent, from, until] = fields[..] else {
            return None;
        };
        let step = match on {
            "accepted" => Step::Accepted,
            "opened" => Step::Opened,
            "rejected" => Step::Rejected,
            _ => return None,
        };
        Some(Self {
            market: market.to_owned(),
            customer_type: customer_type.to_owned(),
            step,
            code: code.to_owned(),
            net: Decimal::from_str_exact(net).ok()?,
            currency: currency.to_owned(),
            tax_percent: Decimal::from_str_exact(tax_percent).ok()?,
            from: from.parse().ok()?,
            until: if until.is_empty() { None } else { Some(until.parse().ok()?) },
        })
    }

    /// The fee of one step.
    pub(super) fn fee(&self) -> Fee {
        let tax = minor(self.net * self.tax_percent / Decimal::ONE_HUNDRED);
        Fee { amount: self.net + tax, tax }
    }

    /// The fee in the currency in which the market is billed.
    pub(super) fn bill(&self, market: &str) -> Bill {
        let fee = self.fee();
        let Some((_, currency, rate)) = BILLED_IN.iter().find(|(of, ..)| *of == market) else {
            return Bill { fee, currency: self.currency.clone(), original: None };
        };
        Bill {
            fee: Fee { amount: minor(fee.amount * rate), tax: minor(fee.tax * rate) },
            currency: (*currency).to_owned(),
            original: Some((fee.amount, self.currency.clone(), *rate)),
        }
    }

    fn applies(&self, request: &AccountRequest, step: Step, at: Time) -> bool {
        let covers = |row: &str, value: &str| row == "*" || row == value;
        let day = at.date_naive();
        self.step == step
            && covers(&self.market, &request.market)
            && covers(&self.customer_type, &request.customer_type)
            && self.from <= day
            && self.until.is_none_or(|until| day < until)
    }

    /// Market and type, market, type, all.
    fn rank(&self) -> u8 {
        u8::from(self.market != "*") * 2 + u8::from(self.customer_type != "*")
    }
}

/// The price of a step: the narrowest row that covers it.
pub(super) fn price(request: &AccountRequest, step: Step, at: Time) -> Option<Price> {
    rows().filter(|row| row.applies(request, step, at)).max_by_key(Price::rank)
}

/// The row that this one replaced.
pub(super) fn before(price: &Price) -> Option<Price> {
    rows().find(|row| {
        row.until == Some(price.from)
            && (&row.market, &row.customer_type, &row.code) == (&price.market, &price.customer_type, &price.code)
    })
}

/// Whether the market is billed in another currency than that of the price list.
pub(super) fn is_converted(market: &str) -> bool {
    BILLED_IN.iter().any(|(of, ..)| *of == market)
}

fn rows() -> impl Iterator<Item = Price> {
    PRICE_LIST.lines().skip(1).filter_map(Price::parse)
}

#[cfg(test)]
pub(super) fn rows_of(line: &str) -> usize {
    Price::parse(line).into_iter().count()
}
