//! Cases are judged by people.

use reqwest::Method;
use serde_json::{Value, json};

use super::{IBAN, actions, post, taken};
use crate::support::{TestApp, problem};

/// An opening with a contradiction, and its case.
async fn disputed(app: &TestApp) -> (String, String) {
    let (id, tracking_id) = app.open().waiting().await;
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    app.webhook().status(&tracking_id, "REJECTED").acknowledged().await;
    app.settle().await;
    let cases = app.items(&format!("/v1/cases?opening_id={id}")).await;
    assert_eq!(cases.len(), 1);
    (id, format!("/v1/cases/{}/resolve", cases[0]["id"].as_str().unwrap()))
}

#[tokio::test]
async fn a_case_is_resolved_by_a_person_with_a_reason_and_doing_it_twice_is_doing_it_once() {
    let app = TestApp::start().await;
    let (id, path) = disputed(&app).await;
    let body = json!({"reason": "their mistake", "evidence": "mail of the bank"});
    for _ in 0..2 {
        taken(&app, &path, &body).await;
    }
    let case = &app.items("/v1/cases?status=resolved").await[0];
    let kept = ["status", "reason", "resolved_by"].map(|it| case[it].clone());
    assert_eq!(kept, [json!("resolved"), json!("their mistake"), json!("operator")]);
    assert_eq!(case["resolved_at"], json!(app.now()));
    assert!(app.items("/v1/cases?status=open").await.is_empty());
    let acts = actions(&app, &id).await;
    assert_eq!(acts.len(), 1, "{acts:?}");
    assert_eq!((&acts[0]["action"], &acts[0]["subject"]), (&json!("resolve_case"), &case["id"]));
    assert_eq!((&acts[0]["who"], &acts[0]["detail"]["evidence"]), (&json!("operator"), &json!("mail of the bank")));
    // Another reason, or another person, is another act.
    problem(post(&app, &path, &json!({"reason": "no"})).await, 409, "wrong-state").await;
    let other = app.request(Method::POST, &path).json(&body).send().await.unwrap();
    problem(other, 409, "wrong-state").await;
    assert_eq!(app.opening(&id).await["state"], "completed", "a judgement moves nothing");
    // The same disagreement again does not open it anew.
    let tracking_id = app.opening(&id).await["provider_reference"].as_str().unwrap().to_owned();
    app.state.ingest.forget_bursts();
    app.webhook().status(&tracking_id, "REJECTED").acknowledged().await;
    app.settle().await;
    assert_eq!(app.items("/v1/cases?status=resolved").await.len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn a_case_that_does_not_exist_or_an_act_without_a_reason_is_refused() {
    let app = TestApp::start().await;
    let (_, path) = disputed(&app).await;
    let nowhere = "/v1/cases/01994c3e-0000-7000-8000-000000000001/resolve";
    problem(post(&app, nowhere, &json!({"reason": "x"})).await, 404, "not-found").await;
    let refused: [(Value, u16, &str, &[&str]); 4] = [
        (json!({}), 422, "validation-failed", &["/reason"]),
        (json!({"reason": " "}), 422, "validation-failed", &["/reason"]),
        (json!({"reason": "x", "evidence": "x".repeat(2001)}), 422, "validation-failed", &["/evidence"]),
        (json!({"reason": "x", "why": "x"}), 400, "unknown-field", &["/why"]),
    ];
    for (body, status, kind, pointers) in refused {
        assert_eq!(problem(post(&app, &path, &body).await, status, kind).await, pointers);
    }
    assert_eq!(app.items("/v1/cases?status=open").await.len(), 1);
    assert!(app.items("/v1/operator-actions").await.is_empty());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_people_that_resolve_a_case_at_once_one_does() {
    let app = TestApp::start().await;
    let (id, path) = disputed(&app).await;
    let bodies = ["one", "two", "three", "four"].map(|it| json!({"reason": it}));
    let answers = futures::future::join_all(bodies.iter().map(|body| post(&app, &path, body))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|it| it.status().as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 409, 409, 409]);
    assert_eq!(actions(&app, &id).await.len(), 1);
    app.finish().await;
}
