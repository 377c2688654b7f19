//! The gate: what the breaker needs of a world in which calls are many, and are given up.

use std::future::pending;

use chrono::TimeDelta;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{OPEN_FOR, rules, start};
use crate::clock::Clock;
use crate::outbound::breaker::{Forced, Phase};
use crate::outbound::{CallError, Gate, Gates, Reopened};

fn gates(failures: u32, at_once: usize) -> (Gates, Clock) {
    let clock = Clock::manual(start());
    (Gates::new(rules(failures, 1), at_once, clock.clone()), clock)
}

fn outage(class: &'static str, after: Option<TimeDelta>) -> CallError {
    CallError::Outage { class, cause: class.to_owned(), after, indeterminate: false }
}

/// A call that has begun and is not answered, or why it was not made.
fn begun(gate: &Gate) -> Result<BoxFuture<'_, Result<(), CallError>>, CallError> {
    let mut call = gate.pass(pending::<Result<(), CallError>>()).boxed();
    match call.as_mut().now_or_never() {
        None => Ok(call),
        Some(Err(error)) => Err(error),
        Some(Ok(())) => unreachable!("it is never answered"),
    }
}

fn ended(gate: &Gate, result: Result<(), CallError>) -> Result<(), CallError> {
    gate.pass(async { result }).now_or_never().unwrap()
}

fn deferred(error: &CallError) -> Option<(&'static str, i64)> {
    match error {
        CallError::Deferred { class, after } => Some((*class, after.num_seconds())),
        _ => None,
    }
}

#[test]
fn no_more_calls_run_at_once_than_may_and_one_that_ends_makes_room() {
    let (gates, _) = gates(5, 2);
    let gate = gates.gate("somebank", "submit");
    let first = begun(&gate).unwrap_or_else(|_| unreachable!());
    assert_eq!((gate.capacity(), gate.under_way()), (1, 1));
    let second = begun(&gate).unwrap_or_else(|_| unreachable!());
    let crowded = ended(&gate, Ok(())).unwrap_err();
    assert_eq!(deferred(&crowded), Some(("crowded", 1)));
    assert_eq!((gate.capacity(), gate.refused_for()), (0, None), "a crowd is not the breaker's");
    assert_eq!(gates.gate("somebank", "lookup").capacity(), 2, "another operation has its own");
    drop(first);
    assert_eq!((gate.capacity(), gate.under_way()), (1, 1));
    drop(second);
    assert_eq!(gate.under_way(), 0);
}

/// The caller of a call that hangs gives it up, often before the call's own deadline.
#[test]
fn calls_that_are_given_up_are_failures_and_free_their_place() {
    let (gates, clock) = gates(3, 10);
    let gate = gates.gate("somebank", "submit");
    for _ in 0..3 {
        assert_eq!(gate.phase(), Phase::Closed);
        drop(begun(&gate));
    }
    assert_eq!((gate.phase(), gate.under_way()), (Phase::Open, 0));
    assert_eq!(deferred(&begun(&gate).err().unwrap()), Some(("breaker_open", 30)));
    clock.advance(OPEN_FOR);
    assert_eq!(gate.capacity(), 1);
    let probe = begun(&gate).unwrap_or_else(|_| unreachable!());
    assert_eq!((gate.capacity(), gate.under_way()), (0, 1));
    assert_eq!(deferred(&begun(&gate).err().unwrap()), Some(("probing", 30)));
    drop(probe);
    assert_eq!((gate.phase(), gate.under_way()), (Phase::Open, 0));
    clock.advance(OPEN_FOR);
    assert_eq!(gate.capacity(), 1, "the probe that was given up holds no place");
    assert_eq!(gate.take_reopened(), None);
    ended(&gate, Ok(())).unwrap();
    assert_eq!(gate.phase(), Phase::Closed);
    let away_since = Some(start());
    assert_eq!(gate.take_reopened(), Some(Reopened { away_since, by_operator: false }));
}

#[test]
fn a_call_that_was_not_made_says_nothing_about_the_other_side() {
    let (gates, _) = gates(1, 1);
    let gate = gates.gate("somebank", "submit");
    let under_way = begun(&gate).unwrap_or_else(|_| unreachable!());
    for _ in 0..10 {
        assert!(ended(&gate, Err(CallError::timeout())).is_err_and(|error| deferred(&error).is_some()));
    }
    assert_eq!(gate.phase(), Phase::Closed);
    drop(under_way);
    assert_eq!(gate.phase(), Phase::Open);
}

/// A request that a system cannot digest must not keep all others from it; a system that is not there must.
#[test]
fn only_errors_of_an_absent_system_open_it() {
    let alive = [
        CallError::Rejected { code: "no".to_owned(), message: String::new() },
        CallError::unusable("not JSON"),
        outage("busy", None),
        outage("misconfigured", None),
        outage("throttled", None),
    ];
    for error in alive {
        let (gates, _) = gates(1, 1);
        let gate = gates.gate("somebank", "submit");
        assert_eq!(ended(&gate, Err(error.clone())), Err(error.clone()));
        assert_eq!((gate.phase(), gate.capacity()), (Phase::Closed, 1), "{error:?}");
    }
    for error in [CallError::timeout(), outage("transport", None), outage("server_error", None)] {
        let (gates, _) = gates(1, 1);
        let gate = gates.gate("somebank", "submit");
        assert!(ended(&gate, Err(error.clone())).is_err());
        assert_eq!(gate.phase(), Phase::Open, "{error:?}");
    }
}

#[test]
fn a_pause_that_one_answer_asks_for_holds_every_call() {
    for (class, pauses) in [("throttled", true), ("server_error", true), ("busy", false), ("misconfigured", false)] {
        let (gates, clock) = gates(5, 4);
        let gate = gates.gate("somebank", "submit");
        assert!(ended(&gate, Err(outage(class, Some(TimeDelta::seconds(90))))).is_err());
        let refused = ended(&gate, Ok(())).err().and_then(|error| deferred(&error));
        assert_eq!(refused, pauses.then_some(("throttled", 90)), "{class}");
        assert_eq!(gate.refused_for().is_some(), pauses);
        clock.advance(TimeDelta::seconds(90));
        assert_eq!((gate.capacity(), ended(&gate, Ok(()))), (4, Ok(())));
    }
}

/// Otherwise its work would wait for its own time.
#[test]
fn a_closing_is_kept_until_it_is_taken_and_again_when_it_is_put_back() {
    let (gates, clock) = gates(1, 1);
    let (submit, lookup) = (gates.gate("somebank", "submit"), gates.gate("somebank", "lookup"));
    for gate in [&submit, &lookup] {
        gate.decide(Some(Forced::Open));
        assert_eq!(gate.take_reopened(), None);
    }
    submit.decide(None);
    lookup.decide(Some(Forced::Closed));
    let away_since = Some(start());
    let (closed, forced) = (Reopened { away_since, by_operator: false }, Reopened { away_since, by_operator: true });
    assert_eq!((submit.take_reopened(), lookup.take_reopened()), (Some(closed), Some(forced)));
    assert_eq!(submit.take_reopened(), None);
    clock.advance(OPEN_FOR);
    submit.decide(Some(Forced::Open));
    submit.decide(Some(Forced::Closed));
    submit.put_back(closed);
    assert_eq!(submit.take_reopened(), Some(forced), "the first outage and the operator's word");
}

#[test]
fn a_read_that_is_older_than_a_decision_made_here_does_not_undo_it() {
    let (gates, _) = gates(1, 1);
    let gate = gates.gate("somebank", "submit");
    let decisions = gate.decisions();
    gate.decide(Some(Forced::Open));
    assert_eq!((gate.follow(None, decisions), gate.forced()), (false, Some(Forced::Open)));
    let decisions = gate.decisions();
    assert_eq!((gate.follow(None, decisions), gate.forced()), (true, None));
    assert!(!gate.follow(None, decisions), "again is nothing new");
}
