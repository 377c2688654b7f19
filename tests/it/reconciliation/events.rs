//! Events of reconciliation: written with what they tell of, read by position, and delivered.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{REGISTER, Register, mismatches, reconcile, upload};
use crate::support::{Subscriber, TestApp, keys};

const SECRET: &str = "whsec_c3Vic2NyaWJlci1vbmUtc2VjcmV0";
const IBAN: &str = "BE68539007547034";

fn stranger() -> Register {
    let row = format!("aor_stranger,,COMPLETED,{IBAN},NEXUBEBB,,BE,EUR,2026-01-01T08:00:00Z,2026-01-01T09:30:00Z");
    Register::of_day("2026-01-01").row(&row)
}

/// The events of reconciliation: first those of cases, as the clock stands still between a case and the end of its report.
async fn told(app: &TestApp) -> Vec<Value> {
    let mut events = app.eventually_all_events().await;
    events.retain(|it| it["type"].as_str().unwrap().starts_with("reconciliation."));
    events.sort_by_key(|it| it["type"] == "reconciliation.report_finished");
    events
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|it| it["type"].as_str().unwrap()).collect()
}

async fn deliveries(app: &TestApp) -> i64 {
    let queued = "select count(*) from outbox where topic = 'deliver_event'";
    sqlx::query_scalar(queued).fetch_one(&app.pool).await.unwrap()
}

/// P11: subscribers are sent what `GET /v1/events` shows, signed, and under the same ids on repeats.
#[tokio::test]
async fn a_case_and_the_end_of_a_report_are_told_once_and_delivered_until_taken() {
    let subscriber = Subscriber::answering(500, SECRET).await;
    let app = TestApp::with().settings(|it| it.event_subscribers = subscriber.setting()).start().await;
    let report = reconcile(&app, &stranger()).await;
    assert!(upload(&app, REGISTER, stranger().text()).await.replayed);
    let mut later = stranger();
    later.as_of += TimeDelta::hours(1);
    app.pass(TimeDelta::seconds(1));
    let second = reconcile(&app, &later).await;
    let events = told(&app).await;
    let finished = "reconciliation.report_finished";
    assert_eq!(types(&events), ["reconciliation.case_opened", finished, finished], "the case is told once");
    let case = &app.items("/v1/cases").await[0];
    let mut shown = events[0]["data"].clone();
    assert_eq!(shown.as_object_mut().unwrap().remove("class"), Some(json!("MISSING_INTERNAL")));
    assert_eq!(keys(&shown), keys(case));
    assert_eq!(shown["evidence"], json!([{"report_id": report["id"], "line": 3}]));
    assert_eq!((&shown["id"], &shown["opening_id"]), (&case["id"], &Value::Null));
    assert_eq!(shown["theirs"]["iban"], "BE68…7034", "P35: no event of a case has a whole IBAN");
    assert_eq!((&events[1]["data"], &events[2]["data"]), (&report, &second), "the report as it is");
    for (event, subject) in events.iter().zip([case, &report, &second]) {
        let fields = ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"];
        assert_eq!(keys(event), BTreeSet::from(fields));
        assert_eq!((&event["subject"], &event["source"]), (&subject["id"], &json!("/reconciliation")));
    }
    subscriber.answer(204);
    app.pass_settling(TimeDelta::hours(1), TimeDelta::minutes(15)).await;
    let oracle = standardwebhooks::Webhook::new(SECRET).unwrap();
    for event in &events {
        let sent: Vec<_> =
            subscriber.deliveries().into_iter().filter(|it| it.header("webhook-id") == event["id"]).collect();
        assert!(sent.len() > 1 && sent.iter().filter(|it| it.status == 204).count() == 1, "{event}");
        for delivery in sent {
            assert_eq!(delivery.event(), *event);
            let at: i64 = delivery.header("webhook-timestamp").parse().unwrap();
            let signature = oracle.sign(delivery.header("webhook-id"), at, &delivery.body).unwrap();
            assert_eq!(delivery.header("webhook-signature"), signature);
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn without_subscribers_no_delivery_is_queued_and_a_dry_run_or_a_held_file_tells_nothing() {
    let app = TestApp::start().await;
    upload(&app, &format!("{REGISTER}&dry_run=true"), stranger().text()).await;
    app.settle().await;
    assert!(told(&app).await.is_empty());
    let register = (0..25).fold(Register::of_day("2026-01-01"), |register, n| {
        register.row(&format!("aor_stranger{n},,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,"))
    });
    let report = reconcile(&app, &register).await;
    assert_eq!(report["state"], "held");
    let held = told(&app).await;
    assert_eq!(
        (types(&held), &held[0]["data"]["class"]),
        (vec!["reconciliation.case_opened"], &json!("TOO_MANY_DIFFERENCES"))
    );
    let path = format!("/v1/reports/{}", report["id"].as_str().unwrap());
    assert_eq!(app.post(&format!("{path}/release"), &json!({"reason": "the right file"})).await.0, 202);
    app.settle().await;
    let all = told(&app).await;
    assert_eq!(types(&all).iter().filter(|it| **it == "reconciliation.report_finished").count(), 1);
    assert_eq!(all.len(), 1 + 25 + 1, "{all:?}");
    assert_eq!(deliveries(&app).await, 0);
    app.finish().await;
}

/// Erasure and archive reach what belongs to an opening, and what belongs to none.
#[tokio::test]
async fn an_erasure_empties_the_event_of_a_case_and_its_delivery_is_archived() {
    let subscriber = Subscriber::answering(204, SECRET).await;
    let app = TestApp::with().settings(|it| it.event_subscribers = subscriber.setting()).start().await;
    let (id, tracking_id) = app.open().waiting().await;
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    app.settle().await;
    let mut elsewhere = app.opening(&id).await;
    elsewhere["market"] = json!("NL");
    reconcile(&app, &Register::of_day("2026-01-01").about(&elsewhere, "COMPLETED", IBAN)).await;
    assert_eq!(mismatches(&app).await, ["ATTRIBUTE_MISMATCH case"]);
    let case = told(&app).await.remove(0);
    assert_eq!((&case["data"]["opening_id"], &case["data"]["theirs"]["market"]), (&json!(id), &json!("NL")));
    let erase = format!("/v1/account-openings/{id}/erase");
    assert_eq!(app.post(&erase, &json!({"reason": "the customer asked"})).await.0, 202);
    let erased = told(&app).await.remove(0);
    assert_eq!(
        (&erased["id"], &erased["data"]["ours"], &erased["data"]["theirs"]),
        (&case["id"], &json!({}), &json!({}))
    );
    assert_eq!(erased["data"]["class"], "ATTRIBUTE_MISMATCH");
    let without_opening = async |table: &str| {
        let rows = format!("select count(*) from {table} where topic = 'deliver_event' and opening_id is null");
        sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(rows)).fetch_one(&app.pool).await.unwrap()
    };
    assert_eq!((without_opening("outbox").await, without_opening("outbox_archive").await), (1, 0));
    app.pass_settling(TimeDelta::days(40), TimeDelta::days(10)).await;
    assert_eq!((without_opening("outbox").await, without_opening("outbox_archive").await), (0, 1));
    app.finish().await;
}

/// The corrected file lacks the row: what only the replaced file said is settled, and its case closed.
#[tokio::test]
async fn a_register_sent_in_place_of_another_settles_what_only_that_one_said() {
    let app = TestApp::start().await;
    let first = reconcile(&app, &stranger()).await;
    let corrected = Register::of_day("2026-01-01");
    let query = |report: &Value| format!("{REGISTER}&supersedes={}", report["id"].as_str().unwrap());
    let cut = upload(&app, &query(&first), corrected.cut()).await;
    app.settle().await;
    assert_eq!(mismatches(&app).await, ["MISSING_INTERNAL case"], "P30: a file that was cut off settles nothing");
    let second = upload(&app, &query(&cut.body), corrected.text()).await;
    assert_eq!((second.status, &second.body["supersedes"]), (202, &cut.body["id"]));
    app.settle().await;
    assert_eq!(mismatches(&app).await, ["MISSING_INTERNAL settled"]);
    let case = &app.items("/v1/cases").await[0];
    assert_eq!((&case["status"], &case["resolved_by"]), (&json!("resolved"), &json!("reconciliation")));
    assert!(case["reason"].as_str().unwrap().contains(&second.id()), "{case}");
    app.finish().await;
}

/// P28: the replaced file was held, and an operator releases it after the file that replaces it is finished.
#[tokio::test]
async fn a_replaced_register_that_finishes_last_leaves_nothing_open() {
    let app = TestApp::start().await;
    let many = (0..25).fold(Register::of_day("2026-01-01"), |register, n| {
        register.row(&format!("aor_stranger{n},,IN_PROGRESS,,,,BE,EUR,2026-01-01T08:00:00Z,"))
    });
    let held = reconcile(&app, &many).await;
    assert_eq!(held["state"], "held");
    let id = held["id"].as_str().unwrap();
    upload(&app, &format!("{REGISTER}&supersedes={id}"), Register::of_day("2026-01-01").text()).await;
    app.settle().await;
    assert_eq!(app.post(&format!("/v1/reports/{id}/release"), &json!({"reason": "late"})).await.0, 202);
    app.settle().await;
    let open = mismatches(&app).await.into_iter().filter(|it| !it.ends_with(" settled") && !it.ends_with(" resolved"));
    assert_eq!(open.collect::<Vec<_>>(), [""; 0]);
    assert!(app.items("/v1/cases?status=open").await.is_empty());
    app.finish().await;
}

#[tokio::test]
async fn a_finding_of_two_files_stays_open_when_one_of_them_is_replaced() {
    let app = TestApp::start().await;
    let first = reconcile(&app, &stranger()).await;
    let mut again = stranger();
    again.as_of += TimeDelta::hours(1);
    reconcile(&app, &again).await;
    let query = format!("{REGISTER}&supersedes={}", first["id"].as_str().unwrap());
    upload(&app, &query, Register::of_day("2026-01-01").text()).await;
    app.settle().await;
    assert_eq!(mismatches(&app).await, ["MISSING_INTERNAL case"]);
    app.finish().await;
}

#[tokio::test]
async fn only_a_report_of_the_same_provider_and_kind_is_replaced() {
    let app = TestApp::start().await;
    let first = reconcile(&app, &stranger()).await;
    let dry = upload(&app, &format!("{REGISTER}&dry_run=true"), stranger().text()).await;
    app.settle().await;
    let nowhere = json!({"id": "01990000-0000-7000-8000-000000000000"});
    let charges = "provider=nexusbank&kind=charges";
    for (query, report) in [(REGISTER, &nowhere), (charges, &first), (REGISTER, &dry.body)] {
        let query = format!("{query}&supersedes={}", report["id"].as_str().unwrap());
        let refused = upload(&app, &query, Register::of_day("2026-01-02").text()).await;
        assert_eq!(refused.status, 422, "{}", refused.body);
        assert_eq!(refused.body["errors"][0]["pointer"], "/supersedes", "{}", refused.body);
    }
    app.finish().await;
}
