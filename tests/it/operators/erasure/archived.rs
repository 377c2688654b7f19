//! An erasure reaches the archives, and no further than elsewhere. (P3)

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde_json::json;
use sqlx::AssertSqlSafe;
use world::Plan;

use super::super::taken;
use super::{CANARY, IBAN, SECOND_IBAN, SECRET, assert_gone, erase_path, places, reason, rows, somebodys, told};
use crate::support::{Subscriber, TestApp};

/// An opening without a case or a ticket. The canary stands wherever that leaves neither: in bodies and headers, in an unreadable
/// letter and one that contradicts its id. The reasons of redrives and discards hold it too, also for a delivery.
async fn somebody(app: &TestApp, subscriber: &Subscriber) -> (String, String) {
    subscriber.answer(400);
    let id = somebodys(app, "key-1").plan(Plan::by_hand()).start().await;
    app.settle().await;
    let tracking_id = app.opening(&id).await["provider_reference"].as_str().unwrap().to_owned();
    told(app, "msg_1", &tracking_id, &json!({"status": "IN_PROGRESS"})).await;
    told(app, "msg_1", &tracking_id, &json!({"status": "IN_PROGRESS", "rejection_reason": CANARY})).await;
    app.webhook().id("msg_2").body(format!("{CANARY}, not JSON: {tracking_id}")).acknowledged().await;
    let other = json!({"type": "customer.changed", "data": {"reference": id, "name": CANARY}});
    app.webhook().id("msg_3").body(other.to_string()).acknowledged().await;
    app.settle().await;
    subscriber.answer(200);
    for letter in app.items("/v1/dead-letters").await {
        let what = if letter["queue"] == "outbox" { "redrive" } else { "discard" };
        let path = format!("/v1/dead-letters/{}/{what}", letter["id"].as_str().unwrap());
        taken(app, &path, &reason("what was done")).await;
    }
    app.settle().await;
    told(app, "msg_4", &tracking_id, &json!({"status": "COMPLETED", "iban": IBAN, "bic": "NEXUBEBB"})).await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    (id, tracking_id)
}

#[tokio::test]
async fn archived_facts_are_emptied_with_the_rest_whether_or_not_the_inbox_has_their_keys() {
    for days in [31, 100] {
        let subscriber = Subscriber::answering(200, SECRET).await;
        let app = TestApp::with()
            .settings(|it| {
                it.event_subscribers = subscriber.setting();
                it.max_attempts = "1".to_owned();
            })
            .start()
            .await;
        let (id, tracking_id) = somebody(&app, &subscriber).await;
        let (other, others) = app.open().waiting().await;
        app.webhook().completed(&others, SECOND_IBAN).acknowledged().await;
        app.settle().await;
        app.pass_settling(TimeDelta::days(days), TimeDelta::days(1)).await;
        let count = async |what: &str| -> i64 {
            let sql = format!("select count(*) from {what}");
            sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&app.pool).await.unwrap()
        };
        assert_eq!(count("inbox").await > 0, days < 90);
        assert_eq!((count("inbox where archived_at is null").await, count("outbox").await), (0, 0));
        let before = places(&app, CANARY).await;
        for place in [
            "inbox_archive.body",
            "inbox_archive.headers",
            "inbox_archive.attempt_log",
            "outbox_archive.attempt_log",
            "operator_actions.reason",
        ] {
            assert!(before.contains(place), "{place} holds nothing to erase: {before:?}");
        }
        let emptied: Vec<_> =
            before.iter().filter(|it| it.starts_with("inbox.") || it.starts_with("outbox.")).collect();
        assert!(emptied.is_empty(), "what was archived still stands in {emptied:?}");
        let kept = (rows(&app, "inbox_archive", &other).await, rows(&app, "outbox_archive", &other).await);
        let known = digests(&app).await;

        taken(&app, &erase_path(&id), &json!({"reason": "the customer asked"})).await;
        for text in [CANARY, IBAN] {
            assert_eq!(places(&app, text).await, BTreeSet::new(), "{text}");
        }
        assert!(places(&app, SECOND_IBAN).await.contains("inbox_archive.body"), "what is the other's stays");
        assert_eq!((rows(&app, "inbox_archive", &other).await, rows(&app, "outbox_archive", &other).await), kept);
        assert_eq!(digests(&app).await, known, "how a copy is known stays");

        // A second erasure empties what is said later, also where it went to the archive meanwhile.
        let late = format!("{CANARY}, not JSON: {tracking_id}");
        app.webhook().id("msg_6").body(late).acknowledged().await;
        app.settle().await;
        let letter = app.items("/v1/dead-letters").await[0]["id"].as_str().unwrap().to_owned();
        taken(&app, &format!("/v1/dead-letters/{letter}/discard"), &reason("a discard")).await;
        app.pass_settling(TimeDelta::days(31), TimeDelta::days(1)).await;
        taken(&app, &erase_path(&other), &json!({"reason": "the other asked"})).await;
        assert!(places(&app, CANARY).await.contains("inbox_archive.body"));
        taken(&app, &erase_path(&id), &json!({"reason": "again"})).await;
        assert_gone(&app).await;
        app.finish().await;
    }
}

async fn digests(app: &TestApp) -> Vec<Vec<u8>> {
    sqlx::query_scalar("select body_digest from inbox_archive order by id").fetch_all(&app.pool).await.unwrap()
}
