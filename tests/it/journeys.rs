//! Whole journeys over HTTP, from the request to the card, with what can go wrong on the way. Those that any bank's customers can
//! make are told for each bank, by its description in `conformance/banks.rs`; the kit there has the shorter ones.

use account_opening::domain::Verdict as Word;
use chrono::TimeDelta;
use serde_json::{Value, json};
use world::{Endpoint, Fault, Plan, Verdict, Webhooks};

use crate::conformance::banks::Described;
use crate::support::TestApp;

mod told {
    use crate::journeys as cases;

    crate::conformance::conforms!(
        [nexusbank, solaris, airwallex, adyen],
        [
            an_event_that_comes_before_the_submission_is_answered_counts,
            a_correlated_status_proves_that_an_unanswered_submission_was_taken,
            escalated_then_completed_by_a_late_answer,
            a_contradiction_leaves_the_state_alone_and_opens_one_case,
            an_iban_with_a_wrong_checksum_is_never_saved_and_opens_one_case,
            an_iban_or_tracking_id_that_another_opening_holds_is_a_case_and_not_an_error,
            an_event_about_an_unknown_request_waits_and_then_becomes_a_dead_letter,
        ]
    );
}

/// The bank decides; the workers take in its event, and the look-up that a thin one makes due.
async fn decide(app: &TestApp, openings: &[(&str, Verdict)]) {
    for (id, verdict) in openings {
        app.world.decide(id, verdict).unwrap().told().await;
    }
    app.settle().await;
    app.pass(TimeDelta::seconds(1));
    app.settle().await;
}

fn account(iban: &str) -> Verdict {
    Verdict::Complete { iban: Some(iban.to_owned()), bic: None }
}

async fn state(app: &TestApp, id: &str) -> Value {
    app.opening(id).await["state"].clone()
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
    app.the_next_foretold_event_happens(&id).await;
    app.finish().await;
}

async fn an_event_that_comes_before_the_submission_is_answered_counts(it: &Described) {
    let app = it.app().start().await;
    let plan = Plan { webhooks: Webhooks { early: true, ..Webhooks::default() }, ..Plan::default() };
    let id = app.open().market(it.market).plan(plan).start().await;
    app.settle().await;
    crate::support::eventually("the bank has sent its news", async || {
        (app.world.counts().webhooks_sent >= 1).then_some(())
    })
    .await;
    app.settle().await;
    assert_eq!(state(&app, &id).await, "completed");
    // Whichever of the two facts was read first: the wait was begun and ended.
    let history = app.history(&id).await;
    assert_eq!(history.len(), 5, "{history:?}");
    app.the_next_foretold_event_happens(&id).await;
    app.finish().await;
}

/// The event is the only answer: the bank took the submission and its answer is lost. An event that does not name the opening proves
/// nothing: it waits until the request is found in the bank's list, and then counts.
async fn a_correlated_status_proves_that_an_unanswered_submission_was_taken(it: &Described) {
    let app = it.app().settings(|it| it.provider_timeout = "300ms".to_owned()).start().await;
    let plan = Plan { submit: vec![Fault::HangAfter], ..Plan::by_hand() };
    let id = app.open().market(it.market).plan(plan).start().await;
    app.settle().await;
    let opening = app.opening(&id).await;
    assert_eq!(opening["state"], "requesting_account");
    assert_eq!(opening["outcome_unknown_since"], json!(app.now()), "people see that the outcome is unknown");
    let tracking_id = app.world.opening(&id).unwrap().tracking_id().unwrap().to_owned();
    it.says(&app, &it.report(&tracking_id, &id, Word::Pending)).await;
    app.settle().await;
    let proven = if it.names_the_opening { "awaiting_provider" } else { "requesting_account" };
    assert_eq!(state(&app, &id).await, proven);
    // The repeat of the submission was cancelled with the state that it served.
    app.pass_settling(TimeDelta::minutes(1), TimeDelta::seconds(10)).await;
    let opening = app.opening(&id).await;
    assert_eq!(opening["state"], "awaiting_provider");
    assert_eq!(opening["outcome_unknown_since"], json!(null));
    assert_eq!(app.world.opening(&id).unwrap().calls(Endpoint::Submit), 1);
    app.the_next_foretold_event_happens(&id).await;
    app.finish().await;
}

async fn escalated_then_completed_by_a_late_answer(it: &Described) {
    let app = it.app().start().await;
    let (id, _) = app.open().market(it.market).waiting().await;
    app.pass_settling(TimeDelta::hours(12), TimeDelta::hours(3)).await;
    let opening = app.opening(&id).await;
    assert_eq!((&opening["state"], &opening["status"]), (&"escalated".into(), &"in_progress".into()));
    assert_eq!(opening["next_poll_at"], json!(null), "polling has stopped");
    app.pass(TimeDelta::hours(3));
    decide(&app, &[(&id, Verdict::complete())]).await;
    assert_eq!(state(&app, &id).await, "completed");
    let tickets = app.items("/v1/tickets").await;
    assert_eq!(tickets.len(), 1);
    assert_eq!(
        (&tickets[0]["kind"], &tickets[0]["status"]),
        (&"AccountOpeningWebhookNotReceived".into(), &"closed".into())
    );
    assert_eq!(tickets[0]["link"], format!("https://ops.example/openings/{id}"));
    app.the_next_foretold_event_happens(&id).await;
    app.finish().await;
}

/// P6, P8: the first terminal answer stays; the other one is a case, once, however often it comes.
async fn a_contradiction_leaves_the_state_alone_and_opens_one_case(it: &Described) {
    let app = it.app().start().await;
    let (id, tracking_id) = app.open().market(it.market).waiting().await;
    decide(&app, &[(&id, Verdict::complete())]).await;
    for _ in 0..3 {
        it.says(&app, &it.report(&tracking_id, &id, Word::Rejected)).await;
        app.state.ingest.forget_bursts();
        app.settle().await;
    }
    let opening = app.opening(&id).await;
    let iban = app.world.opening(&id).unwrap().iban().unwrap().to_owned();
    assert_eq!((&opening["state"], &opening["iban"]), (&"completed".into(), &json!(iban)));
    let cases = app.items("/v1/cases").await;
    assert_eq!(cases.len(), 1, "{cases:?}");
    assert_eq!(cases[0]["opening_id"], id.as_str());
    assert_eq!((&cases[0]["ours"]["iban"], &cases[0]["theirs"]["status"]), (&json!(iban), &it.words[2].into()));
    let types: Vec<String> = event_types(&app).await;
    assert_eq!(types.iter().filter(|it| *it == "account_opening.contradiction").count(), 1, "{types:?}");
    app.the_next_foretold_event_happens(&id).await;
    app.finish().await;
}

async fn event_types(app: &TestApp) -> Vec<String> {
    // Events of a transaction show once every older one has ended, those of other tests of this run included.
    let events = app.eventually_all_events().await;
    events.iter().map(|it| it["type"].as_str().unwrap().to_owned()).collect()
}

/// Also from the look-up, where events are thin.
async fn an_iban_with_a_wrong_checksum_is_never_saved_and_opens_one_case(it: &Described) {
    let app = it.app().start().await;
    let (id, tracking_id) = app.open().market(it.market).waiting().await;
    decide(&app, &[(&id, account("BE68539007547035"))]).await;
    app.pass(TimeDelta::minutes(30));
    app.settle().await;
    assert_eq!(app.opening(&id).await["iban"], json!(null));
    let cases = app.items("/v1/cases").await;
    assert_eq!(cases.len(), 1, "{cases:?}");
    assert_eq!((&cases[0]["kind"], &cases[0]["theirs"]["iban"]), (&"invalid_iban".into(), &"BE68539007547035".into()));
    // The right one still counts.
    let body = json!({"account_opening_request_id": tracking_id, "status": "COMPLETED"});
    assert_eq!(app.post(SANDBOX, &body).await.0, 202);
    app.settle().await;
    assert_eq!(state(&app, &id).await, "completed");
    app.the_next_foretold_event_happens(&id).await;
    app.finish().await;
}

async fn an_iban_or_tracking_id_that_another_opening_holds_is_a_case_and_not_an_error(it: &Described) {
    let app = it.app().start().await;
    let mut openings = Vec::new();
    for _ in 0..4 {
        openings.push(app.open().market(it.market).waiting().await);
    }
    let ids: Vec<&str> = openings.iter().map(|(id, _)| id.as_str()).collect();
    decide(&app, &[(ids[0], Verdict::complete())]).await;
    let held = app.world.opening(ids[0]).unwrap().iban().unwrap().to_owned();
    decide(&app, &[(ids[1], account(&held))]).await;
    assert_eq!([state(&app, ids[0]).await, state(&app, ids[1]).await], ["completed", "awaiting_provider"]);
    // Both at once, in one batch: the same.
    app.world.decide(ids[2], &Verdict::complete()).unwrap().told().await;
    let held = app.world.opening(ids[2]).unwrap().iban().unwrap().to_owned();
    decide(&app, &[(ids[3], account(&held))]).await;
    let mut states = [state(&app, ids[2]).await, state(&app, ids[3]).await];
    states.sort_by_key(ToString::to_string);
    assert_eq!(states, ["awaiting_provider", "completed"]);
    let cases = app.items("/v1/cases").await;
    let kinds: Vec<_> = cases.iter().map(|it| it["kind"].clone()).collect();
    assert_eq!(kinds, vec![json!("iban_held_elsewhere"); 2], "{cases:?}");
    // Tracking id of one, our reference of another; where an event has none, there is nothing to disagree about.
    if it.names_the_opening {
        it.says(&app, &it.report(&openings[1].1, ids[2], Word::Rejected)).await;
        app.settle().await;
        assert_eq!(state(&app, ids[1]).await, "awaiting_provider");
        assert_eq!(app.items("/v1/cases").await[0]["kind"], "correlation_mismatch");
    }
    app.finish().await;
}

/// Rule 6: a fact about something that we do not know yet waits for it.
async fn an_event_about_an_unknown_request_waits_and_then_becomes_a_dead_letter(it: &Described) {
    let app = it.app().start().await;
    it.says(&app, &it.report("aor_unknown", "01990000-0000-7000-8000-000000000001", Word::Completed)).await;
    app.settle().await;
    assert!(app.items("/v1/dead-letters").await.is_empty());
    app.pass_settling(TimeDelta::hours(24), TimeDelta::hours(3)).await;
    let letters = app.items("/v1/dead-letters?queue=inbox").await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["cause"], "no_matching_opening");
    app.finish().await;
}

const SANDBOX: &str = "/company/account-opening/set-status-sandbox";

#[tokio::test]
async fn the_sandbox_takes_the_same_way_and_does_not_exist_in_production() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().market("NL").waiting().await;
    let body = json!({"account_opening_request_id": tracking_id, "status": "COMPLETED"});
    for _ in 0..2 {
        let (status, answer) = app.post(SANDBOX, &body).await;
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
    app.the_next_foretold_event_happens(&id).await;
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
    let (status, answer) = app.post(SANDBOX, &body).await;
    assert_eq!((status, &answer["type"]), (404, &"not-found".into()));
    let (unknown, other) = app.post("/no/such/path", &body).await;
    assert_eq!((unknown, &other["type"]), (404, &answer["type"]));
    app.finish().await;
}
