//! What is particular to banks: the handshake, the list of a bank without idempotency, refusals that are our mistake.

use chrono::TimeDelta;
use serde_json::{Value, json};
use world::{Bank, Endpoint, Fault, Plan, Verdict, WEBHOOK_SECRET};

use super::banks::{adyen, airwallex, solaris};
use super::cases::decide;
use crate::support::TestApp;

async fn inbox_rows(app: &TestApp) -> i64 {
    sqlx::query_scalar("select count(*) from inbox where source = 'webhook'").fetch_one(&app.pool).await.unwrap()
}

async fn post(app: &TestApp, headers: &[(&str, &str)], body: &str) -> u16 {
    let url = format!("{}/webhooks/solaris", app.public);
    let request = headers.iter().fold(app.client.post(url), |it, (name, value)| it.header(*name, *value));
    request.body(body.to_owned()).send().await.unwrap().status().as_u16()
}

const HANDSHAKE: (&str, &str) = ("Solaris-Webhook-Event-Type", "WEBHOOK-SUBSCRIPTION");

#[tokio::test]
async fn a_handshake_is_acknowledged_before_a_secret_exists_and_stores_nothing() {
    for secrets in ["", WEBHOOK_SECRET] {
        let builder = solaris().app().settings(|it| it.solaris.webhook_secrets = Some(secrets.to_owned()));
        let app = builder.start().await;
        for content_type in [None, Some("application/json"), Some("text/plain"), Some("application/octet-stream")] {
            let kind = content_type.map(|it| ("content-type", it));
            let headers: Vec<_> = [HANDSHAKE].into_iter().chain(kind).collect();
            assert_eq!(post(&app, &headers, "").await, 200, "{content_type:?}");
        }
        assert_eq!(inbox_rows(&app).await, 0);
        let secrets = app.items("/v1/webhook-secrets").await;
        assert!(
            secrets.iter().filter(|it| it["provider"] == "solaris").all(|it| it["last_used_at"].is_null()),
            "{secrets:?}"
        );
        assert_eq!(post(&app, &[HANDSHAKE], "{}").await, 401, "a body must be signed");
        assert_eq!(post(&app, &[], "").await, 401, "an empty body alone is no handshake");
        app.finish().await;
    }
}

/// P3: the id in the header is not signed, so a replay may bring another.
#[tokio::test]
async fn a_replay_under_another_id_is_a_duplicate() {
    let app = solaris().app().start().await;
    let (id, tracking_id) = app.open().market("DE").waiting().await;
    let body = json!({"account_opening_request_id": tracking_id, "status": "IN_PROGRESS", "error": null}).to_string();
    for event in ["evt_1", "evt_2", "evt_3"] {
        let webhook = world::RawWebhook {
            bank: Bank::Solaris,
            body: body.clone(),
            id: Some(event.to_owned()),
            ..world::RawWebhook::default()
        };
        assert_eq!(app.world.send_webhook(&webhook).await.unwrap().status, 200);
        app.state.ingest.forget_bursts();
    }
    assert_eq!(inbox_rows(&app).await, 1);
    app.settle().await;
    decide(&app, &id, &Verdict::complete()).await;
    app.finish().await;
}

/// P9, P36: nothing is found, so a person decides; a machine never asks for a second account.
#[tokio::test]
async fn a_submission_that_is_not_in_the_list_becomes_a_dead_letter_and_is_never_repeated() {
    let app = solaris().app().settings(|it| it.provider_timeout = "300ms".to_owned()).start().await;
    let plan = Plan { submit: vec![Fault::HangBefore], ..Plan::by_hand() };
    let id = app.open().market("DE").plan(plan).start().await;
    app.settle().await;
    app.pass_settling(TimeDelta::hours(3), TimeDelta::minutes(5)).await;
    let opening = app.opening(&id).await;
    assert_eq!(opening["state"], "requesting_account", "{opening}");
    assert!(opening["outcome_unknown_since"].is_string());
    assert_eq!(app.world.opening(&id).unwrap().calls(Endpoint::Submit), 1);
    assert_eq!(app.items("/v1/dead-letters?queue=outbox").await.len(), 1);
    assert_eq!(app.items("/v1/tickets?status=open").await.len(), 1);
    app.finish().await;
}

/// P36: our mistake is a dead letter and a ticket: no rejection, and no unknown outcome.
#[tokio::test]
async fn a_refused_request_of_ours_is_a_dead_letter_and_no_rejection() {
    for it in [solaris(), airwallex(), adyen()] {
        for status in [400, 422] {
            let app = it.app().start().await;
            let plan = Plan { submit: vec![Fault::ErrorBefore { status }; 20], ..Plan::by_hand() };
            let id = app.open().market(it.market).plan(plan).start().await;
            app.settle().await;
            app.pass_settling(TimeDelta::hours(3), TimeDelta::minutes(5)).await;
            let opening = app.opening(&id).await;
            assert_eq!(opening["state"], "requesting_account", "{} {status}: {opening}", it.name());
            assert_eq!(opening["outcome_unknown_since"], Value::Null, "{} {status}", it.name());
            let letters = app.items("/v1/dead-letters?queue=outbox").await;
            assert_eq!((letters.len(), &letters[0]["cause"]), (1, &"unusable".into()), "{letters:?}");
            assert_eq!(app.items("/v1/tickets?status=open").await.len(), 1);
            app.finish().await;
        }
    }
}
