//! Assigns plans by quota from a seed: of N openings, the number that meets each fault is fixed, and shuffled.
//!
//! Pure: equal total, seed and timing give equal plans, so a failed run can be repeated. Independent random draws would
//! leave a small demo without its rarest faults.

use std::ops::RangeInclusive;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::plan::{Decision, Fault, Fold, HALF_A_CHARACTER, Plan, RefusalForm, Verdict};

/// The speeds of the simulated bank relative to the service's schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long the bank takes to decide.
    pub decide_after: RangeInclusive<Duration>,
    /// The service's `ESCALATE_AFTER`: a late decision comes after it.
    pub deadline: Duration,
    /// The service's `POLL_SCHEDULE`: a late decision leaves it time for its last poll.
    pub poll_interval: Duration,
    /// When a message is sent again under a new id.
    pub resend_after: Duration,
    /// When a decision is contradicted.
    pub contradiction_after: Duration,
}

impl Default for Timing {
    /// A service with its default schedule and a bank that decides in 2–5 s.
    fn default() -> Self {
        Self {
            decide_after: Duration::from_secs(2)..=Duration::from_secs(5),
            deadline: Duration::from_hours(12),
            poll_interval: Duration::from_mins(30),
            resend_after: Duration::from_secs(10),
            contradiction_after: Duration::from_secs(5),
        }
    }
}

impl Timing {
    /// A demo: half an hour becomes a second, twelve hours become eight.
    #[must_use]
    pub const fn compressed() -> Self {
        Self {
            decide_after: Duration::from_millis(200)..=Duration::from_millis(1500),
            deadline: Duration::from_secs(8),
            poll_interval: Duration::from_secs(1),
            resend_after: Duration::from_millis(700),
            contradiction_after: Duration::from_millis(500),
        }
    }

    /// A plan without faults, decided within the normal time.
    pub(super) fn clean(&self, rng: &mut StdRng) -> Plan {
        let millis = |d: &Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let (from, to) = (millis(self.decide_after.start()), millis(self.decide_after.end()));
        let decide_after = Duration::from_millis(rng.random_range(from..=to.max(from)));
        Plan { decide_after, progress: rng.random_bool(0.5), ..Plan::default() }
    }

    /// The delay of a decision after the service's deadline.
    fn late(&self) -> Duration {
        self.deadline + self.deadline / 4 + self.poll_interval * 2
    }
}

/// A share of openings (per thousand) and its change of their plans.
type Class = (usize, fn(&mut Plan, &Timing));

/// The bank's decisions; all others complete in time. Mutually exclusive.
const OUTCOMES: [Class; 4] = [
    (40, |plan, _| plan.decision = Decision::Never),
    (20, |plan, timing| plan.decide_after = timing.late()),
    (60, |plan, _| plan.decision = Decision::By(Verdict::reject("customer_not_eligible"))),
    (20, |plan, _| plan.decision = Decision::By(Verdict::reject(format!("the name ends in {HALF_A_CHARACTER}")))),
];
/// How many of the classes above are not decided in time.
const NOT_IN_TIME: usize = 2;

/// How a timely decision is sent; all others by one normal webhook. Mutually exclusive.
const DELIVERIES: [Class; 7] = [
    (150, |plan, _| plan.webhooks.dropped = true),
    (150, |plan, _| plan.webhooks.copies = 3),
    (60, |plan, timing| plan.webhooks.resend_after = Some(timing.resend_after)),
    (80, |plan, _| {
        plan.progress = true;
        plan.webhooks.reordered = true;
    }),
    (50, |plan, _| plan.webhooks.early = true),
    (40, |plan, timing| plan.webhooks.contradiction_after = Some(timing.contradiction_after)),
    // Only the register tells the service.
    (15, |plan, _| {
        plan.webhooks.dropped = true;
        plan.silent = true;
    }),
];

/// A forged copy may precede any timely decision, even with a dropped webhook: the service must never believe it.
const FORGED: [Class; 1] = [(50, |plan, _| plan.webhooks.forged_first = true)];

/// The signature of any timely decision may pass a proxy that rewrites headers.
const FOLDED: [Class; 3] = [
    (20, |plan, _| plan.webhooks.fold = Fold::Spaced),
    (20, |plan, _| plan.webhooks.fold = Fold::Lines),
    (20, |plan, _| plan.webhooks.fold = Fold::Joined),
];

/// An unknown status word on the way. Not for early decisions, which have no progress.
const WORDS: [Class; 1] = [(40, |plan, _| {
    plan.progress = true;
    plan.on_hold = true;
})];

/// Ids of maximum length.
const IDS: [Class; 1] = [(50, |plan, _| plan.long_ids = true)];

/// Refusals by a gateway and by a framework: neither is the bank's decision.
const GATEWAY: Fault = Fault::Refuse { status: 400, form: RefusalForm::Gateway };
const FRAMEWORK: Fault = Fault::Refuse { status: 400, form: RefusalForm::Framework };

/// Faults of submissions. Not for early decisions: their answer is held back already.
const SUBMITS: [Class; 9] = [
    (60, |plan, _| plan.submit = Fault::ErrorBefore { status: 500 }.times(2)),
    (30, |plan, _| plan.submit = Fault::ErrorAfter { status: 500 }.times(1)),
    (15, |plan, _| plan.submit = Fault::HangBefore.times(1)),
    (15, |plan, _| plan.submit = Fault::HangAfter.times(1)),
    (30, |plan, _| plan.submit = Fault::Throttle { retry_after_seconds: 1 }.times(1)),
    (10, |plan, _| plan.submit = Fault::Garbage.times(1)),
    (20, |plan, _| plan.submit = GATEWAY.times(1)),
    (10, |plan, _| plan.submit = FRAMEWORK.times(1)),
    (20, |plan, _| plan.submit = Fault::Compressed.times(1)),
];

const PROFILES: [Class; 5] = [
    (20, |plan, _| plan.profile = Fault::ErrorBefore { status: 503 }.times(2)),
    (10, |plan, _| plan.profile = Fault::ErrorAfter { status: 500 }.times(1)),
    (10, |plan, _| plan.profile = Fault::HangAfter.times(1)),
    (10, |plan, _| plan.profile = GATEWAY.times(1)),
    (10, |plan, _| plan.profile = Fault::Compressed.times(1)),
];

/// Faults of cards, for openings that complete in time; others request no card.
const CARDS: [Class; 5] = [
    (20, |plan, _| plan.card = Fault::ErrorBefore { status: 503 }.times(2)),
    (10, |plan, _| plan.card = Fault::ErrorAfter { status: 500 }.times(1)),
    (10, |plan, _| plan.card = Fault::HangAfter.times(1)),
    (10, |plan, _| plan.card = FRAMEWORK.times(1)),
    (10, |plan, _| plan.card = Fault::Compressed.times(1)),
];

/// Faults of lookups, for openings that the service must poll.
const LOOKUPS: [Class; 4] = [
    (30, |plan, _| plan.lookup = Fault::ErrorBefore { status: 500 }.times(1)),
    (10, |plan, _| plan.lookup = Fault::HangBefore.times(1)),
    (10, |plan, _| plan.lookup = GATEWAY.times(1)),
    (10, |plan, _| plan.lookup = Fault::Compressed.times(1)),
];

/// With at least this many openings, every class occurs at least once.
const EVERY_CLASS_FROM: usize = 40;

/// The plans of `total` openings, in the order in which they arrive.
#[must_use]
pub fn deal(total: usize, seed: u64, timing: &Timing) -> Vec<Plan> {
    let mut rng = StdRng::seed_from_u64(seed);
    let plans = (0..total).map(|_| timing.clean(&mut rng)).collect();
    let mut deck = Deck { plans, rng, timing };

    let (outcomes, completing) = deck.hand_out(&OUTCOMES, (0..total).collect());
    let (waiting, rejected) = outcomes.split_at(NOT_IN_TIME);
    let in_time = [rejected.concat(), completing.clone()].concat();
    let (deliveries, _) = deck.hand_out(&DELIVERIES, in_time.clone());
    deck.hand_out(&FORGED, in_time.clone());
    deck.hand_out(&FOLDED, in_time);

    let answered_at_once = deck.positions(|plan| !plan.webhooks.early);
    deck.hand_out(&SUBMITS, answered_at_once.clone());
    deck.hand_out(&WORDS, answered_at_once);
    deck.hand_out(&IDS, (0..total).collect());
    deck.hand_out(&PROFILES, (0..total).collect());
    deck.hand_out(&CARDS, completing);
    let dropped = deliveries.into_iter().next().unwrap_or_default();
    deck.hand_out(&LOOKUPS, [waiting.concat(), dropped].concat());
    deck.plans
}

struct Deck<'a> {
    plans: Vec<Plan>,
    rng: StdRng,
    timing: &'a Timing,
}

impl Deck<'_> {
    /// Assigns the classes to random members of `to`; returns the indexes of each class and the rest.
    fn hand_out(&mut self, classes: &[Class], mut to: Vec<usize>) -> (Vec<Vec<usize>>, Vec<usize>) {
        to.shuffle(&mut self.rng);
        let total = self.plans.len();
        let mut dealt = Vec::with_capacity(classes.len());
        for (per_thousand, change) in classes {
            let least = usize::from(total >= EVERY_CLASS_FROM);
            let count = ((total * per_thousand + 500) / 1000).max(least).min(to.len());
            let rest = to.split_off(count);
            for at in &to {
                if let Some(plan) = self.plans.get_mut(*at) {
                    change(plan, self.timing);
                }
            }
            dealt.push(std::mem::replace(&mut to, rest));
        }
        (dealt, to)
    }

    fn positions(&self, which: impl Fn(&Plan) -> bool) -> Vec<usize> {
        (0..self.plans.len()).filter(|at| self.plans.get(*at).is_some_and(&which)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Webhooks;
    use super::*;

    const N: usize = 200;

    fn count(plans: &[Plan], which: impl Fn(&Plan) -> bool) -> usize {
        plans.iter().filter(|plan| which(plan)).count()
    }

    #[test]
    fn the_same_seed_deals_the_same_plans_and_another_seed_other_ones() {
        let timing = Timing::compressed();
        assert_eq!(deal(N, 7, &timing), deal(N, 7, &timing));
        assert_ne!(deal(N, 7, &timing), deal(N, 8, &timing));
    }

    #[test]
    fn the_quotas_do_not_depend_on_the_seed() {
        let timing = Timing::compressed();
        for seed in 0..20 {
            let plans = deal(N, seed, &timing);
            assert_eq!(plans.len(), N);
            assert_eq!(count(&plans, |p| p.decision == Decision::Never), 8);
            assert_eq!(count(&plans, |p| p.decide_after > timing.deadline), 4);
            let rejected = |p: &Plan| matches!(p.decision, Decision::By(Verdict::Reject { .. }));
            assert_eq!(count(&plans, rejected), 12 + 4);
            assert_eq!(count(&plans, |p| p.webhooks.dropped && !p.silent), 30);
            assert_eq!(count(&plans, |p| p.webhooks.dropped && p.silent), 3);
            assert_eq!(count(&plans, |p| p.webhooks.copies > 1), 30);
            assert_eq!(count(&plans, |p| p.webhooks.reordered && p.progress), 16);
            assert_eq!(count(&plans, |p| p.webhooks.forged_first), 10);
            assert_eq!(count(&plans, |p| !p.submit.is_empty()), 12 + 6 + 3 + 3 + 6 + 2 + 4 + 2 + 4);
            assert_eq!(count(&plans, |p| p.webhooks.fold != Fold::AsSent), 12);
            assert_eq!(count(&plans, |p| p.on_hold && p.progress), 8);
            assert_eq!(count(&plans, |p| p.long_ids), 10);
        }
    }

    #[test]
    fn from_forty_openings_on_every_class_is_dealt() {
        let timing = Timing::compressed();
        for (total, seed) in (EVERY_CLASS_FROM..60).flat_map(|total| (0..10).map(move |seed| (total, seed))) {
            let plans = deal(total, seed, &timing);
            let groups: [&[Class]; 10] =
                [&OUTCOMES, &DELIVERIES, &FORGED, &FOLDED, &SUBMITS, &WORDS, &IDS, &PROFILES, &CARDS, &LOOKUPS];
            for change in groups.iter().flat_map(|group| group.iter()).map(|class| class.1) {
                let has = |plan: &Plan| {
                    let mut changed = plan.clone();
                    change(&mut changed, &timing);
                    changed == *plan
                };
                assert!(plans.iter().any(has), "a class was not dealt to any of {total} with seed {seed}");
            }
        }
    }

    #[test]
    fn faults_that_exclude_each_other_are_not_combined() {
        let timing = Timing::compressed();
        for plan in (0..20).flat_map(|seed| deal(N, seed, &timing)) {
            let told = &plan.webhooks;
            let odd = [told.dropped, told.copies > 1, told.resend_after.is_some(), told.reordered, told.early];
            assert!(odd.iter().filter(|is| **is).count() <= 1, "{plan:?}");
            assert!(!told.early || plan.submit.is_empty(), "{plan:?}");
            assert!(plan.decision != Decision::Never || *told == Webhooks::default(), "{plan:?}");
            assert!(plan.card.is_empty() || plan.decision == Decision::By(Verdict::complete()), "{plan:?}");
        }
    }

    #[test]
    fn a_few_openings_or_none_are_dealt_too() {
        let timing = Timing::default();
        for total in 0..EVERY_CLASS_FROM {
            assert_eq!(deal(total, 1, &timing).len(), total);
        }
    }
}
