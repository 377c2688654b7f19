//! A register of `NexusBank` beside our openings: each class alone, and in company.

use account_opening::driver::tick;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{REGISTER, Register, mismatches, reconcile, upload};
use crate::support::TestApp;
use world::{Api, Fault};

const IBAN: &str = "BE68539007547034";
const OTHER_IBAN: &str = "BE71096123456769";

async fn waiting(app: &TestApp) -> Value {
    let (id, _) = app.open().waiting().await;
    app.opening(&id).await
}

async fn completed(app: &TestApp, iban: &str) -> Value {
    let (id, reference) = app.open().waiting().await;
    app.webhook().completed(&reference, iban).acknowledged().await;
    app.settle().await;
    let opening = app.opening(&id).await;
    assert_eq!(opening["state"], "completed");
    opening
}

fn first_day() -> Register {
    Register::of_day("2026-01-01")
}

/// The day of the register, and its look at the books, are over.
fn next_day(app: &TestApp) {
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

/// The values' bytes are overwritten where they stand; all other bytes and the digest stay.
#[tokio::test]
async fn an_erasure_reaches_the_rows_and_the_bytes_of_reports() {
    let app = TestApp::start().await;
    let (opening, other) = (completed(&app, IBAN).await, waiting(&app).await);
    let register = first_day().about(&opening, "COMPLETED", OTHER_IBAN).about(&other, "IN_PROGRESS", "");
    let text = register.text();
    let report = reconcile(&app, &register).await;
    let path = format!("/v1/reports/{}", report["id"].as_str().unwrap());
    let erase = format!("/v1/account-openings/{}/erase", opening["id"].as_str().unwrap());
    assert_eq!(app.post(&erase, &json!({"reason": "the customer asked"})).await.0, 202);
    let raw = app.request(reqwest::Method::GET, &format!("{path}/raw")).send().await.unwrap().text().await.unwrap();
    let (before, after): (Vec<&str>, Vec<&str>) = (text.lines().collect(), raw.lines().collect());
    assert_eq!((before.len(), text.len()), (after.len(), raw.len()));
    assert!(!raw.contains(OTHER_IBAN) && after[2].starts_with("***") && after[2].matches(',').count() == 9, "{raw}");
    assert_eq!((&before[..2], &before[3..]), (&after[..2], &after[3..]), "nothing else is touched");
    let rows = app.items(&format!("{path}/rows")).await;
    assert_eq!((&rows[0]["redacted"], &rows[1]["redacted"]), (&json!(true), &json!(false)));
    assert_eq!(app.get(&path).await["sha256"], report["sha256"], "of the bytes as they were received");
    let mismatch = &app.items("/v1/mismatches").await[0];
    assert_eq!((&mismatch["ours"], &mismatch["theirs"]), (&json!({}), &json!({})), "{mismatch}");
    let everywhere: i64 = sqlx::query_scalar(
        "select (select count(*) from report_rows where theirs::text like $1 or ours::text like $1)
              + (select count(*) from mismatches where (ours, theirs, differences, evidence)::text like $1)
              + (select count(*) from cases where (ours, theirs, cause)::text like $1)
              + (select count(*) from report_chunks where position(convert_to($2, 'UTF8') in bytes) > 0)",
    )
    .bind(format!("%{OTHER_IBAN}%"))
    .bind(OTHER_IBAN)
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert_eq!(everywhere, 0);
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

/// P28: the newest `as of` counts, in whatever order the files come, also for what a file lacks.
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
