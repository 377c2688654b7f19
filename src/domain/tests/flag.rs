//! The feature flag: the narrowest rule decides; a percentage is stable and only adds openings.

use proptest::prelude::*;

use super::super::flag::{Rule, Rules, Scope};
use super::*;

const MARKETS: [&str; 3] = ["BE", "NL", "DE"];

fn rule(market: Option<&str>, customer_type: Option<CustomerType>, enabled: bool, percentage: u8) -> Rule {
    Rule { scope: Scope { market: market.map(str::to_owned), customer_type }, enabled, percentage }
}

/// Rules for the sixteen scopes of three markets and three types: no rule, off, or on.
fn rules() -> impl Strategy<Value = Vec<(usize, usize, bool)>> {
    let all: Vec<(usize, usize)> = (0..=3).flat_map(|market| (0..=3).map(move |kind| (market, kind))).collect();
    let some = proptest::sample::subsequence(all, 0..=16);
    some.prop_flat_map(|scopes| {
        let n = scopes.len();
        (Just(scopes).prop_shuffle(), proptest::collection::vec(any::<bool>(), n)).prop_map(|(scopes, on)| {
            scopes.into_iter().zip(on).map(|((market, kind), on)| (market, kind, on)).collect()
        })
    })
}

/// The index after the last one means all.
fn made((market, kind, on): &(usize, usize, bool)) -> Rule {
    rule(MARKETS.get(*market).copied(), CustomerType::ALL.get(*kind).copied(), *on, 100)
}

proptest! {
    #[test]
    fn the_narrowest_rule_decides_in_any_order_and_none_means_on(
        given in rules(), market in 0..3_usize, kind in 0..3_usize, n in any::<u128>(),
    ) {
        // Look up one scope after the other.
        let scopes = [(market, kind), (market, 3), (3, kind), (3, 3)];
        let found = scopes.iter().find_map(|at| given.iter().find(|(market, kind, _)| (*market, *kind) == *at));
        let expected = if found.is_none_or(|(_, _, on)| *on) { Flow::Async } else { Flow::Sync };
        let rules = Rules(given.iter().map(made).collect());
        prop_assert_eq!(rules.flow(id(n), MARKETS[market], CustomerType::ALL[kind]), expected);
    }

    #[test]
    fn a_percentage_is_stable_and_a_higher_one_keeps_those_of_a_lower_one(n in any::<u128>(), low in 0..=100_u8, high in 0..=100_u8) {
        let at = |percentage| {
            let rules = Rules(vec![rule(Some("NL"), None, true, percentage)]);
            rules.flow(id(n), "NL", CustomerType::Company)
        };
        prop_assert_eq!(at(low), at(low));
        prop_assert_eq!((at(0), at(100)), (Flow::Sync, Flow::Async));
        if low <= high && at(low) == Flow::Async {
            prop_assert_eq!(at(high), Flow::Async);
        }
        let off = Rules(vec![rule(None, None, false, high)]);
        prop_assert_eq!(off.flow(id(n), "NL", CustomerType::Company), Flow::Sync);
    }
}

#[test]
fn a_percentage_is_met_by_about_that_part_of_all_openings() {
    for percentage in [1_u8, 10, 50, 99] {
        let rules = Rules(vec![rule(None, None, true, percentage)]);
        let is_on = |n: &u128| rules.flow(id(*n), "BE", CustomerType::Company) == Flow::Async;
        let on = (0..10_000).filter(is_on).count();
        let expected = usize::from(percentage) * 100;
        assert!(on.abs_diff(expected) < 150, "{percentage} %: {on} of 10,000");
    }
}
