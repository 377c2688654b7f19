//! Chooses the plan of an opening: by customer, else by order of arrival, else the default.

use std::collections::{HashMap, VecDeque};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::plan::Plan;
use super::quota::{self, Timing};

/// The source of plans. [`super::Simulator::set_plan`] takes precedence.
#[derive(Clone, Debug)]
pub enum Planner {
    /// The same plan for all openings.
    Fixed(Plan),
    /// No faults; decided after a time drawn from the seed.
    Clean(Timing),
    /// The first `total` openings by quota ([`quota::deal`]), those after them clean.
    Quota {
        /// How many openings share the quota.
        total: usize,
        timing: Timing,
    },
    /// Scripted by a test.
    Scripted {
        /// By the customer's reference, for every opening of that customer.
        by_customer: HashMap<String, Plan>,
        /// For the openings of other customers, in the order in which they arrive.
        in_order: Vec<Plan>,
        /// For all further openings.
        otherwise: Plan,
    },
}

pub(super) struct Dealer {
    by_customer: HashMap<String, Plan>,
    in_order: VecDeque<Plan>,
    otherwise: Usual,
}

enum Usual {
    Fixed(Box<Plan>),
    Clean(Timing, Box<StdRng>),
}

impl Dealer {
    pub(super) fn new(planner: Planner, seed: u64) -> Self {
        let clean = |timing| Usual::Clean(timing, Box::new(StdRng::seed_from_u64(seed)));
        let (by_customer, in_order, otherwise) = match planner {
            Planner::Fixed(plan) => (HashMap::new(), Vec::new(), Usual::Fixed(Box::new(plan))),
            Planner::Clean(timing) => (HashMap::new(), Vec::new(), clean(timing)),
            Planner::Quota { total, timing } => (HashMap::new(), quota::deal(total, seed, &timing), clean(timing)),
            Planner::Scripted { by_customer, in_order, otherwise } => {
                (by_customer, in_order, Usual::Fixed(Box::new(otherwise)))
            }
        };
        Self { by_customer, in_order: in_order.into(), otherwise }
    }

    pub(super) fn deal(&mut self, customer_reference: Option<&str>) -> Plan {
        if let Some(plan) = customer_reference.and_then(|customer| self.by_customer.get(customer)) {
            return plan.clone();
        }
        if let Some(plan) = self.in_order.pop_front() {
            return plan;
        }
        match &mut self.otherwise {
            Usual::Fixed(plan) => (**plan).clone(),
            Usual::Clean(timing, rng) => timing.clean(rng),
        }
    }

    pub(super) fn set(&mut self, customer_reference: String, plan: Plan) {
        self.by_customer.insert(customer_reference, plan);
    }
}
