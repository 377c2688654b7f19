//! Acts on a report, its upload and its pull.

use chrono::TimeDelta;
use serde_json::{Value, json};
use world::{Plan, Verdict, Webhooks};

use super::{Announced, OPERATOR, Visitor, act, operator};
use crate::dashboard::reports::report_of;
use crate::dashboard::uploads::uploaded;
use crate::reconciliation::{Register, mismatches, reconcile, upload};
use crate::support::TestApp;

/// A report in each state that it stays in until an act or the worker comes.
async fn report_in(app: &TestApp, state: &str, number: usize) -> String {
    let day = format!("2025-{:02}-{:02}", 1 + number / 28, 1 + number % 28);
    let row = |n: usize| format!("aor_{number}_{n},,IN_PROGRESS,,,,BE,EUR,{day}T08:00:00Z,");
    // More differences than a file may have.
    let rows = if ["held", "discarded", "released"].contains(&state) { 21 } else { 1 };
    let register = (0..rows).fold(Register::of_day(&day), |register, n| register.row(&row(n)));
    let query = "provider=nexusbank&kind=register";
    let id = match state {
        "received" => return upload(app, query, register.text()).await.id(),
        "dry_run" => upload(app, &format!("{query}&dry_run=true"), register.text()).await.id(),
        _ => reconcile(app, &register).await["id"].as_str().unwrap().to_owned(),
    };
    app.settle().await;
    if ["discarded", "released"].contains(&state) {
        let verb = if state == "discarded" { "discard" } else { "release" };
        assert_eq!(app.post(&format!("/v1/reports/{id}/{verb}"), &json!({"reason": "before"})).await.0, 202);
        app.settle().await;
    }
    id
}

#[tokio::test]
async fn every_act_on_a_report_in_every_state_is_what_was_announced() {
    let app = TestApp::start().await;
    let mut cells = Vec::new();
    for (number, state) in ["received", "held", "finished", "dry_run", "discarded", "released"].into_iter().enumerate()
    {
        for (at, (verb, end)) in [("release", "finished"), ("discard", "discarded")].into_iter().enumerate() {
            let id = report_in(&app, state, 2 * number + at).await;
            let visitor = Visitor::signed_in(&app, OPERATOR).await;
            let report = async || app.get(&format!("/v1/reports/{id}")).await;
            let before = report().await["state"].clone();
            let announced = act(&app, &visitor, &format!("/reports/{id}/{verb}"), &format!("{verb}_report"), &[]).await;
            let is_done = announced.refused.is_none() && !announced.says("was done before");
            app.settle().await;
            let after = report().await["state"].clone();
            let expected = if is_done { json!(end) } else { before.clone() };
            // The worker has meanwhile read a report that was only received.
            if is_done || state != "received" {
                assert_eq!(after, expected, "{state} {verb}: {announced:?}");
            }
            cells.push((state, verb, announced.refused.is_none(), is_done));
        }
    }
    let done: Vec<_> = cells.iter().filter(|it| it.3).map(|it| (it.0, it.1)).collect();
    assert_eq!(
        done,
        [("received", "discard"), ("held", "release"), ("held", "discard"), ("dry_run", "discard")],
        "{cells:?}"
    );
    app.finish().await;
}

/// Rehearses the upload of a file and does it: what was announced, and the report as it stands when it is read.
async fn sent(app: &TestApp, visitor: &Visitor, dry_run: &str, register: &Register) -> (Announced, Value) {
    let before = app.rows().await;
    let page = visitor.page("/reports/upload").await;
    let announced = Announced::on(&page, &format!("Dry run: {dry_run}"));
    assert_eq!(app.rows().await, before, "a rehearsal writes nothing");
    let fields = [("dry_run", dry_run), ("provider", "nexusbank"), ("kind", "register"), ("reason", "for the test")];
    let answer = uploaded(visitor, &page, &fields, &register.text()).await;
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    app.settle().await;
    (announced, app.get(&format!("/v1/reports/{}", report_of(&answer))).await)
}

/// The rows of a report by class, and the cases, mismatches and reports that there are then.
async fn found(app: &TestApp, report: &Value) -> (Value, usize, usize, usize) {
    let count = async |path: &str| app.items(path).await.len();
    (report["counts"].clone(), count("/v1/cases").await, count("/v1/mismatches").await, count("/v1/reports").await)
}

#[tokio::test]
async fn an_upload_in_every_state_has_the_effect_that_was_announced() {
    let app = TestApp::start().await;
    let visitor = operator(&app).await;
    let (told, reference) = app.open().waiting().await;
    app.webhook().completed(&reference, "BE68539007547034").acknowledged().await;
    let (missed, _) = app.open().waiting().await;
    app.settle().await;
    let register = Register::of_day("2026-01-01")
        .about(&app.opening(&told).await, "COMPLETED", "BE71096123456769")
        .about(&app.opening(&missed).await, "COMPLETED", "BE62510007547061");
    let classes = json!({"IBAN_MISMATCH": 1, "MISSED_ANSWER": 1});
    let state = async |id: &str| app.opening(id).await["state"].clone();

    for number in 1..=2 {
        let (announced, report) = sent(&app, &visitor, "true", &register).await;
        assert!(announced.says("applies and books nothing, and is no copy of anything"), "{announced:?}");
        assert_eq!(found(&app, &report).await, (classes.clone(), 0, 0, number), "{report}");
        assert_eq!(state(&missed).await, "awaiting_provider");
        let raw = format!("/v1/reports/{}/raw", report["id"].as_str().unwrap());
        let raw = app.request(reqwest::Method::GET, &raw).send().await.unwrap().text().await.unwrap();
        assert!(announced.says("stores the file as it came") && raw == register.text(), "{raw}");
    }
    let (announced, report) = sent(&app, &visitor, "false", &register).await;
    assert!(
        announced.says("turns answers that we missed into facts") && announced.says("opens cases"),
        "{announced:?}"
    );
    assert_eq!(found(&app, &report).await, (classes.clone(), 1, 2, 3), "{report}");
    assert_eq!(state(&missed).await, "completed");
    let (announced, again) = sent(&app, &visitor, "false", &register).await;
    assert!(announced.says("the same bytes again are the same report") && again["id"] == report["id"], "{again}");
    let many = (0..21).fold(Register::of_day("2026-01-02"), |register, n| {
        register.row(&format!("aor_many_{n},,IN_PROGRESS,,,,BE,EUR,2026-01-02T08:00:00Z,"))
    });
    let (announced, held) = sent(&app, &visitor, "false", &many).await;
    assert!(announced.says("holds a file that differs too much") && held["state"] == "held", "{held}");
    app.finish().await;
}

/// Requests the list of a period as its page announces it: the newest report then, and how many there are.
async fn pulled(app: &TestApp, visitor: &Visitor, from: &str, until: &str) -> (Announced, Value, usize) {
    let path = format!("/reports/pull?provider=nexusbank&from={from}&until={until}");
    let fields = [("provider", "nexusbank"), ("from", from), ("until", until)];
    let announced = act(app, visitor, &path, "pull_report", &fields).await;
    let reports = app.items("/v1/reports").await;
    let shown = |text: &str| text.replace('T', " ").replace('Z', " UTC");
    let period = format!("reads the list of nexusbank from {} until {}", shown(from), shown(until));
    assert!(announced.says(&period) && announced.says("concludes nothing from what is absent"), "{announced:?}");
    (announced, reports[0].clone(), reports.len())
}

#[tokio::test]
async fn a_pull_in_every_state_reads_what_was_announced() {
    let app = TestApp::start().await;
    let visitor = operator(&app).await;
    let silent = Plan { webhooks: Webhooks { dropped: true, ..Webhooks::default() }, ..Plan::by_hand() };
    let (missed, _) = app.open().plan(silent).waiting().await;
    app.world.decide(&missed, &Verdict::complete()).unwrap();
    app.pass(TimeDelta::minutes(1));
    let (from, until, later) = ("2025-12-31T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z");
    let (announced, first, count) = pulled(&app, &visitor, from, until).await;
    assert!(announced.says("compares it with our openings like a file") && count == 1, "{announced:?}");
    assert_eq!((&first["period_from"], &first["period_until"]), (&json!(from), &json!(until)));
    let (announced, _, count) = pulled(&app, &visitor, from, until).await;
    let already = format!("the list of this period is being read already, as report {}", first["id"].as_str().unwrap());
    assert!(announced.says(&already) && count == 1, "{announced:?}");
    let (announced, other, count) = pulled(&app, &visitor, from, later).await;
    assert!(!announced.says("already") && count == 2 && other["period_until"] == later, "{announced:?}: {other}");
    app.settle().await;
    assert_eq!(app.opening(&missed).await["state"], "completed");
    assert!(mismatches(&app).await.iter().all(|it| it.starts_with("MISSED_ANSWER")));
    let (announced, _, count) = pulled(&app, &visitor, from, until).await;
    assert!(!announced.says("already") && count == 3, "{announced:?}");
    app.settle().await;
    in_the_future(&app, &visitor).await;
    app.finish().await;
}

/// A period that has not ended is refused, by the page and by its form.
async fn in_the_future(app: &TestApp, visitor: &Visitor) {
    let before = app.rows().await;
    let (from, until) = ("2026-01-01T00:00:00Z", "2999-01-01T00:00:00Z");
    let page = visitor.page(&format!("/reports/pull?provider=nexusbank&from={from}&until={until}")).await;
    assert_eq!(Announced::on(&page, "").refused.as_deref(), Some("must not be in the future"));
    let fields = [("provider", "nexusbank"), ("from", from), ("until", until), ("reason", "for the test")];
    assert_eq!(visitor.act(&page, "pull_report", &fields).await.status(), 422);
    assert_eq!(app.rows().await, before);
}
