//! Which flow an opening is started on, where the caller has no wish: rules by market, customer type and percentage.
//!
//! The narrowest rule that matches decides, and without one the flag is on. A percentage is stable: each opening has its
//! place among a hundred, so that a repeat decides alike and a higher percentage keeps all whom a lower one had.

use sha2::{Digest, Sha256};

use super::ids::OpeningId;
use super::request::{CustomerType, Flow};

/// The flag's name.
pub const ASYNC_ACCOUNT_OPENING: &str = "async-account-opening";

/// Whom a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// None: all.
    pub market: Option<String>,
    /// None: all.
    pub customer_type: Option<CustomerType>,
}

/// What holds for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whom it is for.
    pub scope: Scope,
    /// Off for all of them, or on for a part.
    pub enabled: bool,
    /// The part for which it is on, in percent.
    pub percentage: u8,
}

/// The rules that hold, at most one for each scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(pub Vec<Rule>);

impl Scope {
    /// How narrow it is, where it matches: market and type, then market, then type, then all.
    fn narrowness(&self, market: &str, customer_type: CustomerType) -> Option<u8> {
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
    /// The flow of an opening.
    #[must_use]
    pub fn flow(&self, id: OpeningId, market: &str, customer_type: CustomerType) -> Flow {
        let matching = self.0.iter().filter_map(|rule| Some((rule.scope.narrowness(market, customer_type)?, rule)));
        let narrowest = matching.max_by_key(|(narrowness, _)| *narrowness).map(|(_, rule)| rule);
        if narrowest.is_none_or(|rule| rule.is_on(place(id))) { Flow::Async } else { Flow::Sync }
    }
}

/// The opening's place among a hundred, for this flag.
fn place(id: OpeningId) -> u8 {
    let digest = Sha256::new().chain_update(ASYNC_ACCOUNT_OPENING).chain_update(id.0.as_bytes()).finalize();
    let number = digest.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    u8::try_from(number % 100).unwrap_or_default()
}
