//! The timeline: everything about one opening, for support.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use world::{Fault, Plan};

use crate::support::{TestApp, keys};

const IBAN: &str = "BE68539007547034";

fn of_kind<'a>(items: &'a [Value], kind: &str) -> Vec<&'a Value> {
    items.iter().filter(|it| it["kind"] == kind).map(|it| &it["detail"]).collect()
}

/// An opening to which everything happened that can.
async fn eventful(app: &TestApp) -> String {
    let plan = Plan {
        profile: vec![Fault::ErrorBefore { status: 422 }],
        submit: Fault::ErrorBefore { status: 500 }.times(2),
        ..Plan::by_hand()
    };
    let id = app.open().plan(plan).start().await;
    app.settle().await;
    let letter = app.items("/v1/dead-letters").await[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/dead-letters/{letter}/redrive");
    let redrive = app.request_as("operator-token", Method::POST, &path).json(&json!({"reason": "repaired"}));
    assert_eq!(redrive.send().await.unwrap().status(), 202);
    app.pass_settling(TimeDelta::minutes(1), TimeDelta::seconds(10)).await;
    let tracking_id = app.opening(&id).await["provider_reference"].as_str().unwrap().to_owned();
    let poll = format!("/v1/account-openings/{id}/poll");
    assert_eq!(app.request_as("operator-token", Method::POST, &poll).send().await.unwrap().status(), 202);
    app.settle().await;
    app.pass_settling(TimeDelta::hours(12), TimeDelta::minutes(30)).await;
    // The answer, the same message again after the burst cache has forgotten it, the same answer under another id,
    // a word that is too late, and a contradiction.
    for (message, body) in [
        ("msg_1", json!({"status": "COMPLETED", "iban": IBAN, "bic": "NEXUBEBB"})),
        ("msg_1", json!({"status": "COMPLETED", "iban": IBAN, "bic": "NEXUBEBB"})),
        ("msg_2", json!({"status": "SUCCEEDED", "iban": IBAN, "bic": "NEXUBEBB"})),
        ("msg_3", json!({"status": "IN_PROGRESS"})),
        ("msg_4", json!({"status": "REJECTED", "rejection_reason": "no"})),
    ] {
        let mut data = body;
        data["account_opening_request_id"] = json!(tracking_id);
        app.webhook().id(message).data(data).acknowledged().await;
        app.state.ingest.forget_bursts();
        app.settle().await;
    }
    id
}

#[tokio::test]
async fn each_event_of_an_opening_is_on_the_timeline_in_order() {
    let app = TestApp::start().await;
    let id = eventful(&app).await;
    let items = app.items(&format!("/v1/account-openings/{id}/timeline")).await;
    let fields = BTreeSet::from(["at", "kind", "id", "detail"]);
    assert!(items.iter().all(|it| keys(it) == fields));
    assert!(items.is_sorted_by_key(|it| it["at"].as_str().unwrap().parse::<account_opening::clock::Time>().unwrap()));

    let webhooks = of_kind(&items, "webhook");
    let outcomes: Vec<_> = webhooks.iter().map(|it| it["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["applied", "duplicate", "superseded", "conflict"]);
    assert_eq!((&webhooks[0]["event_id"], &webhooks[0]["duplicates"]), (&json!("msg_1"), &json!(1)));
    assert!(of_kind(&items, "poll").len() >= 24);
    let transitions = of_kind(&items, "transition");
    let states: Vec<_> = transitions.iter().map(|it| it["to"].as_str().unwrap()).collect();
    let all = ["creating_profile", "requesting_account", "awaiting_provider", "escalated", "issuing_card", "completed"];
    assert_eq!(states, all);

    let attempts = |topic: &str| -> Vec<Value> {
        let commands = of_kind(&items, topic);
        assert_eq!(commands.len(), 1, "{topic}");
        assert_eq!(commands[0]["status"], "delivered");
        commands[0]["attempts"].as_array().unwrap().iter().map(|it| it["class"].clone()).collect()
    };
    assert_eq!(attempts("create_profile"), ["rejected", "redrive", "delivered"]);
    assert_eq!(attempts("submit_request"), ["server_error", "server_error", "delivered"]);
    assert_eq!(attempts("issue_card"), ["delivered"]);
    let redrive = &of_kind(&items, "create_profile")[0]["attempts"][1];
    assert_eq!((&redrive["by"], &redrive["cause"]), (&json!("operator"), &json!("repaired")));

    let mut tickets: Vec<_> =
        of_kind(&items, "ticket").iter().map(|it| (it["kind"].clone(), it["status"].clone())).collect();
    tickets.sort_by_key(|(kind, _)| kind.to_string());
    let closed = json!("closed");
    let expected =
        ["AccountOpeningStepFailed", "AccountOpeningWebhookNotReceived"].map(|it| (json!(it), closed.clone()));
    assert_eq!(tickets, expected);
    let cases = of_kind(&items, "case");
    assert_eq!((cases.len(), &cases[0]["kind"]), (1, &json!("conflicting_answer")));
    let acts = of_kind(&items, "operator");
    let acts: Vec<_> = acts.iter().map(|it| (it["action"].as_str().unwrap(), it["outcome"].clone())).collect();
    assert_eq!(acts, [("redrive_dead_letter", json!(null)), ("poll", json!("recorded"))]);
    app.finish().await;
}

#[tokio::test]
async fn the_timeline_is_the_same_read_one_by_one() {
    let app = TestApp::start().await;
    let id = eventful(&app).await;
    let path = format!("/v1/account-openings/{id}/timeline");
    let whole = app.items(&path).await;
    let (mut one_by_one, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.get(&format!("{path}?limit=1{cursor}")).await;
        one_by_one.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(one_by_one, whole);
    app.finish().await;
}

#[tokio::test]
async fn a_case_has_both_sides_and_its_evidence() {
    let app = TestApp::start().await;
    let id = eventful(&app).await;
    let cases = app.items("/v1/cases").await;
    let fields = ["id", "kind", "opening_id", "ours", "theirs", "evidence", "status", "reason", "created_at"]
        .into_iter()
        .chain(["resolved_by", "resolved_at"]);
    assert_eq!(keys(&cases[0]), fields.collect::<BTreeSet<_>>());
    assert_eq!((&cases[0]["opening_id"], &cases[0]["status"]), (&json!(id), &json!("open")));
    assert_eq!((&cases[0]["ours"]["iban"], &cases[0]["theirs"]["status"]), (&json!(IBAN), &json!("REJECTED")));
    // The evidence is the fact on the timeline.
    let items = app.items(&format!("/v1/account-openings/{id}/timeline")).await;
    let evidence = items.iter().find(|it| it["detail"]["event_id"] == "msg_4").unwrap();
    assert_eq!(cases[0]["evidence"], json!([evidence["id"]]));
    for (query, found) in [("status=open", 1), ("status=resolved", 0), (&format!("opening_id={id}"), 1)] {
        assert_eq!(app.items(&format!("/v1/cases?{query}")).await.len(), found, "{query}");
    }
    app.finish().await;
}
