//! The feature flag `async-account-opening`: chooses the flow of an opening if the caller does not.
//!
//! Rules are scoped by market and customer type; the narrowest matching rule decides, and without a rule the flag is
//! on. A percentage is stable: the opening's id hashes to a bucket from 0 to 99, so a repeated request gets the same
//! flow and raising the percentage only adds openings.

use sha2::{Digest, Sha256};

use super::ids::OpeningId;
use super::request::{CustomerType, Flow};

/// The flag's name in the API.
pub const ASYNC_ACCOUNT_OPENING: &str = "async-account-opening";

/// The openings that a rule applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// None: all markets.
    pub market: Option<String>,
    /// None: all customer types.
    pub customer_type: Option<CustomerType>,
}

/// The setting of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The openings that it applies to.
    pub scope: Scope,
    /// False: off for the whole scope. True: on for `percentage` of it.
    pub enabled: bool,
    /// The share for which the flag is on, in percent.
    pub percentage: u8,
}

/// All rules, at most one per scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(pub Vec<Rule>);

impl Scope {
    /// Specificity if the scope matches: market and type, then market, then type, then neither.
    #[must_use]
    pub fn narrowness(&self, market: &str, customer_type: CustomerType) -> Option<u8> {
        let here = self.market.as_ref().is_none_or(|it| it == market);
        let typed = self.customer_type.is_none_or(|it| it == customer_type);
        (here && typed).then(|| 2 * u8::from(self.market.is_some()) + u8::from(self.customer_type.is_some()))
    }
}

impl Rule {
    fn is_on(&self, place: u8) -> bool {
        self.enabled && place < self.percentage
    }
}

impl Rules {
    /// The flow for a new opening.
    #[must_use]
    pub fn flow(&self, id: OpeningId, market: &str, customer_type: CustomerType) -> Flow {
        let rule = self.effective(market, customer_type);
        if rule.is_none_or(|rule| rule.is_on(place(id))) { Flow::Async } else { Flow::Sync }
    }

    /// The rule that decides: the narrowest that matches. None: there is none, and the flag is on.
    #[must_use]
    pub fn effective(&self, market: &str, customer_type: CustomerType) -> Option<&Rule> {
        let matching = self.0.iter().filter_map(|rule| Some((rule.scope.narrowness(market, customer_type)?, rule)));
        matching.max_by_key(|(narrowness, _)| *narrowness).map(|(_, rule)| rule)
    }
}

/// The opening's bucket for this flag, from 0 to 99.
fn place(id: OpeningId) -> u8 {
    let digest = Sha256::new().chain_update(ASYNC_ACCOUNT_OPENING).chain_update(id.0.as_bytes()).finalize();
    let number = digest.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    u8::try_from(number % 100).unwrap_or_default()
}
