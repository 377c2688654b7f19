//! Webhooks about what we do not know yet: they wait, and are applied the moment we do. (P3, P13)

use axum::Json;
use axum::http::StatusCode;
use axum::routing::post;
use chrono::TimeDelta;
use serde_json::{Value, json};
use world::{Fault, Plan};

use crate::support::{TestApp, listen};

use super::{IBAN, message};

const TRACKING_ID: &str = "aor_known_beforehand";

/// A bank with tracking ids that are known in advance.
async fn bank() -> String {
    let submit = async |Json(body): Json<Value>| {
        let accepted =
            json!({"account_opening_request_id": TRACKING_ID, "reference": body["reference"], "status": "INITIATED"});
        (StatusCode::ACCEPTED, Json(accepted))
    };
    listen(axum::Router::new().route("/v1/account-opening-requests", post(submit))).await
}

async fn app_with_that_bank() -> TestApp {
    let url = bank().await;
    TestApp::with().settings(|it| it.nexusbank.base_url = url).start().await
}

/// No time passes between the start and the end: the wait of an hour-old webhook, minutes by then, is cut short.
#[tokio::test]
async fn a_webhook_from_before_the_opening_is_applied_the_moment_its_tracking_id_is_stored() {
    let app = app_with_that_bank().await;
    app.webhook().id("msg_1").body(message(TRACKING_ID, "COMPLETED", Some(IBAN))).acknowledged().await;
    app.pass_settling(TimeDelta::hours(1), TimeDelta::minutes(5)).await;
    assert_eq!(app.inbox().await[0].settled(), ("pending", Some("parked")));
    let waits = "select due_at > $1 from inbox where event_id = 'msg_1'";
    let waits: bool = sqlx::query_scalar(waits).bind(app.now()).fetch_one(&app.pool).await.unwrap();
    assert!(waits, "it would be looked at anyway");

    let id = app.open().start().await;
    app.settle().await;
    assert_eq!(app.inbox().await[0].settled(), ("applied", Some("applied")));
    let lane: String =
        sqlx::query_scalar("select lane from inbox where event_id = 'msg_1'").fetch_one(&app.pool).await.unwrap();
    assert_eq!(lane, "BE", "it no longer waited among those of nobody");
    let opening = app.opening(&id).await;
    assert_eq!((&opening["state"], &opening["iban"]), (&json!("completed"), &json!(IBAN)));
    assert_eq!(app.history(&id).await[3], "awaiting_provider -> issuing_card (provider_reported, webhook)");
    app.finish().await;
}

#[tokio::test]
async fn several_early_webhooks_are_applied_in_the_order_of_their_receipt() {
    let app = app_with_that_bank().await;
    let messages = [("IN_PROGRESS", None), ("COMPLETED", Some(IBAN)), ("REJECTED", None), ("COMPLETED", Some(IBAN))];
    for (status, account) in messages {
        app.webhook().body(message(TRACKING_ID, status, account)).acknowledged().await;
        app.state.ingest.forget_bursts();
        app.pass(TimeDelta::minutes(7));
        app.settle().await;
    }
    let id = app.open().start().await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    let outcomes: Vec<Option<String>> = app.inbox().await.into_iter().map(|it| it.outcome).collect();
    let expected = ["recorded", "applied", "conflict", "duplicate"];
    assert_eq!(outcomes, expected.map(|it| Some(it.to_owned())));
    assert_eq!(app.items("/v1/cases").await.len(), 1);
    app.finish().await;
}

/// The webhook names our id, and the bank knows of a submission that we have not made yet.
#[tokio::test]
async fn a_webhook_that_comes_before_the_profile_exists_waits_for_the_opening_to_get_there() {
    let app = app_with_that_bank().await;
    let plan = Plan { profile: vec![Fault::ErrorBefore { status: 500 }], ..Plan::by_hand() };
    let id = app.open().plan(plan).start().await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "creating_profile");
    app.webhook()
        .data(json!({"account_opening_request_id": TRACKING_ID, "reference": id, "status": "COMPLETED",
                     "iban": IBAN, "bic": "NEXUBEBB"}))
        .acknowledged()
        .await;
    app.settle().await;
    assert_eq!(app.inbox().await[0].settled(), ("pending", Some("parked")));
    assert_eq!(app.opening(&id).await["state"], "creating_profile");
    app.pass(TimeDelta::seconds(2));
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    assert_eq!(app.inbox().await[0].settled(), ("applied", Some("applied")));
    app.finish().await;
}
