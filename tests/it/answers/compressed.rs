//! Answers that are compressed with gzip, though every request declines it (F8).

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use chrono::TimeDelta;
use serde_json::json;
use world::{Api, Endpoint, Fault, Plan, Verdict};

use super::{calls, expect_state};
use crate::support::{TestApp, listen};

/// F8: of the bank, the profile service, the card issuer and the tracker.
#[tokio::test]
async fn an_answer_that_is_compressed_is_read_and_no_call_is_repeated() {
    let app = TestApp::with().tracker().start().await;
    let gzip = || vec![Fault::Compressed];
    let plan = Plan { profile: gzip(), submit: gzip(), lookup: gzip(), card: gzip(), ..Plan::by_hand() };
    let (id, _) = app.open().plan(plan).waiting().await;
    app.world.fail_next(Endpoint::SearchIssues, gzip());
    app.world.fail_next(Endpoint::CreateIssue, gzip());
    app.pass(TimeDelta::hours(12));
    app.settle().await;
    expect_state(&app, &id, "escalated").await;
    assert_eq!(app.world.tracker_calls(Endpoint::CreateIssue).len(), 1);
    assert_eq!(app.items("/v1/tickets").await[0]["tracker_key"], app.world.issues()[0].key);
    let decided = app.world.decide(&id, &Verdict::complete()).unwrap();
    assert_eq!(decided.told().await, Some(200));
    app.settle().await;
    expect_state(&app, &id, "completed").await;
    for endpoint in [Endpoint::CreateProfile, Endpoint::Submit, Endpoint::Lookup, Endpoint::IssueCard] {
        assert_eq!(calls(&app, &id, endpoint), 1, "{endpoint:?}");
    }
    app.finish().await;
}

/// F8: the legacy call, and the list.
#[tokio::test]
async fn the_legacy_call_and_the_list_are_read_compressed_too() {
    let app = TestApp::with().settings(|it| it.sync_wait = "1ms".to_owned()).start().await;
    let plan = Plan { open: vec![Fault::Compressed], ..Plan::default() };
    let id = app.open().plan(plan).body(super::on_the_legacy_flow).start().await;
    app.settle().await;
    expect_state(&app, &id, "completed").await;
    assert_eq!(calls(&app, &id, Endpoint::OpenAccount), 1);
    app.world.outage(Api::Bank, Some(Fault::Compressed));
    assert_eq!(app.post("/v1/providers/nexusbank/backfill", &json!({"reason": "to be sure"})).await.0, 202);
    app.settle().await;
    let done = app.items("/v1/providers/nexusbank/backfills").await;
    assert!(done.iter().all(|it| it["status"] == "done"), "{done:?}");
    app.world.outage(Api::Bank, None);
    app.finish().await;
}

/// F8
#[tokio::test]
async fn every_request_declines_compression() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let profiles = Router::new().fallback(async move |headers: HeaderMap| {
        let accepts = headers.get("accept-encoding").and_then(|it| it.to_str().ok()).unwrap_or("anything").to_owned();
        seen.lock().unwrap().push(accepts);
        StatusCode::SERVICE_UNAVAILABLE
    });
    let url = listen(profiles).await;
    let app = TestApp::with().settings(|it| it.profile_service_url = url).start().await;
    app.open().start().await;
    app.settle().await;
    assert_eq!(*asked.lock().unwrap(), ["identity"]);
    app.finish().await;
}
