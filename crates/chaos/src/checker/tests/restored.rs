//! A restored database: lost data is not demanded, and a second effect or event is found.

use super::super::{Kind, Moment};
use super::opening::at;
use super::world::{BEGAN, SECOND, World, opening};
use crate::record::{Did, Seen};

/// The clean run; everything after its tenth second was made after the dump.
fn taken_back() -> World {
    let mut world = World::clean();
    let (dumped_at, restored_at) = (BEGAN + 10 * SECOND, BEGAN + 60 * SECOND);
    world.history.push(Seen::Restored { at: restored_at, dumped_at, before: 50_900, after: 800 });
    world
}

/// An opening's rows and events are lost with the restore.
fn forget(world: &mut World, n: usize) {
    for table in ["account_openings", "opening_history", "outbox", "events", "timers", "idempotency_keys"] {
        let column = if table == "account_openings" { "id" } else { "opening_id" };
        world.remove(table, |row| row[column] == opening(n));
    }
    world.remove("inbox", |row| row["opening_id"] == opening(n) && row["source"] != "webhook");
}

#[test]
fn rows_that_a_restore_took_away_are_no_violation() {
    let mut world = taken_back();
    forget(&mut world, 13);
    for fact in world.find("inbox", |row| row["opening_id"] == opening(13)) {
        (fact["status"], fact["outcome"]) = ("dead".into(), "no_matching_opening".into());
    }
    let report = world.judged(Moment::Restored);
    assert_eq!((report.violations(), report.invalid.len()), (0, 0), "{report}");
    assert_eq!(report.again, 15, "{report}");
    assert!(world.judged(Moment::Drained).violations() > 0);
}

#[test]
fn a_second_effect_is_found_and_so_is_a_step_that_is_told_under_two_ids() {
    let mut world = taken_back();
    let twice = world.ledger.iter().find(|it| matches!(it, Did::Card { .. })).cloned().unwrap();
    if let Did::Card { at, reference, iban, profile_id, .. } = twice {
        let (key, card_id) = ("another key".to_owned(), "crd-again".to_owned());
        world.ledger.push(Did::Card { at: at + SECOND, reference, key, card_id, iban, profile_id });
    }
    let told = world.history.iter().find(|it| matches!(it, Seen::Event { .. })).cloned().unwrap();
    if let Seen::Event { at, reader, kind, opening, version, .. } = told {
        world.history.push(Seen::Event { at, reader, id: "another id".to_owned(), kind, opening, version });
    }
    let report = world.judged(Moment::Restored);
    assert_eq!((report.found[&Kind::DoubleEffects].count, report.violations()), (2, 2), "{report}");
}

#[test]
fn an_event_that_a_reader_with_a_kept_cursor_is_not_given_is_found() {
    let mut world = taken_back();
    let last = world.history.iter().rposition(|it| matches!(it, Seen::Event { reader: 1, .. })).unwrap();
    world.history.remove(last);
    let report = world.judged(Moment::Restored);
    assert_eq!((report.found[&Kind::SkippedEvents].count, report.violations()), (1, 1), "{report}");
}

#[test]
fn a_restoration_that_took_nothing_back_proves_nothing() {
    let mut world = World::clean();
    let after_all = at(25, 9);
    world.history.push(Seen::Restored { at: after_all + SECOND, dumped_at: after_all, before: 800, after: 900 });
    let report = world.judged(Moment::Restored);
    assert_eq!((report.violations(), report.invalid.len()), (0, 2), "{report}");
    assert_eq!(World::clean().judged(Moment::Restored).invalid.len(), 1);
}

/// Opening 13 was decided after the dump, opening 2 before it.
#[test]
fn a_decision_that_a_restore_took_away_may_be_unknown_where_the_bank_lists_none_and_people_have_the_opening() {
    for (bank, n, state, lost) in [
        ("solaris", 13, "escalated", false),
        ("adyen", 13, "escalated", false),
        ("solaris", 13, "awaiting_provider", true),
        ("nexusbank", 13, "escalated", true),
        ("airwallex", 13, "escalated", true),
        ("solaris", 2, "escalated", true),
    ] {
        let mut world = taken_back();
        for it in &mut world.history {
            match it {
                Seen::Plan(plan) => bank.clone_into(&mut plan.provider),
                Seen::Message { webhook_id, status, .. } if *webhook_id == format!("msg-{n}-1") => {
                    "COMPLETED".clone_into(status);
                }
                _ => {}
            }
        }
        for anchor in world.find("account_openings", |row| row["id"] == opening(n)) {
            anchor["state"] = state.into();
        }
        let report = world.judged(Moment::Restored);
        let is_lost = report
            .found
            .get(&Kind::LostDecisions)
            .is_some_and(|it| it.examples.iter().any(|it| it.what == "a decision was acknowledged and not acted on"));
        assert_eq!(is_lost, lost, "{bank} {n} {state}: {report}");
    }
}
