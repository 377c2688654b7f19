//! The ledger's record of one opening.

use std::collections::{BTreeMap, VecDeque};

use super::super::endpoint::Endpoint;
use super::super::mint;
use super::super::plan::{Fault, Plan};
use super::super::snapshot::{Call, Card};

pub(super) struct Opening {
    pub(super) customer_reference: Option<String>,
    pub(super) plan: Plan,
    /// The remaining faults.
    pub(super) faults: BTreeMap<Endpoint, VecDeque<Fault>>,
    pub(super) profiles: Vec<String>,
    pub(super) requests: Vec<usize>,
    pub(super) cards: Vec<Card>,
    pub(super) calls: BTreeMap<Endpoint, u64>,
    pub(super) log: Vec<Call>,
}

impl Opening {
    pub(super) fn new(customer_reference: Option<&str>, plan: Plan) -> Self {
        let faults = faults(&plan);
        Self {
            customer_reference: customer_reference.map(str::to_owned),
            plan,
            faults,
            profiles: Vec::new(),
            requests: Vec::new(),
            cards: Vec::new(),
            calls: BTreeMap::new(),
            log: Vec::new(),
        }
    }

    /// An id for one of its objects.
    pub(super) fn id(&self, prefix: &str, seed: u64, parts: &[&str]) -> String {
        let id = mint::id(prefix, seed, parts);
        if self.plan.long_ids { mint::long(&id) } else { id }
    }
}

/// A plan's faults; each is used up by one call.
pub(super) fn faults(plan: &Plan) -> BTreeMap<Endpoint, VecDeque<Fault>> {
    [
        (Endpoint::CreateProfile, &plan.profile),
        (Endpoint::Submit, &plan.submit),
        (Endpoint::OpenAccount, &plan.open),
        (Endpoint::Lookup, &plan.lookup),
        (Endpoint::IssueCard, &plan.card),
    ]
    .into_iter()
    .map(|(endpoint, faults)| (endpoint, faults.iter().copied().collect()))
    .collect()
}
