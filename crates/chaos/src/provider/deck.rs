//! Decks: planned shares that hold even in short runs. Fates are dealt from a shuffled deck with the planned number of
//! each, instead of drawn at random.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use sha2::{Digest, Sha256};

/// An independent generator per purpose and number.
pub fn rng(seed: u64, purpose: &str, number: u64) -> StdRng {
    let mut hash = Sha256::new();
    hash.update(seed.to_be_bytes());
    hash.update(number.to_be_bytes());
    hash.update(purpose);
    StdRng::from_seed(hash.finalize().into())
}

/// A deck that is reshuffled whenever it is used up.
pub struct Deck<T> {
    seed: u64,
    purpose: &'static str,
    cards: Vec<T>,
    order: Vec<usize>,
    shuffled: u64,
}

impl<T: Clone> Deck<T> {
    /// A deck of these cards.
    pub fn new(seed: u64, purpose: &'static str, cards: Vec<T>) -> Self {
        Self { seed, purpose, cards, order: Vec::new(), shuffled: 0 }
    }

    /// A deck with the given number of each card.
    pub fn of(seed: u64, purpose: &'static str, cards: &[(usize, T)]) -> Self {
        let cards = cards.iter().flat_map(|(times, card)| std::iter::repeat_n(card.clone(), *times));
        Self::new(seed, purpose, cards.collect())
    }

    /// The next card. None: the deck is empty.
    pub fn deal(&mut self) -> Option<T> {
        if self.order.is_empty() {
            self.order = self.shuffle(self.shuffled);
            self.shuffled += 1;
        }
        self.order.pop().and_then(|at| self.cards.get(at).cloned())
    }

    /// The card at this position of an endless sequence of decks, independent of earlier deals.
    pub fn at(&self, place: u64) -> Option<T> {
        let size = u64::try_from(self.cards.len()).ok()?;
        let order = self.shuffle(place.checked_div(size)?);
        let within = usize::try_from(place % size).ok()?;
        order.get(within).and_then(|at| self.cards.get(*at).cloned())
    }

    fn shuffle(&self, round: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.cards.len()).collect();
        order.shuffle(&mut rng(self.seed, self.purpose, round));
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hundred_holds_its_quota_in_an_order_of_its_own() {
        let mut deck = Deck::of(7, "test", &[(87, 'c'), (10, 'r'), (3, 's')]);
        let rounds: Vec<String> = (0..3).map(|_| (0..100).filter_map(|_| deck.deal()).collect()).collect();
        for round in &rounds {
            let count = |card| round.chars().filter(|it| *it == card).count();
            assert_eq!((count('c'), count('r'), count('s')), (87, 10, 3));
        }
        assert_ne!(rounds[0], rounds[1]);
    }

    #[test]
    fn a_place_holds_the_same_card_whenever_it_is_asked_for() {
        let deck = Deck::of(7, "test", &[(5, true), (5, false)]);
        let again = Deck::of(7, "test", &[(5, true), (5, false)]);
        let row: Vec<_> = (0..100).map(|place| deck.at(place)).collect();
        assert_eq!(row, (0..100).rev().map(|place| again.at(place)).rev().collect::<Vec<_>>());
        assert_eq!(row.iter().filter(|it| **it == Some(true)).count(), 50);
    }
}
