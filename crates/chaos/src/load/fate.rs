//! The fates of the bank's messages, dealt from a deck of a hundred: 10 are lost, 20 copied, 20 overtaken (4 of these
//! are also copied), 6 hung up on (5 % of all requests, since copies and repeats are not), 2 accompanied by a forgery,
//! and 6 pass a proxy that rewrites the signature header.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::provider::Deck;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// The message is never sent.
    pub dropped: bool,
    pub copies: Copies,
    /// Later messages overtake it.
    pub reordered: bool,
    /// The bank closes the connection of the first sending.
    pub hang_up: bool,
    pub forgery: Option<Forgery>,
    pub fold: Fold,
}

/// The copies that are sent beside the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    pub count: u32,
    /// They are sent later, not at the same moment.
    pub later: bool,
}

/// A lie about the same opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// Under the id of the true message.
    SameId,
    /// Under an id of its own.
    OwnId,
}

/// How a proxy writes a header that may stand several times (RFC 9110, 5.3), with a space between its values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fold {
    /// As it was sent.
    #[default]
    None,
    /// The comma in it is taken for one between values, and gets a space.
    Spaced,
    /// Each signature in a line of its own.
    Lines,
    /// Several signatures are joined by commas.
    Joined,
}

/// A signature that is not ours: a bank that changes its key signs with both.
const OTHER: &str = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

impl Fold {
    /// The header lines in which a signature arrives.
    pub fn lines(self, signature: String) -> Vec<String> {
        match self {
            Self::None => vec![signature],
            Self::Spaced => vec![signature.replacen(',', ", ", 1)],
            Self::Lines => vec![OTHER.to_owned(), signature],
            Self::Joined => vec![format!("{OTHER}, {signature}")],
        }
    }
}

impl Fate {
    /// How long the first sending is held back.
    pub fn held(&self, rng: &mut StdRng) -> Duration {
        Duration::from_millis(if self.reordered { rng.random_range(500..5_000) } else { 0 })
    }

    /// How long after the first sending a copy follows.
    pub fn copied_after(&self, rng: &mut StdRng) -> Duration {
        Duration::from_millis(if self.copies.later { rng.random_range(1_000..30_000) } else { 0 })
    }
}

/// The deck; or one of which half is hung up on.
pub fn deck(seed: u64, many_hang_up: bool) -> Deck<Fate> {
    let fate = |n: u32| Fate {
        dropped: n < 10,
        copies: if (10..30).contains(&n) {
            Copies { count: 1 + n % 2, later: (n / 2).is_multiple_of(2) }
        } else {
            Copies::default()
        },
        reordered: (26..46).contains(&n),
        hang_up: [12, 35, 50, 51, 52, 53].contains(&n) || (many_hang_up && n.is_multiple_of(2)),
        forgery: match n {
            60 => Some(Forgery::SameId),
            61 => Some(Forgery::OwnId),
            _ => None,
        },
        fold: match n {
            70 | 71 => Fold::Spaced,
            72 | 73 => Fold::Lines,
            74 | 75 => Fold::Joined,
            _ => Fold::None,
        },
    };
    Deck::new(seed, "fates", (0..100).map(fate).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_hundred_messages_as_many_meet_each_fate_as_planned() {
        let mut deck = deck(1, false);
        let fates: Vec<Fate> = (0..100).filter_map(|_| deck.deal()).collect();
        let count = |is: fn(&Fate) -> bool| fates.iter().filter(|it| is(it)).count();
        assert_eq!(count(|it| it.dropped), 10);
        assert_eq!(count(|it| it.copies.count > 0), 20);
        assert_eq!(count(|it| it.copies.count == 2), 10);
        assert_eq!(count(|it| it.copies.later), 10);
        assert_eq!(count(|it| it.reordered), 20);
        assert_eq!(count(|it| it.hang_up), 6);
        assert_eq!(count(|it| it.forgery.is_some()), 2);
        assert_eq!(count(|it| it.fold != Fold::None), 6);
        assert_eq!(count(|it| it.dropped && *it != Fate { dropped: true, ..Fate::default() }), 0);
    }
}
