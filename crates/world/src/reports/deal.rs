//! Deals divergences to requests by quota: the seed chooses the requests, never the number.
//!
//! A request has at most one divergence, so that each is found as exactly one mismatch. A file never has so many that the
//! service holds it as a wrong one.

use std::collections::{BTreeMap, VecDeque};

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::divergence::{File, Kind, RULES, Rule, Subject};
use super::entry::Entry;
use super::prices::{self, Step};
use super::{Ask, Divergences};
use crate::snapshot::Status;

/// Requests per thousand and kind.
const PER_THOUSAND: usize = 2;
/// With at least this many requests every kind is dealt at least once.
const EVERY_KIND_FROM: usize = 40;
/// The number of rows with a case that a file of any size may have (`RECON_HOLD` takes over at 400 rows).
const CASES_IN_ANY_FILE: usize = 20;
const CASES_PER_HUNDRED: usize = 5;

/// How many of so many rows may be cases before the service holds the file.
pub(super) fn allowed(rows: usize) -> usize {
    CASES_IN_ANY_FILE.max(rows * CASES_PER_HUNDRED / 100)
}

/// The divergences by the index of their request, and those without one.
#[derive(Debug, Default)]
pub(super) struct Dealt {
    of: BTreeMap<usize, Kind>,
    /// The second opening of a swap: agreeing itself, and in no other divergence.
    partners: BTreeMap<usize, usize>,
    loose: Vec<Kind>,
}

impl Dealt {
    pub(super) fn of(&self, at: usize) -> Option<Kind> {
        self.of.get(&at).copied()
    }

    pub(super) fn partner(&self, at: usize) -> Option<usize> {
        self.partners.get(&at).copied()
    }

    pub(super) fn has(&self, kind: Kind) -> bool {
        self.loose.contains(&kind)
    }
}

pub(super) fn deal(entries: &[Entry], seed: u64, ask: &Ask) -> Dealt {
    match ask.divergences {
        Divergences::None => Dealt::default(),
        Divergences::Quota => by_quota(entries, seed, ask),
        Divergences::Many => many(entries, ask),
    }
}

/// Every account has another IBAN: a file that the service must hold.
fn many(entries: &[Entry], ask: &Ask) -> Dealt {
    let opened = (0..entries.len()).filter(|at| entries.get(*at).is_some_and(|it| fits(it, Subject::Opened, ask)));
    Dealt { of: opened.map(|at| (at, Kind::OtherIban)).collect(), ..Dealt::default() }
}

fn by_quota(entries: &[Entry], seed: u64, ask: &Ask) -> Dealt {
    let mut hand = Hand::new(entries, seed, ask);
    for rule in RULES {
        let count = match (rule.kind, rule.subject) {
            // The rent is paid however few requests there are.
            (Kind::Unrelated, _) => 1,
            (_, Subject::Nothing) => hand.quota.min(1),
            _ => hand.quota,
        };
        for _ in 0..count {
            hand.deal(rule);
        }
    }
    hand.dealt
}

struct Hand<'a> {
    entries: &'a [Entry],
    ask: &'a Ask,
    /// Shuffled; what is dealt leaves it.
    free: VecDeque<usize>,
    /// The number of requests for each kind.
    quota: usize,
    /// The rows with a case that each file may still have.
    left: BTreeMap<File, usize>,
    dealt: Dealt,
}

impl<'a> Hand<'a> {
    fn new(entries: &'a [Entry], seed: u64, ask: &'a Ask) -> Self {
        let known = |at: &usize| {
            let entry = entries.get(*at);
            entry.is_some_and(|it| it.request.created_at < ask.dealt_at && it.is_in(ask.from, ask.until, ask.dealt_at))
        };
        let mut free: Vec<usize> = (0..entries.len()).filter(known).collect();
        free.shuffle(&mut StdRng::seed_from_u64(seed));
        let total = free.len();
        let quota = ((total * PER_THOUSAND + 500) / 1000).max(usize::from(total >= EVERY_KIND_FROM));
        let left = [File::Register, File::Charges, File::Bank].map(|file| (file, allowed(total))).into();
        Self { entries, ask, free: free.into(), quota, left, dealt: Dealt::default() }
    }

    fn deal(&mut self, rule: &Rule) {
        let left = self.left.entry(rule.file).or_default();
        let Some(rest) = left.checked_sub(rule.weight) else { return };
        if rule.subject == Subject::Nothing {
            *left = rest;
            return self.dealt.loose.push(rule.kind);
        }
        let Some(at) = take(&mut self.free, self.entries, rule.subject, self.ask) else { return };
        if matches!(rule.kind, Kind::Swapped | Kind::SwappedCharge) {
            let Some(partner) = take(&mut self.free, self.entries, Subject::Opened, self.ask) else { return };
            self.dealt.partners.insert(at, partner);
        }
        *left = rest;
        self.dealt.of.insert(at, rule.kind);
    }
}

/// Takes the first request that fits.
fn take(free: &mut VecDeque<usize>, entries: &[Entry], subject: Subject, ask: &Ask) -> Option<usize> {
    let place = free.iter().position(|at| entries.get(*at).is_some_and(|it| fits(it, subject, ask)))?;
    free.remove(place)
}

fn fits(entry: &Entry, subject: Subject, ask: &Ask) -> bool {
    let at = ask.dealt_at;
    let opened = entry.status(at) == Status::Completed;
    let long_ago = |window| entry.decided_at(at).is_some_and(|decided| decided < at - window * 3 / 2);
    let market = &entry.request.market;
    let usual = opened && !prices::is_converted(market);
    let repriced =
        || prices::price(&entry.request, Step::Opened, at).and_then(|price| prices::before(&price)).is_some();
    entry.fit
        && match subject {
            Subject::Opened => usual,
            Subject::OpenedLongAgo => {
                usual && entry.prompt && long_ago(ask.recon_window) && long_ago(ask.charge_window)
            }
            Subject::DecidedJustNow => {
                entry.prompt && entry.decided_at(at).is_some_and(|decided| decided > at - ask.recon_window / 2)
            }
            Subject::Rejected => entry.status(at) == Status::Rejected,
            Subject::Undecided => matches!(entry.status(at), Status::Initiated | Status::InProgress) && entry.waits,
            Subject::Converted => opened && prices::is_converted(market),
            Subject::Repriced => usual && repriced(),
            Subject::Nothing | Subject::ByPlan => false,
        }
}
