//! Which lane of the inbox a fact goes to, as far as that is known without the database: that of its opening's market, or one
//! apart where very many come about one opening.

use std::sync::Arc;

use super::hot::Hot;
use super::markets::Markets;
use crate::clock::Time;
use crate::db::inbox::NewFact;
use crate::domain::Opening;

/// What is known of the lanes.
#[derive(Clone, Default)]
pub struct Lanes {
    hot: Arc<Hot>,
    markets: Markets,
}

impl Lanes {
    /// An opening was decided about: the next that is heard of it is of its market.
    pub fn learn(&self, opening: &Opening) {
        self.markets.learn(opening);
    }

    /// The lane of a fact from outside, which is counted.
    pub(super) fn of(&self, fact: &NewFact, now: Time) -> Option<String> {
        let hot = self.hot.note(fact, now).map(|lane| format!("hot/{lane}"));
        hot.or_else(|| self.markets.of(&fact.provider, fact.provider_ref.as_deref()?))
    }
}
