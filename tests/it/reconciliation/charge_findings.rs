//! Findings about charges over time: cases, decisions, later files and steps.

use account_opening::reconciliation::classify::charges::TOGETHER;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::charges::{Charges, balances, classes, opened, reconcile, reconcile_text};
use super::mismatches;
use crate::support::TestApp;
use crate::support::eventually::eventually;

async fn of_class(app: &TestApp, class: &str) -> Value {
    let found = app.items(&format!("/v1/mismatches?class={class}")).await;
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

async fn case_of(app: &TestApp, mismatch: &Value) -> Value {
    app.get(&format!("/v1/cases/{}", mismatch["case_id"].as_str().unwrap())).await
}

/// The seven days count from the first file that has the line, and the worker comes to rest.
#[tokio::test]
async fn an_unknown_type_becomes_a_case_after_seven_days() {
    let app = TestApp::with().prices().start().await;
    let file = Charges::default().row("what_1,surprise,,1,,,2.00,0.00,EUR,,,,");
    reconcile(&app, &file).await;
    assert_eq!(mismatches(&app).await, ["UNKNOWN_WORD waiting"]);
    app.pass(TimeDelta::days(6));
    reconcile_text(&app, file.later(1)).await;
    assert_eq!(mismatches(&app).await, ["UNKNOWN_WORD waiting"]);
    app.pass(TimeDelta::days(1));
    app.settle().await;
    assert_eq!(mismatches(&app).await, ["UNKNOWN_WORD case"]);
    assert_eq!(app.items("/v1/cases?status=open").await.len(), 1);
    assert!(!app.round().await, "the worker comes to rest");
    app.finish().await;
}

/// P26: a line id may look like another one with its generation and part.
#[tokio::test]
async fn lines_whose_ids_look_like_each_other_are_all_booked() {
    let app = TestApp::with().prices().start().await;
    let opening = opened(&app, 0).await;
    let id = opening["id"].as_str().unwrap();
    let file = Charges::default()
        .row(&format!("chg,charge,card_order,1,,{id},16.61,2.90,SEK,1.51,EUR,11.0000,"))
        .row("chg:1,adjustment,,1,,,3.00,0.00,EUR,,,,")
        .row("1:chg,adjustment,,1,,,4.00,0.00,EUR,,,,");
    let report = reconcile(&app, &file).await;
    assert_eq!(report["state"], "finished", "{report}");
    let balances = balances(&app).await;
    for expected in ["charged EUR 7.00", "charged SEK 16.61"] {
        assert!(balances.contains(&expected.to_owned()), "{balances:?}");
    }
    app.finish().await;
}

/// A group line that does not agree is one finding; the fees that it stands for are none of their own, whichever file is first.
#[tokio::test]
async fn a_group_that_differs_is_one_finding() {
    let app = TestApp::with().prices().start().await;
    let mut singles = Charges::default();
    for n in 0..3 {
        let (id, tracking_id) = app.open().waiting().await;
        app.webhook().status(&tracking_id, "REJECTED").acknowledged().await;
        app.settle().await;
        let opening = app.opening(&id).await;
        singles = singles.charge(&format!("app_{n}"), "application", &opening, "0.50", "0.00");
    }
    // Without the group its fees wait.
    reconcile(&app, &singles).await;
    assert_eq!(mismatches(&app).await, ["TIMING_MISMATCH waiting"; 3]);
    let group = singles.row("grp_1,group,application_rejected,4,,,6.00,0.00,EUR,,,,");
    let report = reconcile(&app, &group).await;
    assert_eq!(report["counts"], json!({"REPEATED": 3, "GROUP_MISMATCH": 1}));
    let open = ["GROUP_MISMATCH case", "TIMING_MISMATCH settled", "TIMING_MISMATCH settled", "TIMING_MISMATCH settled"];
    assert_eq!(mismatches(&app).await, open);
    app.pass(TimeDelta::days(60));
    reconcile_text(&app, group.later(2)).await;
    assert_eq!(mismatches(&app).await, open);
    app.finish().await;
}

/// P30: the lost part of a file may hold the single lines that make the group agree.
#[tokio::test]
async fn a_group_of_an_incomplete_file_waits_for_the_complete_one() {
    let app = TestApp::with().prices().start().await;
    let mut openings = Vec::new();
    for _ in 0..3 {
        let (id, tracking_id) = app.open().waiting().await;
        app.webhook().status(&tracking_id, "REJECTED").acknowledged().await;
        app.settle().await;
        openings.push(app.opening(&id).await);
    }
    let mut file = Charges::default().row("grp_1,group,application_rejected,2,,,3.00,0.00,EUR,,,,");
    for (n, opening) in openings.iter().enumerate() {
        file = file.charge(&format!("app_{n}"), "application", opening, "0.50", "0.00");
    }
    let report = reconcile_text(&app, file.cut()).await;
    assert_eq!((&report["complete"], &report["counts"]["TIMING_MISMATCH"]), (&json!(false), &json!(1)), "{report}");
    assert_eq!(mismatches(&app).await, ["TIMING_MISMATCH waiting"]);
    assert!(balances(&app).await.contains(&"charged EUR 4.50".to_owned()), "its rows are used");
    let whole = file.charge("rej_0", "application_rejected", &openings[0], "1.50", "0.00");
    let report = reconcile(&app, &whole).await;
    assert_eq!(report["complete"], true, "{report}");
    assert_eq!(mismatches(&app).await, ["TIMING_MISMATCH settled"], "{:?}", classes(&app, &report).await);
    assert!(balances(&app).await.contains(&"expected EUR 0.00".to_owned()), "{:?}", balances(&app).await);
    app.finish().await;
}

/// The same difference is not asked twice; another one is, whether the first was decided or not.
#[tokio::test]
async fn a_decided_difference_stays_decided_and_another_one_is_a_case() {
    let app = TestApp::with().prices().start().await;
    let opening = opened(&app, 0).await;
    let charged = |amount: &str| Charges::default().charge("chg_1", "account_opened", &opening, amount, "0.00");
    reconcile(&app, &charged("9.99")).await;
    let first = of_class(&app, "AMOUNT_MISMATCH").await;
    let resolve = format!("/v1/cases/{}/resolve", first["case_id"].as_str().unwrap());
    assert_eq!(app.post(&resolve, &json!({"reason": "agreed by telephone"})).await.0, 202);
    let again = reconcile_text(&app, charged("9.99").later(1)).await;
    assert_eq!(again["counts"]["REPEATED"], 1, "{again}");
    let decided = of_class(&app, "AMOUNT_MISMATCH").await;
    assert_eq!((&decided["state"], &decided["case_id"]), (&json!("resolved"), &first["case_id"]));
    let other = reconcile_text(&app, charged("9.98").later(2)).await;
    assert_eq!(other["counts"]["AMOUNT_MISMATCH"], 1, "{other}");
    let second = of_class(&app, "AMOUNT_MISMATCH").await;
    assert_eq!((&second["id"], &second["state"]), (&first["id"], &json!("case")));
    assert_ne!(second["case_id"], first["case_id"]);
    reconcile_text(&app, charged("9.97").later(3)).await;
    let third = of_class(&app, "AMOUNT_MISMATCH").await;
    assert_ne!(third["case_id"], second["case_id"]);
    let open = app.items("/v1/cases?status=open&kind=amount_mismatch").await;
    assert_eq!(open.len(), 1, "a person sees the last difference only: {open:?}");
    assert_eq!(open[0]["theirs"]["amount"], "9.97");
    app.finish().await;
}

/// The reason names the file that settled it, be it of the same line or of another.
#[tokio::test]
async fn a_case_that_a_later_file_closes_names_that_file() {
    let app = TestApp::with().prices().start().await;
    let opening = opened(&app, 0).await;
    let file = Charges::default()
        .charge("chg_1", "application", &opening, "0.50", "0.00")
        .charge("chg_2", "account_opened", &opening, "6.05", "1.05")
        .charge("chg_3", "account_opened", &opening, "6.05", "1.05");
    reconcile(&app, &file).await;
    app.pass(TimeDelta::days(46));
    app.settle().await;
    assert_eq!(mismatches(&app).await, ["DUPLICATE_CHARGE case", "MISSING_EXTERNAL case"]);
    let (twice, missing) = (of_class(&app, "DUPLICATE_CHARGE").await, of_class(&app, "MISSING_EXTERNAL").await);
    let later = Charges::default()
        .row(&format!(
            "rfd_1,refund,account_opened,1,{},,-6.05,-1.05,EUR,,,,",
            opening["provider_reference"].as_str().unwrap()
        ))
        .charge("chg_4", "card_order", &opening, "1.51", "0.26");
    let report = reconcile(&app, &later).await;
    assert_eq!(mismatches(&app).await, ["DUPLICATE_CHARGE settled", "MISSING_EXTERNAL settled"]);
    for mismatch in [twice, missing] {
        let case = case_of(&app, &mismatch).await;
        assert_eq!((&case["status"], &case["resolved_by"]), (&json!("resolved"), &json!("reconciliation")));
        let reason = case["reason"].as_str().unwrap();
        assert!(reason.contains(report["id"].as_str().unwrap()), "{reason}");
    }
    app.finish().await;
}

#[tokio::test]
async fn rows_that_contradict_each_other_are_one_case_that_shows_both() {
    let app = TestApp::with().prices().start().await;
    let opening = opened(&app, 0).await;
    let file = Charges::default()
        .charge("chg_1", "application", &opening, "0.50", "0.00")
        .charge("chg_2", "account_opened", &opening, "6.05", "1.05")
        .charge("chg_3", "card_order", &opening, "1.51", "0.26")
        .charge("chg_2", "account_opened", &opening, "7.00", "1.05");
    let report = reconcile(&app, &file).await;
    assert_eq!(report["counts"], json!({"CONFLICTING_ROWS": 2, "MATCHED": 2}));
    let found = of_class(&app, "CONFLICTING_ROWS").await;
    let lines: Vec<i64> = found["reports"].as_array().unwrap().iter().map(|it| it["line"].as_i64().unwrap()).collect();
    assert_eq!(lines, [4, 6]);
    let amounts: Vec<&Value> = found["theirs"]["rows"].as_array().unwrap().iter().map(|it| &it["amount"]).collect();
    assert_eq!(amounts, ["6.05", "7.00"]);
    assert_eq!(found["differences"], json!([{"field": "amount", "ours": null, "theirs": "6.05 and 7.00"}]),);
    assert_eq!(case_of(&app, &found).await["evidence"].as_array().unwrap().len(), 2);
    assert!(balances(&app).await.contains(&"charged EUR 2.01".to_owned()), "neither is used");
    app.finish().await;
}

/// The step itself makes the waiting charge due: no time passes. A charge whose step does not come is a case after its window.
#[tokio::test]
async fn a_step_settles_the_charge_that_waits_for_it_at_once() {
    let app = TestApp::with().prices().start().await;
    let (early, late) = (app.open().waiting().await, app.open().waiting().await);
    let (opening, other) = (app.opening(&early.0).await, app.opening(&late.0).await);
    let file = Charges::default()
        .charge("chg_1", "application", &opening, "0.50", "0.00")
        .charge("chg_2", "account_opened", &opening, "6.05", "1.05")
        .charge("chg_3", "card_order", &opening, "1.51", "0.26")
        .charge("chg_4", "application", &other, "0.50", "0.00")
        .charge("chg_5", "account_opened", &other, "6.05", "1.05");
    reconcile(&app, &file).await;
    assert_eq!(mismatches(&app).await, ["TIMING_MISMATCH waiting"; 3]);
    app.webhook().completed(&early.1, "BE68539007547034").acknowledged().await;
    app.settle().await;
    assert_eq!(
        mismatches(&app).await,
        ["TIMING_MISMATCH settled", "TIMING_MISMATCH settled", "TIMING_MISMATCH waiting"]
    );
    assert!(balances(&app).await.contains(&"expected EUR 0.00".to_owned()));
    app.pass(TimeDelta::days(46));
    app.settle().await;
    assert_eq!(mismatches(&app).await, ["MISSING_INTERNAL case", "TIMING_MISMATCH settled", "TIMING_MISMATCH settled"]);
    app.finish().await;
}

/// A fee with more lines than are judged together keeps to its bounds, in whichever file the line that is too much comes.
#[tokio::test]
async fn a_fee_with_too_many_lines_is_judged_within_bounds() {
    let app = TestApp::with().prices().settings(|it| it.reconciliation.recon_hold = "100%".to_owned()).start().await;
    let opening = opened(&app, 0).await;
    let charges = |from: usize, until: usize| {
        (from..until).fold(Charges::default(), |file, n| {
            file.charge(&format!("chg_{n:04}"), "account_opened", &opening, "6.05", "1.05")
        })
    };
    let report = reconcile(&app, &charges(0, TOGETHER)).await;
    assert_eq!(report["counts"], json!({"MATCHED": 1, "DUPLICATE_CHARGE": TOGETHER - 1}));
    let report = reconcile(&app, &charges(TOGETHER, TOGETHER + 1)).await;
    assert_eq!(report["counts"], json!({"DUPLICATE_CHARGE": 1}));
    let settled: i64 = sqlx::query_scalar(
        "select count(*) from fee_ledger l where settles is not null
            and not exists (select from fee_ledger r where r.reverses = l.id)",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert_eq!(settled, 0, "no line of a crowded fee settles it");
    let report = reconcile(&app, &charges(1_000, 7_000)).await;
    assert_eq!(report["counts"], json!({"DUPLICATE_CHARGE": 6_000}));
    let most: i32 = sqlx::query_scalar("select max(jsonb_array_length(ours -> 'charges')) from report_rows")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert!(usize::try_from(most).unwrap() <= TOGETHER, "{most}");
    let total = app.items("/v1/mismatches?class=DUPLICATE_CHARGE&state=case").await.len();
    assert_eq!(total, TOGETHER + 1 + 6_000);
    app.finish().await;
}

/// The provider's lock comes before the mismatches: a look that waits for the lock holds no mismatch that the lock's holder needs.
#[tokio::test]
async fn a_look_at_charges_waits_for_the_provider_before_it_locks_mismatches() {
    let app = TestApp::with().prices().start().await;
    reconcile(&app, &Charges::default().row("adj_1,adjustment,,1,,,1.00,0.00,EUR,,,,")).await;
    app.pass(TimeDelta::hours(1));
    let mut transaction = app.pool.begin().await.unwrap();
    account_opening::db::charge_lines::lock(&mut transaction, "nexusbank").await.unwrap();
    let look = app.try_round();
    let holder = async {
        eventually("the look waits for the provider", async || {
            let waiting: bool = sqlx::query_scalar(
                "select exists (select from pg_stat_activity where datname = current_database() and wait_event = 'advisory'
                                   and query like '-- charge_lines::lock%')",
            )
            .fetch_one(&app.pool)
            .await
            .unwrap();
            waiting.then_some(())
        })
        .await;
        let locked = sqlx::query("select from mismatches for update nowait").fetch_all(&mut *transaction).await;
        assert!(locked.is_ok(), "{locked:?}");
        transaction.commit().await.unwrap();
    };
    tokio::join!(look, holder);
    app.settle().await;
    app.finish().await;
}
