//! A status that is not in the provider's documentation. (Rules 2 and 9)

use chrono::TimeDelta;
use serde_json::{Value, json};
use world::Plan;

use super::{Outside, of_kind};
use crate::support::TestApp;

/// F4: on each state that waits; nothing moves and nothing is postponed.
#[tokio::test]
async fn an_unknown_status_is_the_last_word_and_on_the_timeline_and_moves_nothing() {
    let app = TestApp::start().await;
    let (waiting, tracking_id) = app.open().waiting().await;
    let forever = vec![world::Fault::ErrorBefore { status: 503 }; 100];
    let requesting = app.open().plan(Plan { submit: forever, ..Plan::by_hand() }).start().await;
    app.settle().await;
    app.pass(TimeDelta::minutes(10));
    for (id, data) in [
        (&waiting, json!({"account_opening_request_id": tracking_id, "status": "ON_HOLD"})),
        (&requesting, json!({"account_opening_request_id": "aor_new", "reference": requesting, "status": "ON_HOLD"})),
    ] {
        let before = app.opening(id).await;
        app.webhook().data(data).acknowledged().await;
        app.tick_inbox().await;
        let after = app.opening(id).await;
        assert_eq!(after["provider_status"], "ON_HOLD", "{after}");
        for field in ["state", "status", "version", "provider_reference", "next_poll_at", "deadline_at"] {
            assert_eq!(after[field], before[field], "{field}");
        }
        assert_eq!(after["updated_at"], json!(app.now()));
        let told = of_kind(&app, id, "webhook").await;
        assert_eq!((&told[0]["outcome"], &told[0]["provider_status"]), (&json!("unknown"), &json!("ON_HOLD")));
    }
    let metrics = app.client.get(format!("{}/metrics", app.internal)).send().await.unwrap().text().await.unwrap();
    let counted = r#"account_opening_failures_total{reason="unknown_status"}"#;
    let count = metrics.lines().find_map(|it| it.strip_prefix(counted)).map(str::trim);
    assert!(count.is_some_and(|it| it != "0"), "{count:?}");
    assert!(!metrics.contains("ON_HOLD"), "no word from outside is a label");
    app.finish().await;
}

/// F4: a poll that failed says so, one that was answered says with which word, and the ticket has the last one.
#[tokio::test]
async fn a_poll_that_failed_is_told_from_one_that_brought_an_unknown_status() {
    let (_, app) = Outside::around(|request, before| match (request, before) {
        ("GET /v1/account-opening-requests/aor_1", 0) => Some((500, json!({}))),
        ("GET /v1/account-opening-requests/aor_1", _) => {
            Some((200, json!({"account_opening_request_id": "aor_1", "status": "ON_HOLD"})))
        }
        _ => None,
    })
    .await;
    let id = app.open().start().await;
    app.settle().await;
    let submitted = of_kind(&app, &id, "command").await;
    assert_eq!(submitted.last().unwrap()["provider_status"], "INITIATED", "{submitted:?}");
    app.pass_settling(TimeDelta::hours(1), TimeDelta::minutes(30)).await;
    let polls = of_kind(&app, &id, "poll").await;
    let said: Vec<_> = polls.iter().map(|it| [it["failure"].clone(), it["provider_status"].clone()]).collect();
    assert_eq!(said, [[json!("server_error"), Value::Null], [Value::Null, json!("ON_HOLD")]]);
    assert_eq!(app.opening(&id).await["provider_status"], "ON_HOLD");

    app.pass_settling(TimeDelta::hours(11), TimeDelta::minutes(30)).await;
    assert_eq!(app.opening(&id).await["state"], "escalated");
    let ticket = &app.items("/v1/tickets").await[0];
    assert!(ticket["summary"].as_str().unwrap().contains("ON_HOLD"), "{ticket}");
    app.finish().await;
}

/// F4: it is text from outside.
#[tokio::test]
async fn a_status_of_any_length_is_kept_within_bounds_and_without_control_characters() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    for (word, kept) in [
        (format!("ON\u{0}{}", "é".repeat(1_000)), Some(format!("ON\u{fffd}{}", "é".repeat(197)))),
        // No word is none.
        (String::new(), None),
    ] {
        let before = app.opening(&id).await["provider_status"].clone();
        app.webhook().status(&tracking_id, &word).acknowledged().await;
        app.settle().await;
        assert_eq!(app.opening(&id).await["provider_status"], kept.map_or(before, |it| json!(it)));
    }
    app.finish().await;
}
