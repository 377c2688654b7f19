//! Each kind of violation, seeded alone: it is reported, located, and nothing else is.

use super::super::Moment;
use super::super::report::{Kind, Report};
use super::seeds::{DRAINED, HARMLESS, always, unsettled};
use super::world::World;

fn located(report: &Report, kind: Kind, place: &str) -> bool {
    let found = &report.found[&kind];
    found.examples.iter().any(|it| serde_json::to_string(it).unwrap().contains(place))
}

fn only(report: &Report, kind: Kind) -> bool {
    report.found[&kind].count > 0 && report.found[&kind].count == report.violations() && report.invalid.is_empty()
}

#[test]
fn each_violation_that_may_never_be_is_found_alone_and_located_at_both_moments() {
    for (name, kind, seed) in always() {
        let mut world = World::clean();
        let place = seed(&mut world);
        for moment in [Moment::Running, Moment::Drained] {
            let report = world.judged(moment);
            assert!(only(&report, *kind), "{name} at {moment:?}: {report}");
            assert!(located(&report, *kind, &place), "{name} is not located at {place}: {report}");
        }
    }
}

#[test]
fn each_violation_of_a_drained_run_is_found_alone_and_located_and_not_before() {
    for (name, kind, seed) in DRAINED {
        let mut world = World::clean();
        let place = seed(&mut world);
        let report = world.judged(Moment::Running);
        assert_eq!(report.violations(), 0, "{name} is judged too early: {report}");
        let report = world.judged(Moment::Drained);
        assert!(only(&report, *kind), "{name}: {report}");
        assert!(located(&report, *kind, &place), "{name} is not located at {place}: {report}");
    }
}

#[test]
fn an_odd_but_right_run_has_no_violation() {
    for (name, seed) in HARMLESS {
        let mut world = World::clean();
        seed(&mut world);
        for moment in [Moment::Running, Moment::Drained] {
            let report = world.judged(moment);
            assert_eq!((report.violations(), report.invalid.len()), (0, 0), "{name}: {report}");
        }
    }
}

#[test]
fn every_kind_of_violation_is_seeded() {
    for kind in Kind::ALL {
        let seeded = always().chain(DRAINED).any(|(_, seeded, _)| *seeded == kind);
        assert!(seeded, "{kind:?} is never seeded");
    }
}

#[test]
fn of_many_violations_all_are_counted_and_ten_are_shown() {
    let mut world = World::clean();
    for row in world.find("opening_history", |row| row["version"] == 2) {
        row["detail"] = "edited".into();
    }
    let report = world.judged(Moment::Drained);
    let found = &report.found[&Kind::BrokenChains];
    assert_eq!((found.count, found.examples.len()), (25, 10));
    assert!(report.to_string().contains("and 15 more"));
}

/// At the end it would be stuck as well.
#[test]
fn a_command_that_waits_though_its_state_was_left_is_found_while_the_run_goes_on() {
    let mut world = World::clean();
    unsettled(world.work(2, "submit_request"), "pending");
    let report = world.judged(Moment::Running);
    assert!(only(&report, Kind::Atomicity) && located(&report, Kind::Atomicity, &super::world::opening(2)), "{report}");
}
