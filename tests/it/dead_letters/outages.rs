//! An outage is no poison (P15): it is waited out, for a day.

use chrono::TimeDelta;
use serde_json::json;
use world::{Api, Endpoint, Fault, Plan};

use super::{accepted, classes, only_letter};
use crate::support::TestApp;

/// A service that repeats at least every minute, so that a day has many attempts.
async fn eager(profile_service: Option<&str>) -> TestApp {
    TestApp::with()
        .settings(|it| {
            it.backoff_cap = "1m".to_owned();
            if let Some(url) = profile_service {
                it.profile_service_url = url.to_owned();
            }
        })
        .start()
        .await
}

/// Attempts of the profile's command so far.
async fn claims(app: &TestApp) -> i32 {
    let claims = sqlx::query_scalar("select claims from outbox where topic = 'create_profile'");
    claims.fetch_one(&app.pool).await.unwrap()
}

/// P15
async fn retried_a_hundred_times_and_given_up_after_a_day(profile_service: Option<&str>, class: &str) {
    let app = eager(profile_service).await;
    app.world.outage(Api::Profiles, Some(Fault::ErrorBefore { status: 500 }));
    let id = app.open().start().await;
    app.pass_settling(TimeDelta::minutes(110), TimeDelta::minutes(1)).await;
    assert!(claims(&app).await > 100, "{class}");
    assert!(app.items("/v1/dead-letters").await.is_empty() && app.items("/v1/tickets").await.is_empty());
    app.pass(TimeDelta::hours(24) - TimeDelta::minutes(111));
    app.settle().await;
    assert!(app.items("/v1/dead-letters").await.is_empty(), "{class}: not before the day is over");
    app.pass(TimeDelta::minutes(2));
    app.settle().await;
    let (letter, whole) = only_letter(&app).await;
    assert_eq!((&whole["cause"], &whole["kind"]), (&json!(class), &json!("create_profile")));
    let log = classes(&whole);
    assert!(log.len() > 100 && log.iter().all(|it| *it == class), "{log:?}");
    assert_eq!(whole["attempts_count"], log.len());
    assert_eq!(app.items("/v1/tickets").await.len(), 1);
    // A redriven command has a whole day again.
    accepted(&app, &letter, "redrive", "they are back").await;
    app.pass_settling(TimeDelta::hours(1), TimeDelta::minutes(1)).await;
    assert!(app.items("/v1/dead-letters").await.is_empty());
    app.world.outage(Api::Profiles, None);
    app.pass_settling(TimeDelta::minutes(1), TimeDelta::minutes(1)).await;
    let expected = if profile_service.is_none() { "awaiting_provider" } else { "creating_profile" };
    assert_eq!(app.opening(&id).await["state"], expected);
    app.finish().await;
}

#[tokio::test]
async fn an_outage_is_retried_a_hundred_times_and_given_up_after_a_day() {
    retried_a_hundred_times_and_given_up_after_a_day(None, "server_error").await;
}

#[tokio::test]
async fn a_system_that_is_not_there_is_tried_a_hundred_times_and_given_up_after_a_day() {
    retried_a_hundred_times_and_given_up_after_a_day(Some("http://127.0.0.1:1"), "transport").await;
}

/// P15: an outage of the bank while an opening waits to be submitted.
#[tokio::test]
async fn an_outage_that_ends_leaves_nothing_behind() {
    let app = eager(None).await;
    app.world.outage(Api::Bank, Some(Fault::ErrorBefore { status: 503 }));
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(app.open().start().await);
    }
    app.pass_settling(TimeDelta::minutes(30), TimeDelta::minutes(1)).await;
    app.world.outage(Api::Bank, None);
    app.pass_settling(TimeDelta::minutes(1), TimeDelta::minutes(1)).await;
    for id in ids {
        assert_eq!(app.opening(&id).await["state"], "awaiting_provider");
    }
    assert!(app.items("/v1/dead-letters").await.is_empty());
    app.finish().await;
}

#[tokio::test]
async fn no_call_is_made_before_the_time_that_retry_after_names() {
    let app = TestApp::start().await;
    let plan = Plan { profile: vec![Fault::Throttle { retry_after_seconds: 90 }], ..Plan::by_hand() };
    let id = app.open().plan(plan).start().await;
    app.settle().await;
    let calls = || app.world.opening(&id).unwrap().calls(Endpoint::CreateProfile);
    for _ in 0..89 {
        app.pass(TimeDelta::seconds(1));
        app.settle().await;
        assert_eq!(calls(), 1);
    }
    app.pass(TimeDelta::seconds(1));
    app.settle().await;
    assert_eq!((calls(), app.opening(&id).await["state"].as_str()), (2, Some("awaiting_provider")));
    app.finish().await;
}

/// These are our own misconfiguration, and nothing was refused.
#[tokio::test]
async fn a_misconfiguration_of_ours_is_retried_like_an_outage() {
    let app = TestApp::start().await;
    let faults: Vec<Fault> = [401, 403, 404, 405].iter().map(|status| Fault::ErrorBefore { status: *status }).collect();
    let many = faults.repeat(4);
    let plan = Plan { profile: many.clone(), submit: many.clone(), card: many, ..Plan::by_hand() };
    let id = app.open().plan(plan).start().await;
    app.pass_settling(TimeDelta::hours(9), TimeDelta::minutes(15)).await;
    let opening = app.opening(&id).await;
    assert_eq!((&opening["state"], &opening["outcome_unknown_since"]), (&json!("awaiting_provider"), &json!(null)));
    app.webhook().completed(opening["provider_reference"].as_str().unwrap(), super::IBAN).acknowledged().await;
    app.pass_settling(TimeDelta::hours(5), TimeDelta::minutes(15)).await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    let items = app.items(&format!("/v1/account-openings/{id}/timeline")).await;
    for topic in ["create_profile", "submit_request", "issue_card"] {
        let command = items.iter().find(|it| it["kind"] == topic).unwrap();
        let classes: Vec<_> = command["detail"]["attempts"].as_array().unwrap().iter().map(|it| &it["class"]).collect();
        assert_eq!(classes.len(), 17, "{topic}");
        assert!(classes[..16].iter().all(|it| *it == "misconfigured"), "{topic}");
    }
    assert!(app.items("/v1/dead-letters").await.is_empty());
    app.finish().await;
}
