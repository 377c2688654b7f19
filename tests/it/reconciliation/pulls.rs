//! A provider without files: its list is read as a register.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};

use account_opening::driver::tick;
use account_opening::faults::{FaultPoint, Place, Step, When};
use account_opening::reconciliation::Reconciler;
use axum::routing::get;
use axum::{Json, Router};
use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use world::{Api, Fault, Plan, Verdict, Webhooks};

use super::mismatches;
use crate::support::{TestApp, TestAppBuilder, listen};

/// Openings that the bank completes while no webhook arrives; polls are far away.
async fn missed(app: &TestApp, openings: usize) {
    let silent = Plan { webhooks: Webhooks { dropped: true, ..Webhooks::default() }, ..Plan::by_hand() };
    let mut ids = Vec::new();
    for _ in 0..openings {
        ids.push(app.open().plan(silent.clone()).start().await);
    }
    app.settle().await;
    for id in &ids {
        app.world.decide(id, &Verdict::complete()).unwrap();
    }
}

async fn completed(app: &TestApp) -> usize {
    app.items("/v1/account-openings?state=completed").await.len()
}

/// The day around the test's beginning.
fn day() -> Value {
    json!({"provider": "nexusbank", "from": "2025-12-31T00:00:00Z", "until": "2026-01-01T00:00:00Z", "reason": "no files"})
}

/// Requests a pull; its report's path.
async fn pull(app: &TestApp) -> String {
    let (status, report) = app.post("/v1/reports/pull", &day()).await;
    assert_eq!(status, 202, "{report}");
    format!("/v1/reports/{}", report["id"].as_str().unwrap())
}

/// One step of the worker.
async fn step(app: &TestApp) {
    tick(&app.reconciler()).await.unwrap();
}

async fn pages_kept(app: &TestApp) -> i64 {
    sqlx::query_scalar("select count(*) from report_pages").fetch_one(&app.pool).await.unwrap()
}

/// The page size of the bank's list is 100.
#[tokio::test]
async fn a_pull_finds_every_answer_that_no_webhook_and_no_poll_brought() {
    let app = TestApp::start().await;
    missed(&app, 120).await;
    let path = pull(&app).await;
    let received = app.get(&path).await;
    assert_eq!(
        (&received["state"], &received["format"], &received["sha256"]),
        (&json!("received"), &json!("pull"), &Value::Null)
    );
    app.settle().await;
    let report = app.get(&path).await;
    assert_eq!(
        (&report["state"], &report["rows"], &report["bad_rows"]),
        (&json!("finished"), &json!(120), &json!(0)),
        "{report}"
    );
    assert_eq!((&report["counts"], &report["complete"]), (&json!({"MISSED_ANSWER": 120}), &json!(false)));
    assert_eq!(
        (&report["period_from"], &report["period_until"]),
        (&json!("2025-12-31T00:00:00Z"), &json!("2026-01-01T00:00:00Z"))
    );
    assert_eq!(
        (&report["kind"], &report["received_by"], &report["as_of"]),
        (&json!("register"), &json!("admin"), &json!("2026-01-01T00:00:00Z"))
    );
    assert_eq!((completed(&app).await, app.world.counts().lists), (120, 2));
    app.pass_settling(TimeDelta::minutes(2), TimeDelta::seconds(20)).await;
    assert_eq!(mismatches(&app).await, ["MISSED_ANSWER settled"; 120]);
    let raw = app.request(reqwest::Method::GET, &format!("{path}/raw")).send().await.unwrap().text().await.unwrap();
    assert!(
        raw.starts_with("HEADER,register,nexusbank,1,2025-12-31T00:00:00Z,") && raw.ends_with("\nTRAILER,120\n"),
        "{raw}"
    );
    assert_eq!(report["bytes"], raw.len());
    assert!(app.items(&format!("{path}/errors")).await.is_empty());
    let acts = app.items("/v1/operator-actions").await;
    let act = acts.iter().find(|it| it["action"] == "pull_report").unwrap_or_else(|| panic!("{acts:?}"));
    assert_eq!((&act["subject"], &act["reason"]), (&report["id"], &json!("no files")));
    assert_eq!(pages_kept(&app).await, 0);
    app.finish().await;
}

#[tokio::test]
async fn the_same_request_twice_is_one_pull_and_a_later_one_changes_nothing() {
    let app = TestApp::start().await;
    missed(&app, 2).await;
    let path = pull(&app).await;
    assert_eq!(pull(&app).await, path, "it is not read yet");
    step(&app).await;
    assert_eq!(pull(&app).await, path, "its pages are read, and its file is not made");
    app.settle().await;
    let lists = app.world.counts().lists;
    let again = pull(&app).await;
    assert_ne!(again, path);
    app.settle().await;
    let report = app.get(&again).await;
    assert_eq!((&report["state"], &report["counts"]), (&json!("finished"), &json!({"REPEATED": 2})), "{report}");
    assert_eq!((app.items("/v1/reports").await.len(), app.world.counts().lists), (2, lists + 1));
    assert_eq!(mismatches(&app).await, ["MISSED_ANSWER settled", "MISSED_ANSWER settled"]);
    let acts = app.items("/v1/operator-actions").await;
    assert_eq!(acts.iter().filter(|it| it["action"] == "pull_report").count(), 2);
    app.finish().await;
}

#[tokio::test]
async fn a_pull_that_makes_no_sense_is_refused_by_its_field() {
    let app = TestApp::start().await;
    for (field, value, pointer) in [
        ("provider", json!("stranger"), "/provider"),
        ("provider", json!(""), "/provider"),
        ("from", json!("2026-01-01T00:00:00Z"), "/from"),
        ("from", json!("2026-01-01"), "/from"),
        ("from", Value::Null, "/from"),
        ("until", json!("2026-01-01T00:00:01Z"), "/until"),
        ("until", json!("2025-12-30T00:00:00Z"), "/from"),
        ("reason", json!(""), "/reason"),
    ] {
        let mut body = day();
        body[field] = value;
        let (status, problem) = app.post("/v1/reports/pull", &body).await;
        assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!(pointer)), "{body}: {problem}");
    }
    assert!(app.items("/v1/reports").await.is_empty() && app.items("/v1/operator-actions").await.is_empty());
    app.finish().await;
}

/// Whichever step a crash comes at, the next process goes on at the page that was written down.
#[tokio::test]
async fn a_pull_that_crashed_goes_on_where_it_was() {
    for (crash, when, asked) in [
        (Step::Call, When::Before, 2),
        (Step::Call, When::After, 3),
        (Step::Settle, When::Before, 3),
        (Step::Settle, When::After, 2),
    ] {
        let mut app = TestApp::start().await;
        missed(&app, 120).await;
        let path = pull(&app).await;
        step(&app).await;
        assert_eq!(app.get(&path).await["rows"], 100, "the first page");
        // A tick settles other things before it calls for a page.
        let has_called = AtomicBool::new(false);
        let strike = move |it: Place| {
            let is_ours = it.worker == "reconciliation";
            has_called.fetch_or(is_ours && it.step == Step::Call, Ordering::Relaxed);
            let here = is_ours && it.step == crash && it.when == when && has_called.load(Ordering::Relaxed);
            here.then_some(sqlx::Error::PoolTimedOut)
        };
        app.context.shell.faults = FaultPoint::new(strike);
        assert!(tick(&app.reconciler()).await.is_err(), "{crash:?} {when:?}");
        app.context.shell.faults = FaultPoint::default();
        app.pass(TimeDelta::minutes(2));
        app.settle().await;
        let report = app.get(&path).await;
        assert_eq!(
            (&report["state"], &report["rows"]),
            (&json!("finished"), &json!(120)),
            "{crash:?} {when:?}: {report}"
        );
        assert_eq!(app.world.counts().lists, asked, "{crash:?} {when:?}: the first page is not asked for again");
        assert_eq!((completed(&app).await, mismatches(&app).await.len()), (120, 120));
        app.finish().await;
    }
}

/// P16: an outage midway is waited for; the pages that were read are kept.
#[tokio::test]
async fn a_provider_that_goes_away_midway_is_waited_for() {
    let app = TestApp::with().settings(|it| it.backoff_cap = "1m".to_owned()).start().await;
    missed(&app, 120).await;
    let path = pull(&app).await;
    step(&app).await;
    app.world.outage(Api::Bank, Some(Fault::ErrorBefore { status: 500 }));
    app.pass_settling(TimeDelta::minutes(10), TimeDelta::seconds(20)).await;
    let waiting = app.get(&path).await;
    assert_eq!(
        (&waiting["state"], &waiting["rows"], completed(&app).await),
        (&json!("reading"), &json!(100), 0),
        "{waiting}"
    );
    let lists = app.world.counts().lists;
    assert!((6..40).contains(&lists), "five, and then probes of the breaker: {lists}");
    app.world.outage(Api::Bank, None);
    app.pass_settling(TimeDelta::minutes(2), TimeDelta::seconds(20)).await;
    let report = app.get(&path).await;
    assert_eq!(
        (&report["state"], &report["rows"], completed(&app).await),
        (&json!("finished"), &json!(120), 120),
        "{report}"
    );
    app.finish().await;
}

#[tokio::test]
async fn a_provider_that_stays_away_ends_the_pull_with_an_error_and_no_effect() {
    let short = |it: &mut account_opening::config::RawSettings| {
        (it.retry_for, it.backoff_cap) = ("30m".to_owned(), "1m".to_owned());
    };
    let app = TestApp::with().settings(short).start().await;
    missed(&app, 1).await;
    let path = pull(&app).await;
    app.world.outage(Api::Bank, Some(Fault::ErrorBefore { status: 500 }));
    app.pass_settling(TimeDelta::minutes(19), TimeDelta::minutes(1)).await;
    assert_eq!(app.get(&path).await["state"], "reading");
    app.pass_settling(TimeDelta::minutes(20), TimeDelta::minutes(1)).await;
    let report = app.get(&path).await;
    let error = report["error"].as_str().unwrap_or_default();
    assert_eq!(report["state"], "failed", "{report}");
    assert!(error.starts_with("the list of nexusbank could not be read: server_error after 0 pages"), "{error}");
    assert!(error.ends_with("pull again once it answers; nothing of it was applied"), "{error}");
    assert!(mismatches(&app).await.is_empty());
    app.world.outage(Api::Bank, None);
    app.finish().await;
}

fn item(reference: &str, status: &str) -> Value {
    json!({"account_opening_request_id": reference, "reference": null, "status": status, "rejection_reason": "a, \"b\""})
}

/// Puts a bank with this list in the place of the app's.
async fn bank(app: &mut TestApp, router: Router) {
    app.ask_bank_at(listen(router).await);
}

fn listing(answer: Value) -> Router {
    Router::new().route("/v1/account-opening-requests", get(|| async { Json(answer) }))
}

#[tokio::test]
async fn an_item_that_cannot_be_read_is_a_bad_row_and_the_others_go_on() {
    let mut app = TestApp::start().await;
    let items = json!([item("aor_1", "REJECTED"), {"status": 7}, item("aor_2", "PAUSED"), item("", "COMPLETED")]);
    bank(&mut app, listing(json!({"items": items, "next_cursor": null}))).await;
    let path = pull(&app).await;
    app.settle().await;
    let report = app.get(&path).await;
    assert_eq!(
        (&report["state"], &report["rows"], &report["bad_rows"]),
        (&json!("finished"), &json!(4), &json!(2)),
        "{report}"
    );
    let rows = app.items(&format!("{path}/rows")).await;
    let told: Vec<&Value> = rows.iter().map(|it| &it["status"]).collect();
    assert_eq!(told, ["REJECTED", "PAUSED"]);
    let errors = app.items(&format!("{path}/errors")).await;
    assert!(
        errors.iter().all(|it| it["code"] == "missing" && it["field"] == "account_opening_request_id"),
        "{errors:?}"
    );
    app.finish().await;
}

#[tokio::test]
async fn a_list_without_an_end_ends_the_pull_with_an_error() {
    let mut app = TestApp::start().await;
    bank(&mut app, listing(json!({"items": [item("aor_1", "COMPLETED")], "next_cursor": "again"}))).await;
    let path = pull(&app).await;
    app.settle().await;
    let report = app.get(&path).await;
    assert_eq!(report["state"], "failed", "{report}");
    assert!(report["error"].as_str().unwrap().contains("the same cursor came again"), "{report}");
    assert_eq!((pages_kept(&app).await, mismatches(&app).await.len()), (0, 0));
    app.finish().await;
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_page_and_the_pull_goes_on_later() {
    let mut app = TestApp::start().await;
    let world = app.context.outside.providers.clone();
    let hanging = Router::new().route("/v1/account-opening-requests", get(|| async { pending::<()>().await }));
    bank(&mut app, hanging).await;
    let path = pull(&app).await;
    let stop = CancellationToken::new();
    let reconciler = Reconciler::new(app.context.clone(), app.context.policies.reconciliation.clone(), stop.clone());
    let worker = tokio::spawn(async move { tick(&reconciler).await.unwrap() });
    crate::support::eventually("the page is asked for", async || {
        let leased: i64 = sqlx::query_scalar("select count(*) from reports where lease_token is not null")
            .fetch_one(&app.pool)
            .await
            .unwrap();
        (leased == 1).then_some(())
    })
    .await;
    stop.cancel();
    assert_eq!(worker.await.unwrap().ended, None);
    app.context.outside.providers = world;
    app.pass(TimeDelta::seconds(2));
    app.settle().await;
    assert_eq!(app.get(&path).await["state"], "finished", "the lease was given back");
    app.finish().await;
}

/// An operator ends a pull at any page; nothing of it is kept.
#[tokio::test]
async fn a_pull_is_discarded_while_it_is_read() {
    let app = TestApp::start().await;
    missed(&app, 120).await;
    let path = pull(&app).await;
    step(&app).await;
    assert_eq!(pages_kept(&app).await, 1);
    assert_eq!(app.post(&format!("{path}/discard"), &json!({"reason": "the wrong day"})).await.0, 202);
    app.settle().await;
    assert_eq!(
        (&app.get(&path).await["state"], pages_kept(&app).await, completed(&app).await),
        (&json!("discarded"), 0, 0)
    );
    assert_ne!(pull(&app).await, path);
    app.settle().await;
    app.finish().await;
}

fn scheduled(period: &str) -> TestAppBuilder {
    let schedule = format!("nexusbank={period}");
    TestApp::with().settings(|it| it.reconciliation.report_schedule = schedule)
}

/// The scheduled pulls, oldest first: from, until, state.
async fn schedule(app: &TestApp) -> Vec<(String, String, String)> {
    let text = |it: &Value, name: &str| it[name].as_str().unwrap().to_owned();
    let mut reports = app.items("/v1/reports").await;
    reports.reverse();
    assert!(reports.iter().all(|it| it["received_by"] == "schedule"), "{reports:?}");
    reports.iter().map(|it| (text(it, "period_from"), text(it, "period_until"), text(it, "state"))).collect()
}

/// Four replicas at work at once.
async fn replicas(app: &TestApp) {
    for _ in 0..3 {
        let replicas: Vec<Reconciler> = (0..4).map(|_| app.reconciler()).collect();
        let ticks = futures::future::join_all(replicas.iter().map(tick)).await;
        assert!(ticks.iter().all(Result::is_ok), "{ticks:?}");
    }
}

fn row(from: &str, until: &str, state: &str) -> (String, String, String) {
    (format!("2026-01-{from}Z"), format!("2026-01-{until}Z"), state.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_pull_comes_once_however_many_replicas_run() {
    let app = scheduled("6h").start().await;
    app.pass(TimeDelta::days(1));
    replicas(&app).await;
    app.settle().await;
    let first = row("01T18:00:00", "02T00:00:00", "finished");
    assert_eq!(schedule(&app).await, std::slice::from_ref(&first));
    missed(&app, 3).await;
    app.pass(TimeDelta::hours(5));
    replicas(&app).await;
    assert_eq!(schedule(&app).await.len(), 1);
    app.pass(TimeDelta::hours(2));
    replicas(&app).await;
    app.settle().await;
    assert_eq!(schedule(&app).await, [first, row("02T00:00:00", "02T07:00:00", "finished")]);
    assert_eq!(completed(&app).await, 3);
    app.finish().await;
}

/// The next pull reads what a failed one did not read.
#[tokio::test]
async fn a_scheduled_pull_that_failed_leaves_no_gap() {
    let app = scheduled("1h").settings(|it| it.retry_for = "10m".to_owned()).start().await;
    app.settle().await;
    app.world.outage(Api::Bank, Some(Fault::ErrorBefore { status: 500 }));
    app.pass_settling(TimeDelta::minutes(110), TimeDelta::minutes(5)).await;
    app.world.outage(Api::Bank, None);
    app.pass_settling(TimeDelta::minutes(20), TimeDelta::minutes(5)).await;
    let reports = schedule(&app).await;
    let states: Vec<&str> = reports.iter().map(|it| it.2.as_str()).collect();
    assert_eq!(states, ["finished", "failed", "finished"], "{reports:?}");
    assert_eq!((&reports[1].0, &reports[2].0), (&reports[0].1, &reports[0].1));
    app.finish().await;
}
