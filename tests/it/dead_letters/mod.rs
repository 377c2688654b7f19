//! Dead letters: what becomes one, what never does, and what people do with them.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use world::{Endpoint, Fault, Plan};

use crate::support::{Subscriber, TestApp, keys, problem};

mod outages;
mod poison;

const IBAN: &str = "BE68539007547034";

/// Acts on a dead letter as an operator.
async fn act(app: &TestApp, letter: &str, act: &str, reason: &str) -> reqwest::Response {
    let path = format!("/v1/dead-letters/{letter}/{act}");
    app.request_as("operator-token", Method::POST, &path).json(&json!({"reason": reason})).send().await.unwrap()
}

async fn accepted(app: &TestApp, letter: &str, what: &str, reason: &str) {
    let response = act(app, letter, what, reason).await;
    let (status, body) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, 202, "{what}: {body}");
}

/// The only dead letter; its id, and what is known about it.
async fn only_letter(app: &TestApp) -> (String, Value) {
    let letters = app.items("/v1/dead-letters").await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    let id = letters[0]["id"].as_str().unwrap().to_owned();
    let whole = app.get(&format!("/v1/dead-letters/{id}")).await;
    (id, whole)
}

fn classes(letter: &Value) -> Vec<&str> {
    letter["attempts"].as_array().unwrap().iter().map(|it| it["class"].as_str().unwrap()).collect()
}

/// An opening with a profile that was refused for good.
async fn refused(app: &TestApp) -> String {
    let plan = Plan { profile: vec![Fault::ErrorBefore { status: 422 }], ..Plan::by_hand() };
    let id = app.open().plan(plan).start().await;
    app.settle().await;
    id
}

#[tokio::test]
async fn a_refused_profile_is_a_ticket_and_redriven_by_a_person_with_a_reason() {
    let app = TestApp::start().await;
    let id = refused(&app).await;
    assert_eq!(app.opening(&id).await["state"], "creating_profile");
    assert_eq!(app.world.opening(&id).unwrap().calls(Endpoint::CreateProfile), 1, "a final no is not asked twice");
    let tickets = app.items("/v1/tickets").await;
    assert_eq!((&tickets[0]["kind"], &tickets[0]["status"]), (&json!("AccountOpeningStepFailed"), &json!("open")));
    assert_eq!((tickets.len(), &tickets[0]["opening_id"]), (1, &json!(id)));

    let listed = &app.items("/v1/dead-letters?queue=outbox").await[0];
    assert_eq!(keys(listed), BTreeSet::from(["id", "queue", "kind", "cause", "attempts", "opening_id", "at"]));
    assert_eq!((&listed["cause"], &listed["attempts"]), (&json!("rejected"), &json!(1)));
    let (letter, whole) = only_letter(&app).await;
    assert_eq!((&whole["attempts_count"], &whole["status"]), (&json!(1), &json!("dead")));
    let attempt = &whole["attempts"][0];
    assert_eq!((&attempt["class"], &attempt["at"]), (&json!("rejected"), &json!(app.now())));
    assert!(attempt["cause"].as_str().unwrap().contains("simulated_fault"), "{attempt}");
    assert!(!whole["payload"].is_null() && whole["payload_base64"].is_string());
    assert!(app.items("/v1/dead-letters?queue=inbox").await.is_empty());

    app.pass(TimeDelta::hours(1));
    accepted(&app, &letter, "redrive", "the profile service was repaired").await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "awaiting_provider");
    assert_eq!(app.items("/v1/tickets").await[0]["status"], "closed");
    assert!(app.items("/v1/dead-letters").await.is_empty());
    let whole = app.get(&format!("/v1/dead-letters/{letter}")).await;
    assert_eq!((classes(&whole), &whole["status"]), (vec!["rejected", "redrive", "delivered"], &json!("delivered")));
    let redrive = &whole["attempts"][1];
    assert_eq!((&redrive["by"], &redrive["at"]), (&json!("operator"), &json!(app.now())));
    assert_eq!(redrive["cause"], "the profile service was repaired");
    let tracking_id = app.opening(&id).await["provider_reference"].as_str().unwrap().to_owned();
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    app.finish().await;
}

/// P15
#[tokio::test]
async fn redriving_twice_is_redriving_once() {
    let app = TestApp::start().await;
    let id = refused(&app).await;
    let (letter, _) = only_letter(&app).await;
    accepted(&app, &letter, "redrive", "first").await;
    let once = app.get(&format!("/v1/dead-letters/{letter}")).await;
    app.pass(TimeDelta::seconds(5));
    accepted(&app, &letter, "redrive", "second").await;
    assert_eq!(app.get(&format!("/v1/dead-letters/{letter}")).await, once, "the second changed nothing");
    problem(act(&app, &letter, "discard", "too late").await, 409, "wrong-state").await;
    app.settle().await;
    assert_eq!(app.world.opening(&id).unwrap().calls(Endpoint::CreateProfile), 2);
    app.finish().await;
}

/// P15: of the same act, eight times at the same moment, one is recorded; all are answered 202.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_redrives_at_once_are_one() {
    let app = TestApp::start().await;
    let id = refused(&app).await;
    let (letter, _) = only_letter(&app).await;
    let answers = futures::future::join_all((0..8).map(|_| act(&app, &letter, "redrive", "repaired"))).await;
    let statuses: Vec<u16> = answers.iter().map(|it| it.status().as_u16()).collect();
    assert_eq!(statuses, [202; 8]);
    let whole = app.get(&format!("/v1/dead-letters/{letter}")).await;
    assert_eq!(classes(&whole), ["rejected", "redrive"]);
    app.settle().await;
    assert_eq!(app.world.opening(&id).unwrap().calls(Endpoint::CreateProfile), 2);
    app.finish().await;
}

#[tokio::test]
async fn a_discarded_letter_stays_where_it_is() {
    let app = TestApp::start().await;
    let id = refused(&app).await;
    let (letter, _) = only_letter(&app).await;
    for _ in 0..2 {
        accepted(&app, &letter, "discard", "the customer went away").await;
    }
    assert!(app.items("/v1/dead-letters").await.is_empty());
    let whole = app.get(&format!("/v1/dead-letters/{letter}")).await;
    assert_eq!((classes(&whole), &whole["status"]), (vec!["rejected", "discard"], &json!("cancelled")));
    assert_eq!(
        (&whole["attempts"][1]["by"], &whole["attempts"][1]["cause"]),
        (&json!("operator"), &json!("the customer went away"))
    );
    problem(act(&app, &letter, "redrive", "after all").await, 409, "wrong-state").await;
    app.pass_settling(TimeDelta::hours(1), TimeDelta::minutes(15)).await;
    assert_eq!(app.world.opening(&id).unwrap().calls(Endpoint::CreateProfile), 1);
    assert_eq!(app.items("/v1/tickets").await[0]["status"], "open", "the opening is still stuck");
    app.finish().await;
}

#[tokio::test]
async fn a_command_that_its_opening_has_no_use_for_is_not_redriven() {
    let app = TestApp::start().await;
    // The bank took the submission, and neither its answers nor its list can be read.
    let plan = Plan { submit: vec![Fault::Garbage], lookup: Fault::Garbage.times(20), ..Plan::by_hand() };
    let id = app.open().plan(plan).start().await;
    app.pass_settling(TimeDelta::hours(3), TimeDelta::minutes(15)).await;
    let (letter, whole) = only_letter(&app).await;
    assert_eq!((&whole["kind"], &whole["opening_id"]), (&json!("submit_request"), &json!(id)));
    let tracking_id = app.world.opening(&id).unwrap().tracking_id().unwrap().to_owned();
    let data = json!({"account_opening_request_id": tracking_id, "reference": id, "status": "IN_PROGRESS"});
    app.webhook().data(data).acknowledged().await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "awaiting_provider");
    assert_eq!(app.items("/v1/tickets").await[0]["status"], "closed");
    problem(act(&app, &letter, "redrive", "once more").await, 409, "wrong-state").await;
    assert_eq!(only_letter(&app).await.1, whole, "nothing was noted");
    accepted(&app, &letter, "discard", "of no use").await;
    app.finish().await;
}

#[tokio::test]
async fn an_act_needs_a_letter_a_reason_and_an_operator() {
    let app = TestApp::start().await;
    refused(&app).await;
    let (letter, whole) = only_letter(&app).await;
    for what in ["redrive", "discard"] {
        let unknown = app.state.shell.ids.next().to_string();
        problem(act(&app, &unknown, what, "x").await, 404, "not-found").await;
        let pointers = problem(act(&app, &letter, what, "").await, 422, "validation-failed").await;
        assert_eq!(pointers, ["/reason"]);
        let path = format!("/v1/dead-letters/{letter}/{what}");
        for token in ["reader-token", "caller-token"] {
            let request = app.request_as(token, Method::POST, &path).json(&json!({"reason": "x"}));
            problem(request.send().await.unwrap(), 403, "forbidden").await;
        }
    }
    // A row that is no dead letter is not found, also when it is in the outbox.
    let alive: uuid::Uuid = {
        app.open().start().await;
        sqlx::query_scalar("select id from outbox where status = 'pending'").fetch_one(&app.pool).await.unwrap()
    };
    problem(act(&app, &alive.to_string(), "discard", "x").await, 404, "not-found").await;
    assert_eq!(only_letter(&app).await.1, whole);
    app.finish().await;
}

#[tokio::test]
async fn a_delivery_that_a_subscriber_refuses_is_dead_in_the_end_and_sent_when_redriven() {
    let subscriber = Subscriber::answering(422, "whsec_c3Vic2NyaWJlci1vbmUtc2VjcmV0").await;
    let app = TestApp::with().settings(|it| it.event_subscribers = subscriber.setting()).start().await;
    let id = app.open().start().await;
    // Its first event; the later ones are put off by their own attempts.
    app.pass_settling(TimeDelta::hours(3), TimeDelta::minutes(15)).await;
    let letters = app.items("/v1/dead-letters").await;
    assert_eq!(letters.len(), 2);
    for letter in &letters {
        assert_eq!((&letter["kind"], &letter["attempts"]), (&json!("deliver_event"), &json!(10)));
    }
    assert!(app.items("/v1/tickets").await.is_empty(), "the opening is not stuck");
    assert_eq!(app.opening(&id).await["state"], "awaiting_provider");
    subscriber.answer(204);
    for letter in &letters {
        accepted(&app, letter["id"].as_str().unwrap(), "redrive", "repaired").await;
    }
    app.settle().await;
    let taken: Vec<_> = subscriber.deliveries().into_iter().filter(|it| it.status == 204).collect();
    assert_eq!(taken.len(), 2);
    app.finish().await;
}
