//! The burst cache answers copies without the database, and changes no outcome. (P5)

use serde_json::{Value, json};

use crate::support::TestApp;

use super::{IBAN, OTHER_IBAN, message};

/// The parts that P5 compares: states, history, effects, cases, events.
async fn outcome(app: &TestApp, id: &str) -> Value {
    let opening = app.opening(id).await;
    let fields = ["state", "status", "iban", "bic", "provider_status", "reason", "version"];
    let opening: Vec<Value> = fields.iter().map(|field| opening[*field].clone()).collect();
    let cases: Vec<Value> =
        app.items("/v1/cases").await.iter().map(|it| json!([it["kind"], it["theirs"], it["status"]])).collect();
    let events: Vec<Value> = app.eventually_all_events().await.iter().map(|it| it["type"].clone()).collect();
    let counts = app.world.counts();
    json!({
        "opening": opening, "history": app.history(id).await, "cases": cases, "events": events,
        "made": [counts.profiles, counts.account_requests, counts.cards],
    })
}

async fn story(messages: &[(&str, &str, Option<&str>)], forgetful: bool) -> Value {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    for (event_id, status, account) in messages {
        app.webhook().id(event_id).body(message(&tracking_id, status, *account)).acknowledged().await;
        if forgetful {
            app.state.ingest.forget_bursts();
        }
        app.settle().await;
    }
    let outcome = outcome(&app, &id).await;
    app.finish().await;
    outcome
}

/// P5
#[tokio::test]
async fn with_and_without_the_burst_cache_everything_ends_the_same() {
    let completed = ("msg_3", "COMPLETED", Some(IBAN));
    let rejected = ("msg_6", "REJECTED", None);
    let messages = [
        ("msg_1", "IN_PROGRESS", None),
        ("msg_1", "IN_PROGRESS", None),
        ("msg_2", "IN_PROGRESS", None),
        completed,
        completed,
        ("msg_4", "COMPLETED", Some(IBAN)),
        ("msg_5", "COMPLETED", Some(OTHER_IBAN)),
        ("msg_5", "COMPLETED", Some(OTHER_IBAN)),
        completed,
        ("msg_1", "IN_PROGRESS", Some(IBAN)),
        rejected,
        rejected,
        ("msg_7", "REJECTED", None),
    ];
    let with = story(&messages, false).await;
    assert_eq!(with, story(&messages, true).await);
    assert_eq!((&with["opening"][0], &with["opening"][2]), (&json!("completed"), &json!(IBAN)));
    assert_eq!(with["cases"].as_array().unwrap().len(), 2, "{with}");

    let reversed: Vec<_> = messages.iter().rev().copied().collect();
    let with = story(&reversed, false).await;
    assert_eq!(with, story(&reversed, true).await);
    assert_eq!(with["opening"][0], "rejected");
}

async fn burst_duplicates(app: &TestApp) -> u64 {
    let metrics = app.client.get(format!("{}/metrics", app.internal)).send().await.unwrap().text().await.unwrap();
    let line = metrics.lines().find_map(|it| it.strip_prefix("account_opening_burst_duplicates_total "));
    line.map_or(0, |count| count.parse().unwrap())
}

/// P5: a copy is answered while no insert goes through; another body under the same key is not for the cache to judge.
#[tokio::test]
async fn a_copy_asks_nothing_of_the_database_and_another_body_under_its_key_does() {
    let app = TestApp::with().settings(|it| it.ack_timeout = "1s".to_owned()).start().await;
    let (id, tracking_id) = app.open().waiting().await;
    let first = message(&tracking_id, "COMPLETED", Some(IBAN));
    let other = message(&tracking_id, "COMPLETED", Some(OTHER_IBAN));
    app.webhook().id("msg_1").body(first.clone()).acknowledged().await;
    app.settle().await;

    let before = burst_duplicates(&app).await;
    let lock = app.lock_inbox().await;
    app.webhook().id("msg_1").body(first.clone()).acknowledged().await;
    app.webhook().id("msg_2").body(first).acknowledged().await;
    assert_eq!(app.webhook().id("msg_3").body(other.clone()).answered().await, 503);
    lock.rollback().await.unwrap();
    assert!(burst_duplicates(&app).await >= before + 2);

    // The bank comes again with what was not acknowledged.
    app.webhook().id("msg_3").body(other).acknowledged().await;
    app.settle().await;
    let stored = app.inbox().await;
    let rows: Vec<(&str, Option<&str>)> =
        stored.iter().map(|it| (it.event_id.as_str(), it.outcome.as_deref())).collect();
    assert_eq!(rows, [("msg_1", Some("applied")), ("msg_3", Some("conflict"))]);
    assert_eq!(stored[0].duplicates, 0);
    assert_eq!(app.opening(&id).await["iban"], IBAN);
    assert_eq!(app.items("/v1/cases").await.len(), 1);
    app.finish().await;
}

/// The cache knows nothing of what was not stored: after an answer 503 the same webhook goes to the database.
#[tokio::test]
async fn a_webhook_that_was_not_stored_is_no_duplicate() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    let webhook = || app.webhook().id("msg_1").body(message(&tracking_id, "COMPLETED", Some(IBAN)));
    let lock = app.lock_inbox().await;
    let failing = async {
        app.an_insert_waits().await;
        app.cut_waiting_inserts().await;
    };
    let (answer, ()) = tokio::join!(webhook().answered(), failing);
    assert_eq!(answer, 503);
    lock.rollback().await.unwrap();
    assert_eq!(app.inbox().await, []);
    webhook().acknowledged().await;
    app.settle().await;
    assert_eq!(app.inbox().await.len(), 1);
    assert_eq!(app.opening(&id).await["state"], "completed");
    app.finish().await;
}
