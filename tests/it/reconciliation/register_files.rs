//! Registers as files: one that comes again, is held or discarded, and several in any order and on several replicas.

use account_opening::db::reports::{self, Progress, Stage};
use account_opening::domain::bank::made_up_iban;
use account_opening::driver::tick;
use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use super::register::{IBAN, OTHER_IBAN, completed, first_day, next_day, waiting};
use super::{REGISTER, mismatches, reconcile, upload};
use crate::support::TestApp;

/// P28: repetition changes nothing.
#[tokio::test]
async fn the_same_rows_again_are_repeated_and_change_nothing() {
    let app = TestApp::start().await;
    let (one, two) = (completed(&app, IBAN).await, waiting(&app).await);
    let stranger = "aor_stranger,,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,";
    let register = first_day().about(&one, "COMPLETED", IBAN).about(&two, "IN_PROGRESS", "").row(stranger);
    reconcile(&app, &register).await;
    let before = app.items("/v1/mismatches").await;
    let mut later = register;
    later.as_of += TimeDelta::hours(1);
    let report = reconcile(&app, &later).await;
    assert_eq!(report["counts"], json!({"REPEATED": 3}));
    let after = app.items("/v1/mismatches").await;
    assert_eq!((after.len(), &after[0]["state"]), (before.len(), &before[0]["state"]));
    assert_eq!(after[0]["reports"].as_array().unwrap().len(), 2, "both files say it: {after:?}");
    app.finish().await;
}

/// P30: a held file has no effect until an operator releases it; then it has its effects.
#[tokio::test]
async fn a_file_that_differs_too_much_is_held_until_an_operator_decides() {
    let app = TestApp::start().await;
    let opening = waiting(&app).await;
    let mut register = first_day().about(&opening, "COMPLETED", IBAN);
    for n in 0..21 {
        register = register.row(&format!("aor_stranger{n},,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,"));
    }
    let report = reconcile(&app, &register).await;
    assert_eq!(report["state"], "held", "{report}");
    assert_eq!(mismatches(&app).await, ["TOO_MANY_DIFFERENCES case"]);
    assert_eq!(app.opening(opening["id"].as_str().unwrap()).await["state"], "awaiting_provider", "P30");
    let path = format!("/v1/reports/{}", report["id"].as_str().unwrap());
    for _ in 0..2 {
        assert_eq!(app.post(&format!("{path}/release"), &json!({"reason": "it is the right file"})).await.0, 202);
    }
    app.settle().await;
    assert_eq!(app.get(&path).await["state"], "finished");
    assert_eq!(app.opening(opening["id"].as_str().unwrap()).await["state"], "completed");
    let all = mismatches(&app).await;
    assert_eq!((all.len(), all.iter().filter(|it| *it == "MISSING_INTERNAL case").count()), (23, 21), "{all:?}");
    assert!(all.contains(&"TOO_MANY_DIFFERENCES resolved".to_owned()));
    assert_eq!(app.post(&format!("{path}/discard"), &json!({"reason": "too late"})).await.0, 409);
    app.finish().await;
}

#[tokio::test]
async fn a_discarded_file_never_has_an_effect_and_may_be_sent_again() {
    let app = TestApp::start().await;
    let mut register = first_day();
    for n in 0..21 {
        register = register.row(&format!("aor_stranger{n},,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,"));
    }
    let report = reconcile(&app, &register).await;
    let path = format!("/v1/reports/{}", report["id"].as_str().unwrap());
    assert_eq!(app.post(&format!("{path}/discard"), &json!({"reason": "the wrong file"})).await.0, 202);
    app.settle().await;
    assert_eq!(app.get(&path).await["state"], "discarded");
    assert_eq!(mismatches(&app).await, ["TOO_MANY_DIFFERENCES resolved"]);
    let again = upload(&app, REGISTER, register.text()).await;
    assert_eq!((again.status, again.replayed), (202, false));
    app.settle().await;
    app.finish().await;
}

/// P28: the newest `as of` counts, in any order of the files, also for what a file lacks.
#[tokio::test]
async fn every_order_of_files_ends_in_the_same_openings_and_open_mismatches() {
    let mut ends = std::collections::BTreeSet::new();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let app = TestApp::with().settings(|it| it.reconciliation.recon_window = "1h".to_owned()).start().await;
        let (done, waits, missed) = (completed(&app, IBAN).await, waiting(&app).await, waiting(&app).await);
        next_day(&app);
        let mut elsewhere = waits.clone();
        elsewhere["market"] = json!("NL");
        // The first is wrong about the market and lacks one; the second corrects both; the third is wrong about an IBAN.
        let files = [
            first_day().about(&elsewhere, "IN_PROGRESS", "").about(&missed, "IN_PROGRESS", ""),
            first_day().about(&waits, "IN_PROGRESS", "").about(&missed, "COMPLETED", OTHER_IBAN).about(
                &done,
                "COMPLETED",
                IBAN,
            ),
            first_day().about(&done, "COMPLETED", OTHER_IBAN).about(&waits, "IN_PROGRESS", "").about(
                &missed,
                "COMPLETED",
                OTHER_IBAN,
            ),
        ];
        let mut files = files.map(Some);
        for n in order {
            let mut file = files[n].take().unwrap();
            file.as_of += TimeDelta::hours(i64::try_from(n).unwrap());
            reconcile(&app, &file).await;
        }
        app.pass_settling(TimeDelta::minutes(20), TimeDelta::minutes(1)).await;
        let open = mismatches(&app).await.into_iter().filter(|it| !it.ends_with("settled")).collect::<Vec<_>>();
        let mut states = Vec::new();
        for opening in [&done, &waits, &missed] {
            states.push(app.opening(opening["id"].as_str().unwrap()).await["state"].to_string());
        }
        ends.insert(format!("{states:?} {open:?}"));
        app.finish().await;
    }
    assert_eq!(ends.len(), 1, "{ends:#?}");
    assert!(ends.first().unwrap().contains("IBAN_MISMATCH case"), "{ends:?}");
}

/// Two replicas take the reports of one provider one after the other, and each is applied once.
#[tokio::test]
async fn two_replicas_work_on_one_report_of_a_provider_at_a_time() {
    let app = TestApp::start().await;
    let stranger = |n: i64| format!("aor_{n},,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,");
    for hours in 0..4 {
        let mut register = (0..15).fold(first_day(), |it, n| it.row(&stranger(n)));
        register.as_of += TimeDelta::hours(hours);
        assert_eq!(upload(&app, REGISTER, register.text()).await.status, 202);
    }
    for _ in 0..8 {
        let (one, two) = (app.reconciler(), app.reconciler());
        let (first, second) = tokio::join!(tick(&one), tick(&two));
        assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
        app.pass(TimeDelta::seconds(2));
    }
    assert!(app.items("/v1/reports").await.iter().all(|it| it["state"] == "finished"));
    assert_eq!(mismatches(&app).await, vec!["MISSING_INTERNAL case"; 15]);
    assert_eq!(app.items("/v1/cases").await.len(), 15);
    app.finish().await;
}

/// The commits of a file that is read do not wait for the disk: where a crash of Postgres lost one, no later one is written over the
/// gap.
#[tokio::test]
async fn a_checkpoint_behind_a_lost_one_is_refused() {
    let app = TestApp::start().await;
    let uploaded = upload(&app, REGISTER, first_day().row("aor_1,,IN_PROGRESS,,,,BE,EUR,,").text()).await;
    let (id, token, now) = (uploaded.id().parse().unwrap(), Uuid::from_u128(1), app.now());
    let (lease, counts) = (now + TimeDelta::minutes(1), json!({}));
    let mut connection = app.pool.acquire().await.unwrap();
    reports::claim(&mut connection, token, now, lease).await.unwrap().expect("the report is due");
    let progress = |after| Progress {
        stage: Stage::Read,
        position: 20_000,
        rows: 20_000,
        bad_rows: 0,
        counts: &counts,
        sums: None,
        complete: false,
        after,
    };
    let lost = reports::checkpoint(&mut connection, id, token, &progress(Some(10_000)), lease).await;
    assert!(!lost.unwrap(), "the commit before it is not there");
    assert!(reports::checkpoint(&mut connection, id, token, &progress(Some(0)), lease).await.unwrap());
    assert!(reports::fail(&mut connection, id, token, "it was a test", now).await.unwrap());
    drop(connection);
    app.finish().await;
}

/// P28: wherever a register is split, with any overlap, and whichever part comes first.
#[tokio::test]
async fn any_split_of_a_register_ends_as_the_whole() {
    let mut ends = std::collections::BTreeMap::new();
    // The rows of each part, in the order of their arrival.
    for parts in
        [vec![(0, 9)], vec![(0, 4), (4, 9)], vec![(4, 9), (0, 4)], vec![(2, 9), (0, 6)], vec![(0, 1), (1, 9), (0, 9)]]
    {
        let app = TestApp::start().await;
        let (same, other) = (completed(&app, &iban(1)).await, completed(&app, &iban(2)).await);
        let mut openings = vec![same.clone(), other.clone()];
        for _ in 0..6 {
            openings.push(waiting(&app).await);
        }
        let text = |n: usize, name: &str| openings[n][name].as_str().unwrap().to_owned();
        let edited = |n: usize, name: &str, value: String| {
            let mut opening = openings[n].clone();
            opening[name] = json!(value);
            opening
        };
        let about = |opening: &serde_json::Value, status: &str, iban: &str| {
            first_day().about(opening, status, iban).text().lines().nth(2).unwrap().to_owned()
        };
        let rows = [
            about(&same, "COMPLETED", &iban(1)),
            about(&other, "COMPLETED", &iban(22)),
            about(&openings[2], "COMPLETED", &iban(3)),
            about(&openings[3], "REJECTED", ""),
            about(&openings[4], "ON_HOLD", ""),
            about(&edited(5, "market", "NL".to_owned()), "IN_PROGRESS", ""),
            about(&edited(6, "id", text(7, "id")), "IN_PROGRESS", ""),
            about(&edited(7, "provider_reference", "aor_second".to_owned()), "IN_PROGRESS", ""),
            "aor_stranger,,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,".to_owned(),
        ];
        for (from, until) in &parts {
            let part = rows[*from..*until].iter().fold(first_day(), |it, row| it.row(row));
            // A part of a file is no complete file: nothing is absent.
            assert_eq!(upload(&app, REGISTER, part.cut()).await.status, 202);
            app.settle().await;
        }
        app.pass_settling(TimeDelta::minutes(10), TimeDelta::minutes(1)).await;
        let mut states = Vec::new();
        for opening in &openings {
            states.push(app.opening(opening["id"].as_str().unwrap()).await["state"].to_string());
        }
        ends.insert(format!("{states:?} {:?}", mismatches(&app).await), parts);
        app.finish().await;
    }
    assert_eq!(ends.len(), 1, "{ends:#?}");
    let end = ends.keys().next().unwrap();
    for class in ["ATTRIBUTE", "CORRELATION", "IBAN"].map(|it| format!("{it}_MISMATCH case")) {
        assert!(end.contains(&class), "{class}: {end}");
    }
    for found in
        ["DUPLICATE_ACCOUNT case", "MISSED_ANSWER settled", "MISSING_INTERNAL case", "UNKNOWN_WORD waiting", "rejected"]
    {
        assert!(end.contains(found), "{found}: {end}");
    }
}

fn iban(n: u128) -> String {
    made_up_iban("BE", n).as_str().to_owned()
}
