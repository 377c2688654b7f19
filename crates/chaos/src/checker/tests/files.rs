//! The clean run, the known chain, and files that were cut short.

use super::super::Moment;
use super::super::chain;
use super::super::dump::{Step, Time};
use super::world::{BEGAN, OPENINGS, World};

/// P22: the same two links as the service's own tests, computed apart from both.
#[test]
fn p22_a_known_history_has_the_known_links() {
    let key: [u8; 32] = std::array::from_fn(|n| u8::try_from(n).unwrap());
    let first = Step {
        opening_id: uuid::Uuid::from_u128(1).to_string(),
        version: 1,
        from_state: None,
        to_state: "creating_profile".into(),
        event: "started".into(),
        source: "api".into(),
        inbox_id: None,
        at: Time(BEGAN),
        detail: None,
        hash: String::new(),
    };
    let link = chain::link(&key, &[], &first).unwrap();
    assert_eq!(hex::encode(&link), "1a743b2283831412aa21b2970817f3e6abf7e59b805965d4c7b11c6d83ad49a7");
    let second = Step {
        version: 2,
        from_state: Some("creating_profile".into()),
        to_state: "requesting_account".into(),
        event: "profile_created".into(),
        source: "command".into(),
        inbox_id: Some(uuid::Uuid::from_u128(1001).to_string()),
        at: Time(BEGAN + 1),
        detail: Some("né".into()),
        ..first
    };
    let link = chain::link(&key, &link, &second).unwrap();
    assert_eq!(hex::encode(&link), "848de08a545265161d7aab5ea63813be9fb8233c1cbfc4b4bed59a0ffe243ff2");
}

#[test]
fn a_clean_run_is_clean_and_valid_at_both_moments() {
    for moment in [Moment::Running, Moment::Drained] {
        let report = World::clean().judged(moment);
        assert_eq!((report.violations(), &report.invalid[..]), (0, &[][..]), "{report}");
        assert_eq!(report.acked.openings, u64::try_from(OPENINGS).unwrap());
        assert_eq!((report.acked.webhooks, report.unknown.webhooks, report.unknown.openings), (46, 3, 1));
        assert_eq!(report.states["completed"], 15);
        assert_eq!(report.tickets["AccountOpeningWebhookNotReceived"], 6);
        assert_eq!(report.readers.len(), 2);
    }
}

#[test]
fn the_report_is_shown_and_serialised_with_its_numbers() {
    let report = World::clean().judged(Moment::Drained);
    let shown = report.to_string();
    assert!(shown.contains("valid, 0 violations") && shown.contains("25 openings"), "{shown}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["moment"], &json["found"]["lost"]["count"]), (&"drained".into(), &0.into()));
}

/// While it is written, a file may end in the middle of a line.
#[test]
fn a_last_line_that_is_cut_short_is_tolerated_only_while_the_run_goes_on() {
    for cut in 0..2 {
        let mut files = World::clean().files();
        let file = if cut == 0 { &mut files.history } else { &mut files.ledger };
        file.truncate(file.len() - 5);
        assert_eq!(files.judged(Moment::Running).invalid, [""; 0], "file {cut}");
        let drained = files.judged(Moment::Drained).invalid;
        assert!(drained.iter().any(|why| why.contains("cannot be read at line")), "file {cut}: {drained:?}");
    }
}

#[test]
fn a_file_that_is_broken_in_the_middle_or_a_dump_that_is_cut_short_is_invalid_at_both_moments() {
    for moment in [Moment::Running, Moment::Drained] {
        for broken in 0..4 {
            let mut files = World::clean().files();
            let (name, file) = match broken {
                0 => ("history", &mut files.history),
                1 => ("ledger", &mut files.ledger),
                _ => ("dump", &mut files.dump),
            };
            if broken == 3 {
                file.truncate(file.len() - 5);
            } else {
                let middle = file.len() / 2;
                let line = middle + file[middle..].iter().position(|byte| *byte == b'\n').unwrap();
                file[line] = b' ';
            }
            let invalid = files.judged(moment).invalid;
            assert!(
                invalid.iter().any(|why| why.starts_with(&format!("the {name} cannot be read at line"))),
                "{invalid:?}"
            );
        }
    }
}

#[test]
fn a_dump_of_an_unknown_table_is_invalid_and_a_missing_file_an_error() {
    let mut world = World::clean();
    world.insert("feature_flags", serde_json::json!({}));
    let invalid = world.judged(Moment::Drained).invalid;
    assert!(invalid.iter().any(|why| why.contains("no such table: feature_flags")), "{invalid:?}");
    let path = std::path::Path::new("/nowhere");
    let inputs =
        super::super::Inputs { history: path, ledger: path, dump: path, history_key: [0; 32], moment: Moment::Running };
    assert!(super::super::check(&inputs).is_err());
}
