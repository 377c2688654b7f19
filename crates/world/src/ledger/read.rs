//! Reads of the ledger, and scripting of the future.

use super::super::banks::{Bank, Order};
use super::super::plan::Plan;
use super::super::reports::Entry;
use super::super::snapshot::{AccountRequest, LedgerSnapshot, OpeningRecord};
use super::opening::{Opening, faults};
use super::{Ledger, Time};

impl Ledger {
    pub(crate) fn plan(&self, at: usize) -> Option<Plan> {
        let reference = &self.requests.get(at)?.reference;
        self.openings.get(reference).map(|opening| opening.plan.clone())
    }

    /// Whether the status API keeps the decision of this opening to itself.
    pub(crate) fn is_silent(&self, reference: &str) -> bool {
        self.openings.get(reference).is_some_and(|opening| opening.plan.silent)
    }

    /// All requests for the report files, oldest first.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let entry = |at: usize| {
            let request = self.requests.get(at)?;
            let opening = self.openings.get(&request.reference)?;
            Some(Entry::new(request.clone(), &opening.plan, opening.requests.len() == 1))
        };
        self.orders_of(Bank::REPORTING).filter_map(entry).collect()
    }

    /// The order of a request.
    pub(crate) fn order(&self, at: usize) -> Option<&Order> {
        self.orders.get(at)
    }

    /// The requests of one bank, oldest first.
    pub(crate) fn orders_of(&self, bank: Bank) -> impl Iterator<Item = usize> {
        self.orders.iter().enumerate().filter(move |(_, order)| order.bank == bank).map(|(at, _)| at)
    }

    /// The opening that a profile was made for.
    pub(crate) fn of_profile(&self, profile_id: &str) -> Option<String> {
        self.by_profile.get(profile_id).cloned()
    }

    pub(crate) fn request(&self, at: usize) -> Option<&AccountRequest> {
        self.requests.get(at)
    }

    /// By the bank's tracking id.
    pub(crate) fn by_id(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// All requests of an opening, oldest first.
    pub(crate) fn by_reference(&self, reference: &str) -> &[usize] {
        self.openings.get(reference).map_or(&[], |opening| &opening.requests)
    }

    /// Whether a call has named the opening.
    pub(crate) fn knows(&self, reference: &str) -> bool {
        self.openings.contains_key(reference)
    }

    /// The requests of one bank changed at or after a position in the order of their last change.
    pub(crate) fn changed_since(
        &self,
        bank: Bank,
        from: (Time, usize),
    ) -> impl Iterator<Item = (Time, usize, &AccountRequest)> {
        let changed = self.by_update.range(from..);
        let changed = changed.filter(move |(_, at)| self.orders.get(*at).is_some_and(|it| it.bank == bank));
        changed.filter_map(|(time, at)| Some((*time, *at, self.requests.get(*at)?)))
    }

    /// Sets a plan for the customer's future openings and the rest of present ones.
    pub(crate) fn set_plan(&mut self, customer_reference: String, plan: Plan) {
        let present = |opening: &&mut Opening| opening.customer_reference.as_deref() == Some(&*customer_reference);
        for opening in self.openings.values_mut().filter(present) {
            opening.faults = faults(&plan);
            opening.plan = plan.clone();
        }
        self.dealer.set(customer_reference, plan);
    }

    pub(crate) fn snapshot(&self) -> LedgerSnapshot {
        let openings =
            self.openings.iter().map(|(reference, opening)| (reference.clone(), self.record(reference, opening)));
        let (issues, tracker_calls) = (self.tracker.issues().to_vec(), self.tracker.log().to_vec());
        LedgerSnapshot { counts: self.counts, openings: openings.collect(), issues, tracker_calls }
    }

    pub(crate) fn opening(&self, reference: &str) -> Option<OpeningRecord> {
        self.openings.get(reference).map(|opening| self.record(reference, opening))
    }

    fn record(&self, reference: &str, opening: &Opening) -> OpeningRecord {
        OpeningRecord {
            reference: reference.to_owned(),
            customer_reference: opening.customer_reference.clone(),
            plan: opening.plan.clone(),
            profiles: opening.profiles.clone(),
            requests: opening.requests.iter().filter_map(|at| self.requests.get(*at).cloned()).collect(),
            cards: opening.cards.clone(),
            calls: opening.calls.clone(),
            log: opening.log.clone(),
        }
    }
}
