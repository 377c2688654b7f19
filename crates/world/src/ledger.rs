//! The record of what really happened at the other side. Every effect is made and counted here, under one lock, and
//! never undone.
//!
//! An idempotency key has one effect. A different key for the same opening has a second effect, as at a real provider.
//! The ledger counts it: the double effect that the service must prevent.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use axum::http::StatusCode;
use serde_json::Value;

use super::banks::Order;
use super::dealer::Dealer;
use super::endpoint::{Api, Endpoint};
use super::mint;
use super::plan::{Fault, Verdict};
use super::snapshot::{AccountRequest, Call, Card, Counts, Status};
use super::tracker::Book;
use clock::Time;

mod opening;
mod read;

use opening::Opening;

/// The first answer, for repeats with the same key.
pub(super) type Answer = (StatusCode, Value);

pub(super) struct Ledger {
    seed: u64,
    dealer: Dealer,
    pub(super) counts: Counts,
    pub(super) outages: BTreeMap<Api, Fault>,
    pub(super) tracker: Book,
    openings: HashMap<String, Opening>,
    requests: Vec<AccountRequest>,
    /// The order of each request, in the same sequence.
    orders: Vec<Order>,
    /// The opening of each profile.
    by_profile: HashMap<String, String>,
    by_id: HashMap<String, usize>,
    by_update: BTreeSet<(Time, usize)>,
    /// Digest of the body and first answer, by endpoint and idempotency key.
    answers: HashMap<(Endpoint, String), ([u8; 32], Answer)>,
    /// IBANs in use, so that none is assigned twice.
    ibans: HashSet<String>,
}

/// The result of a request for an effect.
pub(super) enum Asked {
    /// The first request: the effect was made.
    Made(Answer),
    /// A repeat with the same key: the first answer.
    Replayed(Answer),
    /// The key was used for another body.
    Conflict,
}

impl Ledger {
    pub(super) fn new(dealer: Dealer, seed: u64) -> Self {
        Self {
            seed,
            dealer,
            counts: Counts::default(),
            outages: BTreeMap::new(),
            tracker: Book::default(),
            openings: HashMap::new(),
            requests: Vec::new(),
            orders: Vec::new(),
            by_profile: HashMap::new(),
            by_id: HashMap::new(),
            by_update: BTreeSet::new(),
            answers: HashMap::new(),
            ibans: HashSet::new(),
        }
    }

    /// Records a call about an opening; returns its fault.
    pub(super) fn arrive(&mut self, call: Call, reference: &str, customer_reference: Option<&str>) -> Option<Fault> {
        let dealer = &mut self.dealer;
        let opening = self
            .openings
            .entry(reference.to_owned())
            .or_insert_with(|| Opening::new(customer_reference, dealer.deal(customer_reference)));
        if opening.customer_reference.is_none() {
            opening.customer_reference = customer_reference.map(str::to_owned);
        }
        // During an outage the plan's faults are not used up.
        let fault = match self.outages.get(&call.endpoint.api()) {
            Some(fault) => Some(*fault),
            None => opening.faults.get_mut(&call.endpoint).and_then(VecDeque::pop_front),
        };
        self.counts.faults += u64::from(fault.is_some());
        *opening.calls.entry(call.endpoint).or_default() += 1;
        if opening.log.len() < super::CALLS_KEPT {
            opening.log.push(Call { fault, ..call });
        }
        fault
    }

    /// Makes an effect once per key.
    pub(super) fn once(
        &mut self,
        (endpoint, key, digest): (Endpoint, &str, [u8; 32]),
        make: impl FnOnce(&mut Self) -> Answer,
    ) -> Asked {
        let key = (endpoint, key.to_owned());
        if let Some((first, answer)) = self.answers.get(&key) {
            return if *first == digest { Asked::Replayed(answer.clone()) } else { Asked::Conflict };
        }
        let answer = make(self);
        self.answers.insert(key, (digest, answer.clone()));
        Asked::Made(answer)
    }

    pub(super) fn make_profile(&mut self, reference: &str) -> Option<String> {
        let opening = self.openings.get_mut(reference)?;
        let id = opening.id("prf", self.seed, &[reference, &opening.profiles.len().to_string()]);
        opening.profiles.push(id.clone());
        self.by_profile.insert(id.clone(), reference.to_owned());
        self.counts.profiles += 1;
        self.counts.double_effects += u64::from(opening.profiles.len() > 1);
        Some(id)
    }

    pub(super) fn make_card(&mut self, reference: &str, iban: String, profile_id: String) -> Option<String> {
        let opening = self.openings.get_mut(reference)?;
        let card_id = opening.id("crd", self.seed, &[reference, &opening.cards.len().to_string()]);
        opening.cards.push(Card { card_id: card_id.clone(), iban, profile_id });
        self.counts.cards += 1;
        self.counts.double_effects += u64::from(opening.cards.len() > 1);
        Some(card_id)
    }

    /// Records a new account request; returns its index.
    pub(super) fn make_order(&mut self, order: Order, now: Time) -> Option<usize> {
        let Order { bank, reference, market, currency, customer_type, blocking, .. } = &order;
        let opening = self.openings.get_mut(reference)?;
        let at = self.requests.len();
        let number = opening.requests.len().to_string();
        let id = opening.id(bank.id_prefix(*blocking), self.seed, &[reference, &number]);
        opening.requests.push(at);
        self.counts.account_requests += 1;
        self.counts.double_effects += u64::from(opening.requests.len() > 1);
        self.by_id.insert(id.clone(), at);
        self.by_update.insert((now, at));
        self.requests.push(AccountRequest {
            account_opening_request_id: id,
            reference: reference.clone(),
            status: Status::Initiated,
            iban: None,
            bic: None,
            rejection_reason: None,
            updated_at: now,
            created_at: now,
            decided_at: None,
            market: market.clone(),
            currency: currency.clone(),
            customer_type: customer_type.clone(),
            blocking: *blocking,
        });
        self.orders.push(order);
        Some(at)
    }

    /// Sets the progress status, unless the bank has reported more already.
    pub(super) fn progress(&mut self, at: usize, status: Status, now: Time) -> Option<AccountRequest> {
        let request = self.requests.get_mut(at).filter(|request| request.status == Status::Initiated)?;
        request.status = status;
        self.by_update.remove(&(request.updated_at, at));
        request.updated_at = now;
        self.by_update.insert((now, at));
        Some(request.clone())
    }

    /// Decides the request, unless it is decided.
    pub(super) fn decide(&mut self, at: usize, verdict: &Verdict, now: Time) -> Option<AccountRequest> {
        let fresh = match verdict {
            Verdict::Complete { iban: None, .. } => Some(self.fresh_iban(at)?),
            _ => None,
        };
        let request = self.requests.get_mut(at).filter(|request| !request.status.is_decided())?;
        match verdict {
            Verdict::Complete { iban, bic } => {
                request.status = Status::Completed;
                request.iban = iban.clone().or(fresh);
                let asked = self.orders.get(at).and_then(|it| it.bic.clone());
                request.bic = Some(bic.clone().or(asked).unwrap_or_else(|| mint::bic(&request.market)));
                self.counts.accounts += 1;
                self.ibans.extend(request.iban.clone());
            }
            Verdict::Reject { reason } => {
                request.status = Status::Rejected;
                request.rejection_reason = Some(reason.clone());
            }
        }
        self.by_update.remove(&(request.updated_at, at));
        request.updated_at = now;
        request.decided_at = Some(now);
        self.by_update.insert((now, at));
        Some(request.clone())
    }

    fn fresh_iban(&self, at: usize) -> Option<String> {
        let request = self.requests.get(at)?;
        (0..=u32::MAX)
            .map(|n| mint::iban(&request.market, self.seed, &[&request.account_opening_request_id, &n.to_string()]))
            .find(|iban| !self.ibans.contains(iban))
    }
}
