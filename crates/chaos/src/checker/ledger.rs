//! The outside world's ledger, indexed. Its lines are on disk before an effect is answered, and it is read last, so
//! every effect known to the service is in it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::lines;
use crate::record::{Did, Fault};

#[derive(Default)]
pub struct Ledger {
    /// By our reference, the opening's id.
    pub pages: BTreeMap<String, Page>,
    /// Calls with a fault, by kind.
    pub suffered: HashMap<Fault, u64>,
    /// When the bank failed a call, in the order of the file.
    failed_at: Vec<i64>,
}

/// The endpoint of the subscriber's sink, which is not the bank's.
const EVENT: &str = "event";
/// Failed calls at most this far apart are of one outage, in microseconds.
const OF_ONE_OUTAGE: i64 = 1_000_000;

/// The effects for one opening, oldest first.
#[derive(Default)]
pub struct Page {
    pub profiles: Vec<Effect>,
    pub requests: Vec<Effect>,
    pub cards: Vec<Effect>,
    pub decisions: Vec<Decision>,
}

/// A profile, an account request or a card.
pub struct Effect {
    pub at: i64,
    /// The Idempotency-Key of the request.
    pub key: String,
    pub id: String,
    /// Of the account, where it says so.
    pub iban: Option<String>,
    /// The holder, where it says so.
    pub profile_id: Option<String>,
}

/// The bank's answer to a request.
pub struct Decision {
    pub at: i64,
    pub tracking_id: String,
    pub status: String,
    pub iban: Option<String>,
    pub bic: Option<String>,
    pub reason: Option<String>,
}

impl Ledger {
    /// Reads the ledger and the problems of the file.
    ///
    /// # Errors
    /// If it cannot be opened or read.
    pub fn read(path: &Path, growing: bool) -> anyhow::Result<(Self, Vec<String>)> {
        let mut ledger = Self::default();
        let broken = lines::each(path, "ledger", growing, |line: Did| {
            ledger.take(line);
            Ok(())
        })?;
        Ok((ledger, broken))
    }

    fn take(&mut self, line: Did) {
        match line {
            Did::Profile { at, reference, key, profile_id } => {
                self.page(reference).profiles.push(Effect { at, key, id: profile_id, iban: None, profile_id: None });
            }
            Did::Request { at, reference, key, tracking_id, profile_id } => {
                let effect = Effect { at, key, id: tracking_id, iban: None, profile_id: Some(profile_id) };
                self.page(reference).requests.push(effect);
            }
            Did::Decided { at, reference, tracking_id, status, iban, bic, rejection_reason } => {
                let decision = Decision { at, tracking_id, status, iban, bic, reason: rejection_reason };
                self.page(reference).decisions.push(decision);
            }
            Did::Card { at, reference, key, card_id, iban, profile_id } => {
                let effect = Effect { at, key, id: card_id, iban: Some(iban), profile_id: Some(profile_id) };
                self.page(reference).cards.push(effect);
            }
            Did::Suffered { at, endpoint, fault } => {
                *self.suffered.entry(fault).or_default() += 1;
                if fault.fails_calls() && endpoint != EVENT {
                    self.failed_at.push(at);
                }
            }
        }
    }

    /// For how long the bank was failing calls between two times, in microseconds.
    pub fn failing(&self, from: i64, until: i64) -> i64 {
        let failed: Vec<i64> = self.failed_at.iter().copied().filter(|at| (from..until).contains(at)).collect();
        failed.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| (0..=OF_ONE_OUTAGE).contains(gap)).sum()
    }

    fn page(&mut self, reference: String) -> &mut Page {
        self.pages.entry(reference).or_default()
    }
}
