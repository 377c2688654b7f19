//! The script of an account request at the bank, derived from the seed and the opening's number, never from timing.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::deck::{Deck, rng};

/// Reasons of refusals. The last one is cut within a character ([`super::wire::CUT`]).
const REASONS: [&str; 4] =
    ["risk policy", "documents not readable", "customer unknown to the register", "the name ends in \u{fffd}"];
/// A status word outside the contract.
pub const UNKNOWN: &str = "ON_HOLD";

/// The end of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Completed,
    Rejected,
    /// Completed, but only once the silence is ended.
    Late,
    Silent,
}

/// The events of one request, timed from its acceptance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Progress messages `INITIATED`, `IN_PROGRESS` or `ON_HOLD`, in order of time.
    pub progress: Vec<(Duration, &'static str)>,
    /// The delay of the decision, unless the bank is silent.
    pub decide_after: Duration,
    pub ending: Ending,
    /// The reason of a refusal.
    pub reason: &'static str,
}

pub struct Scripts {
    seed: u64,
    endings: Deck<Ending>,
    /// Requests with a status word outside the contract.
    holds: Deck<bool>,
}

impl Scripts {
    pub fn new(seed: u64) -> Self {
        // Of 100: 87, 10, and 3 silent ones, half of which are decided late.
        let cards = [(174, Ending::Completed), (20, Ending::Rejected), (3, Ending::Late), (3, Ending::Silent)];
        let holds = Deck::of(seed, "holds", &[(1, true), (9, false)]);
        Self { seed, endings: Deck::of(seed, "endings", &cards), holds }
    }

    /// The script of this opening's requests.
    pub fn of(&self, opening: u64) -> Script {
        let mut rng = rng(self.seed, "script", opening);
        let decide_after = rng.random_range(500..=8_000);
        Script {
            progress: progress(&mut rng, decide_after, self.holds.at(opening) == Some(true)),
            decide_after: Duration::from_millis(decide_after),
            ending: self.endings.at(opening).unwrap_or(Ending::Completed),
            reason: REASONS[usize::try_from(opening).unwrap_or_default() % REASONS.len()],
        }
    }
}

fn progress(rng: &mut StdRng, decide_after: u64, held: bool) -> Vec<(Duration, &'static str)> {
    let mut times: Vec<u64> =
        (0..rng.random_range(1..=2)).map(|_| rng.random_range(200..=decide_after.max(201))).collect();
    times.sort_unstable();
    let first = (Duration::from_millis(rng.random_range(0..200)), "INITIATED");
    let word = |at: usize| if held && at == 0 { UNKNOWN } else { "IN_PROGRESS" };
    let later = times.into_iter().enumerate().map(|(at, time)| (Duration::from_millis(time), word(at)));
    std::iter::once(first).chain(later).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_hundred_openings_as_many_end_in_each_way_as_planned() {
        let scripts = Scripts::new(1);
        let endings: Vec<Ending> = (200..400).map(|n| scripts.of(n).ending).collect();
        let count = |ending| endings.iter().filter(|it| **it == ending).count();
        assert_eq!(count(Ending::Completed), 174);
        assert_eq!(count(Ending::Rejected), 20);
        assert_eq!((count(Ending::Late), count(Ending::Silent)), (3, 3));
        let is_held = |n: &u64| scripts.of(*n).progress.iter().any(|(_, word)| *word == UNKNOWN);
        assert_eq!((200..400).filter(is_held).count(), 20);
    }

    #[test]
    fn the_same_seed_and_number_give_the_same_script() {
        assert_eq!(Scripts::new(1).of(5), Scripts::new(1).of(5));
        assert_ne!(Scripts::new(1).of(5), Scripts::new(2).of(5));
        for n in 0..500 {
            let script = Scripts::new(3).of(n);
            assert!(script.progress.is_sorted());
            assert!((500..=8_000).contains(&script.decide_after.as_millis()));
        }
    }
}
