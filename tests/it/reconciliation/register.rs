//! A register of `NexusBank` beside our openings: each class alone, and in company.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{REGISTER, Register, mismatches, reconcile, upload};
use crate::support::TestApp;
use world::{Api, Fault};

pub const IBAN: &str = "BE68539007547034";
pub const OTHER_IBAN: &str = "BE71096123456769";

pub async fn waiting(app: &TestApp) -> Value {
    let (id, _) = app.open().waiting().await;
    app.opening(&id).await
}

pub async fn completed(app: &TestApp, iban: &str) -> Value {
    let (id, reference) = app.open().waiting().await;
    app.webhook().completed(&reference, iban).acknowledged().await;
    app.settle().await;
    let opening = app.opening(&id).await;
    assert_eq!(opening["state"], "completed");
    opening
}

pub fn first_day() -> Register {
    Register::of_day("2026-01-01")
}

/// The day of the register, and its look at the books, are over.
pub fn next_day(app: &TestApp) {
    app.pass(TimeDelta::hours(28));
}

#[tokio::test]
async fn a_register_that_agrees_is_matched_and_finds_nothing() {
    let app = TestApp::start().await;
    let opening = completed(&app, IBAN).await;
    let report = reconcile(&app, &first_day().about(&opening, "COMPLETED", IBAN)).await;
    assert_eq!(report["state"], "finished", "{report}");
    assert_eq!((&report["complete"], &report["rows"], &report["bad_rows"]), (&json!(true), &json!(1), &json!(0)));
    assert_eq!(report["counts"], json!({"MATCHED": 1}));
    assert!(mismatches(&app).await.is_empty());
    let rows = app.items(&format!("/v1/reports/{}/rows", report["id"].as_str().unwrap())).await;
    assert_eq!(
        (&rows[0]["class"], &rows[0]["rule"], &rows[0]["line"]),
        (&json!("MATCHED"), &json!("both_completed"), &json!(3))
    );
    assert_eq!(rows[0]["opening_id"], opening["id"]);
    app.finish().await;
}

/// P13 by report: the answer that no webhook and no poll brought becomes a fact of source `report`.
#[tokio::test]
async fn an_answer_that_was_missed_completes_the_opening_by_a_fact() {
    let app = TestApp::start().await;
    let opening = waiting(&app).await;
    let report = reconcile(&app, &first_day().about(&opening, "COMPLETED", IBAN)).await;
    assert_eq!(report["counts"], json!({"MISSED_ANSWER": 1}));
    let id = opening["id"].as_str().unwrap();
    assert_eq!(app.opening(id).await["state"], "completed");
    let history = app.history(id).await;
    assert!(
        history.contains(&"awaiting_provider -> issuing_card (provider_reported, report)".to_owned()),
        "{history:?}"
    );
    assert_eq!(mismatches(&app).await, ["MISSED_ANSWER settled"]);
    let timeline = app.get(&format!("/v1/account-openings/{id}/timeline")).await.to_string();
    assert!(timeline.contains("report"), "{timeline}");
    app.finish().await;
}

#[tokio::test]
async fn a_rejection_that_was_missed_rejects_the_opening() {
    let app = TestApp::start().await;
    let opening = waiting(&app).await;
    reconcile(&app, &first_day().about(&opening, "REJECTED", "")).await;
    assert_eq!(app.opening(opening["id"].as_str().unwrap()).await["state"], "rejected");
    assert_eq!(mismatches(&app).await, ["MISSED_ANSWER settled"]);
    app.finish().await;
}

/// P29: one mismatch per divergence, and a case for a person.
#[tokio::test]
async fn a_row_that_names_nothing_of_ours_is_a_case_without_an_opening() {
    let app = TestApp::start().await;
    let row = "aor_stranger,,COMPLETED,BE68539007547034,NEXUBEBB,,BE,EUR,2026-01-01T08:00:00Z,2026-01-01T09:30:00Z";
    let report = reconcile(&app, &first_day().row(row)).await;
    assert_eq!(report["counts"], json!({"MISSING_INTERNAL": 1}));
    assert_eq!(mismatches(&app).await, ["MISSING_INTERNAL case"]);
    let mismatch = &app.items("/v1/mismatches?class=MISSING_INTERNAL").await[0];
    assert_eq!(mismatch["reports"], json!([{"id": report["id"], "line": 3}]));
    assert_eq!(mismatch["theirs"]["iban"], IBAN, "an operator sees it whole");
    let case_path = format!("/v1/cases/{}", mismatch["case_id"].as_str().unwrap());
    for path in
        ["/v1/mismatches", "/v1/cases", &case_path, &format!("/v1/mismatches/{}", mismatch["id"].as_str().unwrap())]
    {
        let url = format!("{}{path}", app.internal);
        let shown = app.client.get(url).bearer_auth("reader-token").send().await.unwrap().text().await.unwrap();
        assert!(!shown.contains(IBAN) && shown.contains("BE68…7034"), "P35: {path}: {shown}");
    }
    let case = app.get(&case_path).await;
    assert_eq!(
        (&case["kind"], &case["opening_id"], &case["status"]),
        (&json!("missing_internal"), &Value::Null, &json!("open"))
    );
    assert_eq!(case["evidence"], json!([{"report_id": report["id"], "line": 3}]));
    assert_eq!(app.items("/v1/cases?kind=missing_internal").await.len(), 1);
    let resolve = format!("/v1/cases/{}/resolve", case["id"].as_str().unwrap());
    assert_eq!(app.post(&resolve, &json!({"reason": "the bank's test account"})).await.0, 202);
    assert_eq!(mismatches(&app).await, ["MISSING_INTERNAL resolved"]);
    app.finish().await;
}

/// Where `decide` opens the case, the mismatch links to that one.
#[tokio::test]
async fn two_final_answers_that_differ_are_the_case_that_the_fact_opens() {
    let app = TestApp::start().await;
    let opening = completed(&app, IBAN).await;
    reconcile(&app, &first_day().about(&opening, "REJECTED", "")).await;
    assert_eq!(mismatches(&app).await, ["STATUS_MISMATCH case"]);
    let cases = app.items("/v1/cases").await;
    assert_eq!((cases.len(), &cases[0]["kind"]), (1, &json!("conflicting_answer")));
    assert_eq!(app.items("/v1/mismatches").await[0]["case_id"], cases[0]["id"]);
    assert_eq!(app.opening(opening["id"].as_str().unwrap()).await["state"], "completed");
    app.finish().await;
}

#[tokio::test]
async fn another_iban_is_a_case_and_changes_nothing() {
    let app = TestApp::start().await;
    let opening = completed(&app, IBAN).await;
    reconcile(&app, &first_day().about(&opening, "COMPLETED", OTHER_IBAN)).await;
    assert_eq!(mismatches(&app).await, ["IBAN_MISMATCH case"]);
    assert_eq!(app.opening(opening["id"].as_str().unwrap()).await["iban"], IBAN);
    app.finish().await;
}

/// Waiting is not a problem until its window is over.
#[tokio::test]
async fn theirs_that_is_behind_waits_and_becomes_a_case_after_its_window() {
    let app = TestApp::start().await;
    let opening = completed(&app, IBAN).await;
    next_day(&app);
    let mut register = first_day().about(&opening, "IN_PROGRESS", "");
    register.as_of = "2026-01-01T03:00:00Z".parse().unwrap();
    let report = reconcile(&app, &register).await;
    assert_eq!(report["counts"], json!({"TIMING_MISMATCH": 1}));
    let due = app.items("/v1/mismatches").await[0]["due_at"].clone();
    assert_eq!(
        (mismatches(&app).await, due),
        (vec!["TIMING_MISMATCH waiting".to_owned()], json!("2026-01-03T04:00:00Z"))
    );
    app.pass_settling(TimeDelta::hours(24), TimeDelta::hours(1)).await;
    assert_eq!(mismatches(&app).await, ["STATUS_MISMATCH case"]);
    // Later looks find the same, and leave the case to its person.
    app.pass_settling(TimeDelta::hours(3), TimeDelta::minutes(10)).await;
    assert_eq!(mismatches(&app).await, ["STATUS_MISMATCH case"]);
    assert_eq!(app.items("/v1/cases").await.len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn theirs_that_is_behind_is_settled_by_the_next_register_that_agrees() {
    let app = TestApp::start().await;
    let opening = completed(&app, IBAN).await;
    let mut register = first_day().about(&opening, "IN_PROGRESS", "");
    register.as_of = "2026-01-01T03:00:00Z".parse().unwrap();
    reconcile(&app, &register).await;
    reconcile(&app, &first_day().about(&opening, "COMPLETED", IBAN)).await;
    assert_eq!(mismatches(&app).await, ["TIMING_MISMATCH settled"]);
    app.finish().await;
}

/// P30: only a complete file says what is absent; then the provider is asked, and the next absence is a case.
#[tokio::test]
async fn an_opening_that_a_complete_register_lacks_is_asked_about() {
    let app = TestApp::with().settings(|it| it.reconciliation.recon_window = "1h".to_owned()).start().await;
    let opening = waiting(&app).await;
    next_day(&app);
    let cut = upload(&app, REGISTER, first_day().cut()).await;
    app.settle().await;
    let report = app.get(&format!("/v1/reports/{}", cut.id())).await;
    assert_eq!((&report["state"], &report["complete"]), (&json!("finished"), &json!(false)), "{report}");
    assert!(mismatches(&app).await.is_empty(), "P30");
    let report = reconcile(&app, &first_day()).await;
    assert_eq!(report["counts"], json!({"MISSING_EXTERNAL": 1}));
    let timeline = app.get(&format!("/v1/account-openings/{}/timeline", opening["id"].as_str().unwrap())).await;
    let facts = "select count(*) from inbox where source = 'report' and event_id like 'report-poll:%'";
    let asked: i64 = sqlx::query_scalar(facts).fetch_one(&app.pool).await.unwrap();
    assert_eq!(asked, 1, "{timeline}");
    app.pass_settling(TimeDelta::minutes(2), TimeDelta::seconds(10)).await;
    assert_eq!(mismatches(&app).await, ["MISSING_EXTERNAL settled"], "the bank answered the poll");
    app.finish().await;
}

#[tokio::test]
async fn an_opening_that_has_ended_and_is_absent_is_a_case_at_once() {
    let app = TestApp::with().settings(|it| it.reconciliation.recon_window = "1h".to_owned()).start().await;
    completed(&app, IBAN).await;
    next_day(&app);
    reconcile(&app, &first_day()).await;
    assert_eq!(mismatches(&app).await, ["MISSING_EXTERNAL case"]);
    app.finish().await;
}

#[tokio::test]
async fn crossed_ids_second_accounts_and_other_attributes_are_cases() {
    let app = TestApp::start().await;
    let (one, two) = (waiting(&app).await, waiting(&app).await);
    let mut crossed = one.clone();
    crossed["id"] = two["id"].clone();
    reconcile(&app, &first_day().about(&crossed, "IN_PROGRESS", "")).await;
    assert_eq!(mismatches(&app).await, ["CORRELATION_MISMATCH case"]);
    let mut second = one.clone();
    second["provider_reference"] = json!("aor_second");
    let mut elsewhere = two.clone();
    elsewhere["market"] = json!("NL");
    let both = first_day().about(&second, "IN_PROGRESS", "").about(&elsewhere, "IN_PROGRESS", "");
    reconcile(&app, &both).await;
    let all = ["ATTRIBUTE_MISMATCH case", "CORRELATION_MISMATCH case", "DUPLICATE_ACCOUNT case"];
    assert_eq!(mismatches(&app).await, all);
    app.finish().await;
}

#[tokio::test]
async fn one_row_id_with_two_contents_is_a_case_and_neither_is_used() {
    let app = TestApp::start().await;
    let opening = waiting(&app).await;
    let register = first_day().about(&opening, "COMPLETED", IBAN).about(&opening, "COMPLETED", OTHER_IBAN);
    let report = reconcile(&app, &register).await;
    assert_eq!(report["counts"], json!({"CONFLICTING_ROWS": 2}));
    assert_eq!(mismatches(&app).await, ["CONFLICTING_ROWS case"]);
    assert_eq!(app.opening(opening["id"].as_str().unwrap()).await["state"], "awaiting_provider");
    app.finish().await;
}

#[tokio::test]
async fn an_unknown_word_waits_seven_days_for_a_person() {
    let app = TestApp::start().await;
    let opening = completed(&app, IBAN).await;
    reconcile(&app, &first_day().about(&opening, "ON_HOLD", "")).await;
    assert_eq!(mismatches(&app).await, ["UNKNOWN_WORD waiting"]);
    app.pass_settling(TimeDelta::days(7), TimeDelta::hours(12)).await;
    assert_eq!(mismatches(&app).await, ["UNKNOWN_WORD case"]);
    app.finish().await;
}

/// The next complete file lacks it too: the provider was asked in vain, and a person decides.
#[tokio::test]
async fn an_opening_that_two_complete_registers_lack_is_a_case() {
    let app = TestApp::with().settings(|it| it.reconciliation.recon_window = "1h".to_owned()).start().await;
    waiting(&app).await;
    app.world.outage(Api::Bank, Some(Fault::ErrorBefore { status: 500 }));
    next_day(&app);
    let mut register = first_day();
    for expected in ["MISSING_EXTERNAL applied", "MISSING_EXTERNAL case"] {
        reconcile(&app, &register).await;
        assert_eq!(mismatches(&app).await, [expected]);
        register.as_of += TimeDelta::hours(1);
    }
    app.finish().await;
}

/// P8: each final answer of a file is a fact, so the second is a contradiction.
#[tokio::test]
async fn two_final_answers_in_one_file_are_a_contradiction_and_none_is_lost() {
    let app = TestApp::start().await;
    let opening = waiting(&app).await;
    reconcile(&app, &first_day().about(&opening, "COMPLETED", IBAN).about(&opening, "REJECTED", "")).await;
    assert_eq!(app.opening(opening["id"].as_str().unwrap()).await["state"], "completed");
    let cases = app.items("/v1/cases").await;
    assert_eq!((cases.len(), &cases[0]["kind"]), (1, &json!("conflicting_answer")));
    assert_eq!(mismatches(&app).await, ["STATUS_MISMATCH case"]);
    app.finish().await;
}

/// `decide` opens another case than that of a contradiction; the mismatch links to it once and keeps its class.
#[tokio::test]
async fn a_missed_answer_that_decide_cannot_take_is_the_case_that_decide_opens() {
    let app = TestApp::start().await;
    completed(&app, IBAN).await;
    let opening = waiting(&app).await;
    reconcile(&app, &first_day().about(&opening, "COMPLETED", IBAN)).await;
    app.pass_settling(TimeDelta::minutes(5), TimeDelta::seconds(20)).await;
    assert_eq!(mismatches(&app).await, ["MISSED_ANSWER case"]);
    assert_eq!(app.items("/v1/cases").await[0]["kind"], "iban_held_elsewhere");
    let steps: i64 = sqlx::query_scalar("select count(*) from mismatch_steps").fetch_one(&app.pool).await.unwrap();
    assert_eq!(steps, 2, "found, and linked once");
    app.finish().await;
}

#[tokio::test]
async fn another_bank_without_an_iban_is_a_case_of_its_own() {
    let app = TestApp::start().await;
    let opening = completed(&app, IBAN).await;
    let text = |name: &str| opening[name].as_str().unwrap();
    let row =
        format!("{},{},COMPLETED,,OTHRBEBB,,BE,EUR,,2026-01-01T09:30:00Z", text("provider_reference"), text("id"));
    reconcile(&app, &first_day().row(&row)).await;
    assert_eq!(mismatches(&app).await, ["IBAN_MISMATCH case"]);
    app.finish().await;
}

/// A difference that was settled and comes again is found again.
#[tokio::test]
async fn a_difference_that_comes_again_after_it_was_settled_is_a_case_again() {
    let app = TestApp::start().await;
    let opening = waiting(&app).await;
    let mut elsewhere = opening.clone();
    elsewhere["market"] = json!("NL");
    for (hours, side, expected) in [
        (0, &elsewhere, "ATTRIBUTE_MISMATCH case"),
        (1, &opening, "ATTRIBUTE_MISMATCH settled"),
        (2, &elsewhere, "ATTRIBUTE_MISMATCH case"),
    ] {
        let mut register = first_day().about(side, "IN_PROGRESS", "");
        register.as_of += TimeDelta::hours(hours);
        reconcile(&app, &register).await;
        assert_eq!(mismatches(&app).await, [expected]);
    }
    app.finish().await;
}
