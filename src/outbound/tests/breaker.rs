//! The breaker alone.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{LONGEST_PAUSE, OPEN_FOR, rules, start};
use crate::clock::Time;
use crate::outbound::breaker::{Breaker, Forced, Permit, Phase, Refusal};
use chrono::TimeDelta;

/// A breaker with a clock and the calls that it let through.
struct Calls {
    breaker: Breaker,
    now: Time,
}

impl Calls {
    fn new(failures: u32, probes: usize) -> Self {
        Self { breaker: Breaker::new(rules(failures, probes)), now: start() }
    }

    fn begin(&mut self) -> Permit {
        self.breaker.admit(self.now).expect("it is let through")
    }

    /// Why no call is let through, and for how long.
    fn refused(&mut self) -> (Refusal, TimeDelta) {
        let (why, until) = self.breaker.admit(self.now).expect_err("it is not let through");
        (why, until - self.now)
    }

    fn end(&mut self, permit: Permit, healthy: bool) -> bool {
        self.breaker.ended(permit, healthy, self.now)
    }

    fn fail(&mut self, times: usize) {
        for _ in 0..times {
            let permit = self.begin();
            assert!(!self.end(permit, false));
        }
    }

    fn pass(&mut self, by: TimeDelta) {
        self.now += by;
    }

    fn phase(&mut self) -> Phase {
        self.breaker.phase(self.now)
    }

    fn capacity(&mut self) -> usize {
        self.breaker.capacity(self.now, 100)
    }
}

/// P16
#[test]
fn it_opens_at_its_threshold_of_failures_in_a_row_and_not_before() {
    let mut calls = Calls::new(5, 1);
    calls.fail(4);
    let answered = calls.begin();
    assert!(!calls.end(answered, true), "it was closed all the time");
    calls.fail(4);
    assert_eq!((calls.phase(), calls.capacity()), (Phase::Closed, 100));
    calls.fail(1);
    assert_eq!((calls.phase(), calls.capacity()), (Phase::Open, 0));
    assert_eq!(calls.refused(), (Refusal::Open, OPEN_FOR));
}

/// P16
#[test]
fn when_its_time_is_over_it_lets_through_as_many_probes_as_it_has_and_the_first_answer_closes_it() {
    let mut calls = Calls::new(1, 2);
    calls.fail(1);
    calls.pass(OPEN_FOR - TimeDelta::microseconds(1));
    assert_eq!(calls.refused(), (Refusal::Open, TimeDelta::microseconds(1)));
    calls.pass(TimeDelta::microseconds(1));
    assert_eq!((calls.phase(), calls.capacity()), (Phase::HalfOpen, 2));
    let (first, second) = (calls.begin(), calls.begin());
    assert_eq!((calls.capacity(), calls.refused()), (0, (Refusal::Probing, OPEN_FOR)));
    assert!(calls.end(first, true), "this closes it");
    assert_eq!((calls.phase(), calls.capacity()), (Phase::Closed, 100));
    assert!(!calls.end(second, false), "of the time before: it is not heard");
    assert_eq!(calls.phase(), Phase::Closed);
}

/// P16
#[test]
fn a_probe_without_an_answer_opens_it_for_its_whole_time_again() {
    let mut calls = Calls::new(1, 3);
    calls.fail(1);
    calls.pass(OPEN_FOR);
    let (first, second) = (calls.begin(), calls.begin());
    calls.pass(TimeDelta::seconds(10));
    assert!(!calls.end(first, false));
    assert_eq!(calls.refused(), (Refusal::Open, OPEN_FOR));
    assert!(!calls.end(second, true), "of the time before: it is not heard");
    assert_eq!(calls.phase(), Phase::Open);
    calls.pass(OPEN_FOR);
    assert_eq!((calls.phase(), calls.capacity()), (Phase::HalfOpen, 3));
}

#[test]
fn calls_that_began_before_it_opened_say_nothing_about_the_time_since() {
    let mut calls = Calls::new(2, 1);
    let before: Vec<Permit> = (0..6).map(|_| calls.begin()).collect();
    for permit in &before[..2] {
        calls.end(*permit, false);
    }
    assert_eq!(calls.phase(), Phase::Open);
    calls.end(before[2], true);
    assert_eq!(calls.phase(), Phase::Open);
    calls.pass(OPEN_FOR);
    assert!(!calls.end(before[3], true) && !calls.end(before[4], false));
    assert_eq!((calls.phase(), calls.capacity()), (Phase::HalfOpen, 1), "and the probe's place is still free");
    let probe = calls.begin();
    calls.end(before[5], false);
    assert_eq!(calls.phase(), Phase::HalfOpen);
    assert!(calls.end(probe, true));
}

#[test]
fn a_pause_holds_every_call_for_as_long_as_was_asked_but_not_for_ever() {
    let mut calls = Calls::new(5, 1);
    calls.breaker.pause(TimeDelta::seconds(90), calls.now);
    calls.breaker.pause(TimeDelta::seconds(10), calls.now);
    calls.breaker.pause(TimeDelta::seconds(-10), calls.now);
    assert_eq!((calls.phase(), calls.capacity()), (Phase::Closed, 0));
    assert_eq!(calls.refused(), (Refusal::Paused, TimeDelta::seconds(90)), "the longest counts");
    calls.pass(TimeDelta::seconds(90));
    assert_eq!(calls.capacity(), 100);
    calls.breaker.pause(TimeDelta::days(1), calls.now);
    assert_eq!(calls.refused(), (Refusal::Paused, LONGEST_PAUSE));
}

/// Times from a clock that ran ahead do not hold once it is right.
#[test]
fn a_clock_that_is_set_back_keeps_nothing_shut() {
    let mut calls = Calls::new(1, 1);
    calls.fail(1);
    calls.pass(-OPEN_FOR);
    assert_eq!((calls.phase(), calls.capacity()), (Phase::HalfOpen, 1));
    let probe = calls.begin();
    assert!(calls.end(probe, true));
    calls.breaker.pause(LONGEST_PAUSE, calls.now);
    assert_eq!(calls.capacity(), 0);
    calls.pass(TimeDelta::seconds(-1));
    assert_eq!(calls.capacity(), 100);
    calls.breaker.pause(TimeDelta::seconds(10), calls.now);
    calls.pass(-LONGEST_PAUSE);
    calls.breaker.pause(TimeDelta::seconds(20), calls.now);
    assert_eq!(calls.refused(), (Refusal::Paused, TimeDelta::seconds(20)));
}

/// An operator's word counts for more than the calls and the other side's wishes; without it, it begins anew.
#[test]
fn an_override_opens_and_closes_it_regardless_of_the_calls() {
    let mut calls = Calls::new(2, 1);
    let before = calls.begin();
    assert!(!calls.breaker.force(Some(Forced::Open), calls.now), "this lets nothing through that was held");
    assert_eq!((calls.phase(), calls.capacity()), (Phase::Open, 0));
    calls.pass(OPEN_FOR * 10);
    assert_eq!((calls.capacity(), calls.refused()), (0, (Refusal::Open, OPEN_FOR)), "not even a probe");
    calls.end(before, true);
    assert_eq!(calls.phase(), Phase::Open);
    assert!(!calls.breaker.force(Some(Forced::Open), calls.now), "again is nothing new");
    assert!(calls.breaker.force(Some(Forced::Closed), calls.now), "what was held is let through");
    calls.fail(10);
    calls.breaker.pause(TimeDelta::seconds(90), calls.now);
    assert_eq!((calls.phase(), calls.capacity()), (Phase::Closed, 100));
    calls.begin();
    calls.breaker.force(None, calls.now);
    assert_eq!((calls.phase(), calls.capacity(), calls.breaker.forced()), (Phase::Closed, 100, None));
    calls.fail(1);
    assert_eq!(calls.phase(), Phase::Closed, "the failures of before are forgotten");
    calls.fail(1);
    assert_eq!(calls.phase(), Phase::Open);
    assert!(calls.breaker.force(Some(Forced::Closed), calls.now));
    assert!(!calls.breaker.force(None, calls.now), "nothing was held");
}

#[derive(Clone, Debug)]
enum Act {
    Begin,
    /// Of the calls under way, which, and how.
    End(prop::sample::Index, bool),
    Pass(i64),
    Pause(i64),
    Force(Option<Forced>),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let forced = prop_oneof![Just(None), Just(Some(Forced::Open)), Just(Some(Forced::Closed))];
    let act = prop_oneof![
        8 => Just(Act::Begin),
        3 => (any::<prop::sample::Index>(), Just(false)).prop_map(|(which, how)| Act::End(which, how)),
        2 => (any::<prop::sample::Index>(), Just(true)).prop_map(|(which, how)| Act::End(which, how)),
        4 => (0..40_i64).prop_map(Act::Pass),
        1 => (-5..2_000_i64).prop_map(Act::Pause),
        1 => forced.prop_map(Act::Force),
    ];
    vec(act, 0..200)
}

/// The notes that a reader of the rules would keep: calls that were let through since the phase last changed, and the failures among
/// them since the last answer.
struct Model {
    under_way: Vec<(Permit, u32)>,
    since: u32,
    streak: u32,
    last: Phase,
    paused_until: Time,
}

impl Model {
    /// A change of phase, or an operator's: a new time begins.
    fn look(&mut self, phase: Phase, anew: bool) {
        if phase != self.last || anew {
            self.since += 1;
            self.streak = 0;
            self.last = phase;
        }
    }

    fn of_now(&self) -> usize {
        self.under_way.iter().filter(|(_, since)| *since == self.since).count()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// P16: in any order of calls, ends, pauses and overrides.
    #[test]
    fn it_keeps_its_rules_in_any_order_of_acts(acts in acts(), failures in 1..6_u32, probes in 1..4_usize) {
        let mut it = Calls::new(failures, probes);
        let now = it.now;
        let mut model = Model { under_way: Vec::new(), since: 0, streak: 0, last: Phase::Closed, paused_until: now };
        for act in acts {
            let phase = it.phase();
            model.look(phase, false);
            let capacity = it.capacity();
            match act {
                Act::Begin => match it.breaker.admit(it.now) {
                    Ok(permit) => {
                        prop_assert!(capacity > 0 && phase != Phase::Open);
                        model.under_way.push((permit, model.since));
                        prop_assert!(phase != Phase::HalfOpen || model.of_now() <= probes, "more than the probes");
                        prop_assert!(it.breaker.forced().is_some() || model.paused_until <= it.now);
                    }
                    Err((why, until)) => {
                        prop_assert_eq!(capacity, 0);
                        prop_assert!(until > it.now && until - it.now <= LONGEST_PAUSE.max(OPEN_FOR));
                        prop_assert!(it.breaker.forced() != Some(Forced::Closed));
                        prop_assert!(phase != Phase::Closed || why == Refusal::Paused);
                    }
                },
                Act::End(_, _) if model.under_way.is_empty() => {}
                Act::End(which, healthy) => {
                    let (permit, since) = model.under_way.remove(which.index(model.under_way.len()));
                    let closes = it.end(permit, healthy);
                    let heard = since == model.since && it.breaker.forced().is_none();
                    prop_assert_eq!(closes, heard && healthy && phase == Phase::HalfOpen);
                    let expected = match (phase, heard, healthy) {
                        (Phase::Closed, true, false) if model.streak + 1 == failures => Phase::Open,
                        (Phase::HalfOpen, true, false) => Phase::Open,
                        (Phase::HalfOpen, true, true) => Phase::Closed,
                        (same, ..) => same,
                    };
                    model.streak = if !heard { model.streak } else if healthy { 0 } else { model.streak + 1 };
                    prop_assert_eq!(it.phase(), expected);
                }
                Act::Pass(seconds) => it.pass(TimeDelta::seconds(seconds)),
                Act::Pause(seconds) => {
                    it.breaker.pause(TimeDelta::seconds(seconds), it.now);
                    let until = it.now + TimeDelta::seconds(seconds).min(LONGEST_PAUSE);
                    model.paused_until = model.paused_until.max(until);
                }
                Act::Force(forced) => {
                    let changes = it.breaker.forced() != forced;
                    it.breaker.force(forced, it.now);
                    prop_assert_eq!(it.breaker.forced(), forced);
                    let phase = if forced == Some(Forced::Open) { Phase::Open } else { Phase::Closed };
                    if changes {
                        prop_assert_eq!(it.phase(), phase);
                        model.look(phase, true);
                        model.paused_until = it.now;
                    }
                }
            }
        }
    }
}
