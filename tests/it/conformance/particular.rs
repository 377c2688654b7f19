//! Particulars of single banks: the handshake, the list of a bank without idempotency, refusals that are our mistake.

use account_opening::domain::{OpeningId, ProfileId, Report, Topic, Verdict as Word};
use account_opening::driver::tick;
use account_opening::inbox::InboxWorker;
use account_opening::outbox::Relay;
use chrono::TimeDelta;
use serde_json::{Value, json};
use world::{Bank, Endpoint, Fault, Plan, Verdict, WEBHOOK_SECRET, Webhooks};

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

/// P9, P36: the bank knows the submission already, as after commits that were lost, and refuses it: Airwallex with 400
/// `duplicate_request`, Adyen with 422, since a balance account has one number. The account is found in the same call.
#[tokio::test]
async fn a_submission_that_the_bank_knows_already_is_found_and_is_no_rejection() {
    for it in [airwallex(), adyen()] {
        let app = it.app().start().await;
        // From now on the database's start is known, and a first claim looks for nothing.
        app.settle().await;
        let id = app.open().market(it.market).start().await;
        tick(&Relay::of(app.context.clone(), Topic::CreateProfile)).await.unwrap();
        tick(&InboxWorker::new(app.context.clone())).await.unwrap();
        let mut submission = app.submission();
        submission.opening_id = OpeningId(id.parse().unwrap());
        submission.request.market = it.market.to_owned();
        submission.profile = ProfileId::new(app.world.opening(&id).unwrap().profiles[0].clone()).unwrap();
        let bank = app.context.outside.providers.get(it.name()).unwrap();
        let first = bank.submit(&submission).await.unwrap();
        app.settle().await;
        let opening = app.opening(&id).await;
        assert_eq!(
            (&opening["state"], &opening["outcome_unknown_since"]),
            (&"awaiting_provider".into(), &Value::Null),
            "{opening}"
        );
        assert_eq!(opening["provider_reference"], first.reference.unwrap().as_str());
        let attempts = "select claims from outbox where topic = 'submit_request'";
        let attempts: i32 = sqlx::query_scalar(attempts).fetch_one(&app.pool).await.unwrap();
        let made = app.world.opening(&id).unwrap();
        assert_eq!((attempts, made.calls(Endpoint::Submit), made.requests.len()), (1, 2, 1), "{}", it.name());
        decide(&app, &id, &Verdict::complete()).await;
        assert_eq!(app.opening(&id).await["state"], "completed");
        app.finish().await;
    }
}

/// Airwallex may answer with the account, Adyen always does: it is completed without an event, and the event that comes then is a
/// duplicate that issues no second card.
#[tokio::test]
async fn an_account_in_the_answer_completes_without_an_event_and_the_event_changes_nothing() {
    for it in [airwallex(), adyen()] {
        let app = it.app().start().await;
        let webhooks = Webhooks { early: true, dropped: true, ..Webhooks::default() };
        let id = app.open().market(it.market).plan(Plan { webhooks, ..Plan::default() }).start().await;
        app.settle().await;
        let history = app.history(&id).await;
        assert!(history.iter().any(|it| it.ends_with("issuing_card (submission_accepted, command)")), "{history:?}");
        assert_eq!(app.opening(&id).await["state"], "completed");
        let opening = app.opening(&id).await;
        let [tracking_id, iban, bic] =
            ["provider_reference", "iban", "bic"].map(|name| opening[name].as_str().unwrap().to_owned());
        let report = it.report(&tracking_id, &id, Word::Completed);
        it.says(&app, &Report { iban: Some(iban), bic: Some(bic), ..report }).await;
        app.settle().await;
        let made = app.world.opening(&id).unwrap();
        assert_eq!((made.cards.len(), made.calls(Endpoint::Lookup)), (1, 0), "{}", it.name());
        let outcome = "select outcome from inbox where source = 'webhook'";
        let outcome: String = sqlx::query_scalar(outcome).fetch_one(&app.pool).await.unwrap();
        assert_eq!(outcome, "duplicate", "{}", it.name());
        app.finish().await;
    }
}

/// P14: a market without IBANs is refused at the start; an account that has none all the same is shown to a person, and asked for no
/// more often than its back-off allows.
#[tokio::test]
async fn an_account_without_an_iban_escalates_at_its_deadline_and_is_asked_for_without_a_loop() {
    let app = airwallex().app().settings(|it| it.escalate_after = "2h".to_owned()).start().await;
    let (id, _) = app.open().market("GB").plan(Plan::by_hand()).waiting().await;
    decide(&app, &id, &Verdict::Complete { iban: Some(String::new()), bic: None }).await;
    app.pass_settling(TimeDelta::hours(2), TimeDelta::minutes(5)).await;
    let opening = app.opening(&id).await;
    assert_eq!((&opening["state"], &opening["provider_status"]), (&"escalated".into(), &"ACTIVE".into()), "{opening}");
    assert_eq!(app.items("/v1/tickets?status=open").await.len(), 1);
    let asked = app.world.opening(&id).unwrap().calls(Endpoint::Lookup);
    assert!((8..30).contains(&asked), "{asked} look-ups within two hours");
    app.pass_settling(TimeDelta::hours(2), TimeDelta::minutes(5)).await;
    let asked = app.world.opening(&id).unwrap().calls(Endpoint::Lookup) - asked;
    assert_eq!(asked, 8, "four an hour");
    app.finish().await;
}

/// The status alone decides: the documented sample of a completion has a reason of rejection.
#[tokio::test]
async fn a_completion_that_carries_a_reason_of_rejection_is_a_completion() {
    let app = solaris().app().start().await;
    let (id, tracking_id) = app.open().market("DE").waiting().await;
    let error = json!({"code": "green_person_vetting", "detail": "for people"});
    let body = json!({"account_opening_request_id": tracking_id, "status": "COMPLETED", "error": error});
    let webhook = world::RawWebhook { bank: Bank::Solaris, body: body.to_string(), ..world::RawWebhook::default() };
    assert_eq!(app.world.send_webhook(&webhook).await.unwrap().status, 200);
    // The event outran the bank's own status, which is asked again.
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "awaiting_provider");
    decide(&app, &id, &Verdict::complete()).await;
    app.pass_settling(TimeDelta::seconds(5), TimeDelta::seconds(1)).await;
    assert_eq!(app.opening(&id).await["state"], "completed");
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
