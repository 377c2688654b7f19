//! On demand, and when a breaker closes.

use account_opening::db::backfills::Cause;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{BACKFILLS, ask_for, backfills, complete, completed, lookups, step, waiting};
use crate::support::TestApp;

const BACKFILL: &str = "/v1/providers/nexusbank/backfill";

#[tokio::test]
async fn an_operator_has_the_list_pulled_sees_how_it_goes_and_it_is_recorded() {
    let app = TestApp::start().await;
    let ids = waiting(&app, 2).await;
    complete(&app, &ids);
    let body = json!({"reason": "the bank lost its webhooks", "since": "2025-12-31T23:00:00Z"});
    let request = app.client.post(format!("{}{BACKFILL}", app.internal)).bearer_auth("operator-token").json(&body);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 202);
    let id = response.json::<Value>().await.unwrap()["id"].clone();
    let asked = &backfills(&app).await[0];
    assert_eq!((&asked["id"], &asked["status"], &asked["who"]), (&id, &json!("pending"), &json!("operator")));
    assert_eq!((&asked["reason"], &asked["since"]), (&body["reason"], &body["since"]));
    app.settle().await;
    let done = &backfills(&app).await[0];
    assert_eq!((&done["status"], &done["new_facts"], &done["cause"]), (&json!("done"), &json!(2), &json!("operator")));
    assert!(done["finished_at"].is_string() && done["next_attempt_at"].is_null());
    assert_eq!((completed(&app).await, lookups(&app)), (2, 0));
    let acts: Vec<(String, String, String, String, Value)> =
        sqlx::query_as("select who, action, subject, reason, detail from operator_actions")
            .fetch_all(&app.pool)
            .await
            .unwrap();
    let [(who, action, subject, reason, detail)] = &acts[..] else { panic!("{acts:?}") };
    assert_eq!((who.as_str(), action.as_str(), subject.as_str()), ("operator", "backfill", "nexusbank"));
    assert_eq!((json!(reason), &detail["backfill_id"]), (body["reason"].clone(), &id));
    app.finish().await;
}

#[tokio::test]
async fn a_wish_without_a_time_goes_back_to_the_last_webhook_or_else_by_the_overlap() {
    let app = TestApp::start().await;
    assert_eq!(app.post(BACKFILL, &json!({"reason": "to be sure"})).await.0, 202);
    assert_eq!(backfills(&app).await[0]["since"], "2025-12-31T23:50:00Z");
    app.settle().await;
    let (_, tracking_id) = app.open().waiting().await;
    app.webhook().status(&tracking_id, "IN_PROGRESS").acknowledged().await;
    app.settle().await;
    app.pass(TimeDelta::hours(3));
    assert_eq!(app.post(BACKFILL, &json!({"reason": "to be sure"})).await.0, 202);
    assert_eq!(backfills(&app).await[0]["since"], "2025-12-31T23:50:00Z");
    app.settle().await;
    app.finish().await;
}

#[tokio::test]
async fn a_wish_is_refused_where_it_is_not_one_and_only_operators_have_it() {
    let app = TestApp::start().await;
    let good = json!({"reason": "to be sure"});
    for (path, body, status, kind) in [
        ("/v1/providers/otherbank/backfill", good.clone(), 404, "not-found"),
        ("/v1/providers/%ff/backfill", good.clone(), 404, "not-found"),
        (BACKFILL, json!({"reason": "x", "since": "2026-01-01T00:00:01Z"}), 409, "wrong-state"),
        (BACKFILL, json!({"reason": "x", "since": "yesterday"}), 422, "validation-failed"),
        (BACKFILL, json!({"since": "2025-01-01T00:00:00Z"}), 422, "validation-failed"),
        (BACKFILL, json!({"reason": "x", "until": "2025-01-01T00:00:00Z"}), 400, "unknown-field"),
    ] {
        let (found, problem) = app.post(path, &body).await;
        assert_eq!(found, status, "{path} {body}: {problem}");
        assert!(problem["type"].as_str().unwrap().ends_with(kind), "{problem}");
    }
    for (token, status) in [("reader-token", 403), ("caller-token", 403), ("operator-token", 202)] {
        let request = app.client.post(format!("{}{BACKFILL}", app.internal)).bearer_auth(token).json(&good);
        assert_eq!(request.send().await.unwrap().status(), status, "{token}");
    }
    let read =
        |path: &'static str| app.client.get(format!("{}{path}", app.internal)).bearer_auth("reader-token").send();
    assert_eq!(read(BACKFILLS).await.unwrap().status(), 200);
    assert_eq!(read("/v1/providers/otherbank/backfills").await.unwrap().status(), 404);
    assert_eq!(backfills(&app).await.len(), 1);
    app.settle().await;
    app.finish().await;
}

#[tokio::test]
async fn backfills_are_listed_newest_first_and_page_by_page() {
    let app = TestApp::start().await;
    for hour in 0..5 {
        let since = app.now() - TimeDelta::hours(hour);
        assert_eq!(app.post(BACKFILL, &json!({"reason": "x", "since": since})).await.0, 202);
        app.settle().await;
        app.pass(TimeDelta::seconds(1));
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = app.get(&format!("{BACKFILLS}?limit=2{cursor}")).await;
        seen.extend(page["items"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let mut sorted = seen.clone();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!((seen.len(), &seen), (5, &sorted));
    app.finish().await;
}

/// A backfill that has not begun and goes back as far serves all. One that has begun may have passed what an operator knows of.
#[tokio::test]
async fn a_waiting_backfill_serves_all_that_it_covers() {
    let app = TestApp::start().await;
    let ids = waiting(&app, 120).await;
    complete(&app, &ids);
    let ask = async |minutes: i64| {
        let since = app.now() - TimeDelta::minutes(minutes);
        app.post(BACKFILL, &json!({"reason": "x", "since": since})).await.1["id"].clone()
    };
    let first = ask(60).await;
    assert_eq!(ask(60).await, first);
    assert_eq!(ask(30).await, first);
    let further = ask(90).await;
    assert_ne!(further, first);
    assert_eq!(backfills(&app).await.len(), 2);
    // Both have begun.
    for _ in 0..2 {
        app.pass(TimeDelta::seconds(1));
        assert_eq!(step(&app.context).await.unwrap().items.len(), 100);
    }
    let begun = ask(30).await;
    assert!(begun != first && begun != further);
    // The answers that a breaker kept from us lie before it closed: a backfill under way has them.
    let joined = ask_for(&app.context, "nexusbank", Cause::Breaker, None).await.unwrap().unwrap();
    assert_ne!(json!(joined), begun);
    assert_eq!(backfills(&app).await.len(), 3);
    app.settle().await;
    assert_eq!((completed(&app).await, lookups(&app)), (120, 0));
    app.finish().await;
}

#[tokio::test]
async fn when_a_breaker_closes_the_list_is_pulled_since_the_bank_was_last_heard_of_or_went_away() {
    let app = TestApp::start().await;
    let ids = waiting(&app, 2).await;
    let began = app.now();
    complete(&app, &ids);
    app.pass(TimeDelta::minutes(20));
    for (name, away) in [("nexusbank", None), ("profiles", None), ("otherbank", Some(began))] {
        let asked = ask_for(&app.context, name, Cause::Breaker, away).await.unwrap();
        assert_eq!(asked.is_some(), name == "nexusbank", "{name}");
    }
    app.settle().await;
    assert_eq!((completed(&app).await, lookups(&app)), (2, 0));
    let done = &backfills(&app).await[0];
    assert_eq!((&done["cause"], &done["since"]), (&json!("breaker"), &json!(began - TimeDelta::minutes(10))));

    // WebhookActivity of again before its breaker closed: what it decided while it was away lies before that.
    let (_, tracking_id) = app.open().waiting().await;
    app.webhook().status(&tracking_id, "IN_PROGRESS").acknowledged().await;
    app.settle().await;
    ask_for(&app.context, "nexusbank", Cause::Breaker, Some(began)).await.unwrap().unwrap();
    assert_eq!(backfills(&app).await[0]["since"], json!(began - TimeDelta::minutes(10)));
    app.settle().await;
    app.finish().await;
}
