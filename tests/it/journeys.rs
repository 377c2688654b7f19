//! Whole journeys over HTTP, from the request to the card, with what can go wrong on the way.

use chrono::TimeDelta;
use serde_json::json;
use world::{Endpoint, Fault, Plan, Verdict, Webhooks};

use crate::support::TestApp;

const IBAN: &str = "BE68539007547034";
const OTHER_IBAN: &str = "BE71096123456769";

#[tokio::test]
async fn a_clean_journey_ends_with_a_card() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().market("BE").waiting().await;
    app.world.decide(&tracking_id, &Verdict::complete()).unwrap().told().await;
    app.settle().await;
    let opening = app.opening(&id).await;
    assert_eq!((&opening["state"], &opening["status"]), (&"completed".into(), &"succeeded".into()), "{opening}");
    assert_eq!(opening["iban"].as_str(), app.world.opening(&id).unwrap().iban());
    assert_eq!(
        app.history(&id).await,
        [
            "start -> creating_profile (started, api)",
            "creating_profile -> requesting_account (profile_created, command)",
            "requesting_account -> awaiting_provider (submission_accepted, command)",
            "awaiting_provider -> issuing_card (provider_reported, webhook)",
            "issuing_card -> completed (card_issued, command)",
        ]
    );
    assert_eq!(app.world.opening(&id).unwrap().calls(Endpoint::Lookup), 0);
    app.what_is_foretold_happens(&id).await;
    app.finish().await;
}

#[tokio::test]
async fn a_rejection_ends_with_its_reason() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    app.world.decide(&tracking_id, &Verdict::reject("documents expired")).unwrap().told().await;
    app.settle().await;
    let opening = app.opening(&id).await;
    assert_eq!((&opening["status"], &opening["reason"]), (&"rejected".into(), &"documents expired".into()));
    assert_eq!((&opening["iban"], &opening["next_poll_at"]), (&json!(null), &json!(null)));
    assert_eq!(app.world.counts().cards, 0);
    app.what_is_foretold_happens(&id).await;
    app.finish().await;
}

#[tokio::test]
async fn a_submission_that_the_bank_refuses_for_good_is_rejected() {
    let app = TestApp::start().await;
    let plan = Plan { submit: vec![Fault::ErrorBefore { status: 422 }], ..Plan::by_hand() };
    let id = app.open().plan(plan).start().await;
    app.settle().await;
    let opening = app.opening(&id).await;
    assert_eq!(opening["state"], "rejected", "{opening}");
    assert_eq!(app.world.opening(&id).unwrap().calls(Endpoint::Submit), 1);
    app.what_is_foretold_happens(&id).await;
    app.finish().await;
}

/// P13: the webhook never comes; the poll finds the answer within one interval.
#[tokio::test]
async fn a_lost_webhook_is_found_by_the_poll() {
    let app = TestApp::start().await;
    let plan = Plan { webhooks: Webhooks { dropped: true, ..Webhooks::default() }, ..Plan::by_hand() };
    let (id, tracking_id) = app.open().plan(plan).waiting().await;
    app.world.decide(&tracking_id, &Verdict::complete()).unwrap();
    app.pass(TimeDelta::minutes(30));
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    assert!(app.history(&id).await.contains(&"awaiting_provider -> issuing_card (provider_polled, poll)".to_owned()));
    app.what_is_foretold_happens(&id).await;
    app.finish().await;
}

#[tokio::test]
async fn a_webhook_that_comes_before_the_submission_is_answered_counts() {
    let app = TestApp::start().await;
    let plan = Plan { webhooks: Webhooks { early: true, ..Webhooks::default() }, ..Plan::default() };
    let id = app.open().plan(plan).start().await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    // Whichever of the two facts was read first: the wait was begun and ended.
    let history = app.history(&id).await;
    assert_eq!(history.len(), 5, "{history:?}");
    app.what_is_foretold_happens(&id).await;
    app.finish().await;
}

/// The webhook is the only answer: the bank took the submission and its answer is lost.
#[tokio::test]
async fn a_correlated_status_proves_that_an_unanswered_submission_was_taken() {
    let app = TestApp::with().settings(|it| it.provider_timeout = "300ms".to_owned()).start().await;
    let plan = Plan { submit: vec![Fault::HangAfter], ..Plan::by_hand() };
    let id = app.open().plan(plan).start().await;
    app.settle().await;
    let opening = app.opening(&id).await;
    assert_eq!(opening["state"], "requesting_account");
    assert_eq!(opening["outcome_unknown_since"], json!(app.now()), "people see that the outcome is unknown");
    let tracking_id = app.world.opening(&id).unwrap().tracking_id().unwrap().to_owned();
    app.webhook()
        .data(json!({"account_opening_request_id": tracking_id, "reference": id, "status": "IN_PROGRESS"}))
        .acknowledged()
        .await;
    app.settle().await;
    let opening = app.opening(&id).await;
    assert_eq!(opening["state"], "awaiting_provider");
    assert_eq!(opening["outcome_unknown_since"], json!(null));
    // The repeat of the submission was cancelled with the state that it served.
    app.pass(TimeDelta::minutes(1));
    app.settle().await;
    assert_eq!(app.world.opening(&id).unwrap().calls(Endpoint::Submit), 1);
    app.what_is_foretold_happens(&id).await;
    app.finish().await;
}

/// P9: after a lost answer the service looks the submission up before repeating it.
#[tokio::test]
async fn an_unanswered_submission_is_recovered_and_not_made_twice() {
    for fault in [Fault::ErrorAfter { status: 500 }, Fault::HangAfter, Fault::Garbage] {
        let app = TestApp::with().settings(|it| it.provider_timeout = "300ms".to_owned()).start().await;
        let id = app.open().plan(Plan { submit: vec![fault], ..Plan::by_hand() }).start().await;
        app.settle().await;
        app.pass(TimeDelta::seconds(2));
        app.settle().await;
        assert_eq!(app.opening(&id).await["state"], "awaiting_provider", "{fault:?}");
        let record = app.world.opening(&id).unwrap();
        assert_eq!((record.calls(Endpoint::Submit), record.calls(Endpoint::Lookup)), (1, 1), "{fault:?}");
        app.finish().await;
    }
}

#[tokio::test]
async fn escalated_then_completed_by_a_late_answer() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    app.pass_settling(TimeDelta::hours(12), TimeDelta::minutes(30)).await;
    let opening = app.opening(&id).await;
    assert_eq!((&opening["state"], &opening["status"]), (&"escalated".into(), &"in_progress".into()));
    assert_eq!(opening["next_poll_at"], json!(null), "polling has stopped");
    app.pass(TimeDelta::hours(3));
    app.world.decide(&tracking_id, &Verdict::complete()).unwrap().told().await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    let tickets = app.items("/v1/tickets").await;
    assert_eq!(tickets.len(), 1);
    assert_eq!(
        (&tickets[0]["kind"], &tickets[0]["status"]),
        (&"AccountOpeningWebhookNotReceived".into(), &"closed".into())
    );
    assert_eq!(tickets[0]["link"], format!("https://ops.example/openings/{id}"));
    app.what_is_foretold_happens(&id).await;
    app.finish().await;
}

/// P6, P8: the first terminal answer stays; the other one is a case, once, however often it comes.
#[tokio::test]
async fn a_contradiction_leaves_the_state_alone_and_opens_one_case() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    app.settle().await;
    for _ in 0..3 {
        app.webhook().status(&tracking_id, "REJECTED").acknowledged().await;
        app.state.ingest.forget_bursts();
        app.settle().await;
    }
    let opening = app.opening(&id).await;
    assert_eq!((&opening["state"], &opening["iban"]), (&"completed".into(), &IBAN.into()));
    let cases = app.items("/v1/cases").await;
    assert_eq!(cases.len(), 1, "{cases:?}");
    assert_eq!(cases[0]["opening_id"], id.as_str());
    assert_eq!((&cases[0]["ours"]["iban"], &cases[0]["theirs"]["status"]), (&IBAN.into(), &"REJECTED".into()));
    let types: Vec<String> = event_types(&app).await;
    assert_eq!(types.iter().filter(|it| *it == "account_opening.contradiction").count(), 1, "{types:?}");
    app.what_is_foretold_happens(&id).await;
    app.finish().await;
}

async fn event_types(app: &TestApp) -> Vec<String> {
    // Events of a transaction show once every older one has ended, those of other tests of this run included.
    let events = app.eventually_all_events().await;
    events.iter().map(|it| it["type"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_iban_with_a_wrong_checksum_is_never_saved_and_opens_one_case() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    for _ in 0..2 {
        app.webhook().completed(&tracking_id, "BE68539007547035").acknowledged().await;
        app.state.ingest.forget_bursts();
        app.settle().await;
    }
    assert_eq!(app.opening(&id).await["iban"], json!(null));
    let cases = app.items("/v1/cases").await;
    assert_eq!(cases.len(), 1);
    assert_eq!((&cases[0]["kind"], &cases[0]["theirs"]["iban"]), (&"invalid_iban".into(), &"BE68539007547035".into()));
    // The right one still counts.
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    app.what_is_foretold_happens(&id).await;
    app.finish().await;
}

#[tokio::test]
async fn an_iban_or_tracking_id_that_another_opening_holds_is_a_case_and_not_an_error() {
    let app = TestApp::start().await;
    let (first, first_tracking) = app.open().waiting().await;
    let (second, second_tracking) = app.open().waiting().await;
    app.webhook().completed(&first_tracking, IBAN).acknowledged().await;
    app.settle().await;
    app.webhook().completed(&second_tracking, IBAN).acknowledged().await;
    app.settle().await;
    assert_eq!(app.opening(&first).await["state"], "completed");
    assert_eq!(app.opening(&second).await["state"], "awaiting_provider");
    // Both at once, in one batch: the same.
    let (third, third_tracking) = app.open().waiting().await;
    app.webhook().completed(&third_tracking, OTHER_IBAN).acknowledged().await;
    app.webhook().completed(&second_tracking, OTHER_IBAN).acknowledged().await;
    app.settle().await;
    assert_eq!(app.opening(&third).await["state"], "completed");
    let kinds: Vec<_> =
        app.items("/v1/cases").await.iter().map(|it| (it["kind"].clone(), it["opening_id"].clone())).collect();
    assert_eq!(kinds, vec![(json!("iban_held_elsewhere"), json!(second)); 2]);
    // Tracking id of one, our reference of another.
    app.webhook()
        .data(json!({"account_opening_request_id": second_tracking, "reference": third, "status": "REJECTED"}))
        .acknowledged()
        .await;
    app.settle().await;
    assert_eq!(app.opening(&second).await["state"], "awaiting_provider");
    assert_eq!(app.items("/v1/cases").await[0]["kind"], "correlation_mismatch");
    app.finish().await;
}

#[tokio::test]
async fn a_thin_completion_is_looked_up_at_once() {
    let app = TestApp::start().await;
    let plan = Plan { webhooks: Webhooks { thin: true, ..Webhooks::default() }, ..Plan::by_hand() };
    let (id, tracking_id) = app.open().plan(plan).waiting().await;
    app.world.decide(&tracking_id, &Verdict::complete()).unwrap().told().await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    assert_eq!(app.world.opening(&id).unwrap().calls(Endpoint::Lookup), 1);
    app.what_is_foretold_happens(&id).await;
    app.finish().await;
}

/// Rule 6: a fact about something that we do not know yet waits for it.
#[tokio::test]
async fn a_webhook_for_an_unknown_tracking_id_waits_and_then_becomes_a_dead_letter() {
    let app = TestApp::start().await;
    app.webhook().status("aor_unknown", "COMPLETED").acknowledged().await;
    app.settle().await;
    assert!(app.items("/v1/dead-letters").await.is_empty());
    app.pass_settling(TimeDelta::hours(24), TimeDelta::minutes(30)).await;
    let letters = app.items("/v1/dead-letters?queue=inbox").await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["cause"], "no_matching_opening");
    app.finish().await;
}

#[tokio::test]
async fn the_sandbox_takes_the_same_way_and_does_not_exist_in_production() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().market("NL").waiting().await;
    let path = "/company/account-opening/set-status-sandbox";
    let body = json!({"account_opening_request_id": tracking_id, "status": "COMPLETED"});
    for _ in 0..2 {
        let (status, answer) = app.post(path, &body).await;
        assert_eq!(status, 202, "{answer}");
        assert!(answer["message_id"].is_string());
    }
    app.settle().await;
    let opening = app.opening(&id).await;
    assert_eq!(opening["state"], "completed", "{opening}");
    assert!(opening["iban"].as_str().unwrap().starts_with("NL"));
    assert!(app.history(&id).await[3].ends_with("(provider_reported, sandbox)"));
    let facts = app.items(&format!("/v1/account-openings/{id}/timeline")).await;
    assert_eq!(facts.iter().filter(|it| it["kind"] == "sandbox").count(), 1, "the second was a burst duplicate");
    app.finish().await;

    let app = TestApp::with()
        .settings(|it| {
            it.environment = "production".to_owned();
            it.history_key = Some("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=".to_owned());
            it.nexusbank.api_key = "a-key-of-our-own-1".to_owned();
            it.nexusbank.webhook_secrets = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned();
        })
        .start()
        .await;
    let (status, answer) = app.post(path, &body).await;
    assert_eq!((status, &answer["type"]), (404, &"not-found".into()));
    let (unknown, other) = app.post("/no/such/path", &body).await;
    assert_eq!((unknown, &other["type"]), (404, &answer["type"]));
    app.finish().await;
}
