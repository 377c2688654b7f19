//! The resource: its fields, their values on the way, its history, and asking for a poll.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use world::{Endpoint, Verdict};

use crate::support::{TestApp, keys, problem};

const FIELDS: [&str; 23] = [
    "id",
    "status",
    "state",
    "flow",
    "market",
    "customer_type",
    "customer_reference",
    "currency",
    "provider",
    "provider_reference",
    "provider_status",
    "iban",
    "bic",
    "card_id",
    "reason",
    "outcome_unknown_since",
    "escalated_at",
    "next_poll_at",
    "deadline_at",
    "erased_at",
    "created_at",
    "updated_at",
    "version",
];

/// The fields that are not null, without those that say when.
fn said(opening: &Value) -> Value {
    let times = ["next_poll_at", "deadline_at", "created_at", "updated_at"];
    let fields = opening.as_object().unwrap().iter();
    fields
        .filter(|(name, value)| !value.is_null() && !times.contains(&name.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

#[tokio::test]
async fn the_resource_has_the_fields_of_the_contract_and_no_others() {
    let app = TestApp::start().await;
    let fields = BTreeSet::from(FIELDS);
    let response = app.open().market("NL").customer("cus_1").send().await;
    assert_eq!(response.status(), 202);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let started: Value = response.json().await.unwrap();
    assert_eq!(keys(&started), fields);
    let id = started["id"].as_str().unwrap().to_owned();
    assert_eq!(uuid::Uuid::parse_str(&id).unwrap().get_version_num(), 7);
    let mut expected = json!({
        "id": id, "status": "in_progress", "state": "creating_profile", "flow": "async", "market": "NL",
        "customer_type": "company", "customer_reference": "cus_1", "currency": "EUR", "provider": "nexusbank",
        "version": 1,
    });
    assert_eq!(said(&started), expected);
    assert_eq!(started["next_poll_at"], json!(null), "there is nothing to poll yet");
    let began = app.now();
    for (time, at) in [("created_at", began), ("updated_at", began), ("deadline_at", began + TimeDelta::hours(12))] {
        assert_eq!(started[time], json!(at), "{time}");
    }
    assert_eq!(app.get(&location).await, started);
    assert_eq!(app.items("/v1/account-openings").await, [started]);

    app.pass(TimeDelta::minutes(5));
    app.settle().await;
    let waiting = app.opening(&id).await;
    assert_eq!(keys(&waiting), fields);
    let tracking_id = app.world.opening(&id).unwrap().tracking_id().unwrap().to_owned();
    expected["state"] = json!("awaiting_provider");
    expected["version"] = json!(3);
    expected["provider_reference"] = json!(tracking_id);
    expected["provider_status"] = json!("INITIATED");
    assert_eq!(said(&waiting), expected);
    let waits = app.now();
    assert_eq!((&waiting["created_at"], &waiting["updated_at"]), (&json!(began), &json!(waits)));
    assert_eq!(waiting["next_poll_at"], json!(waits + TimeDelta::minutes(30)));
    assert_eq!(waiting["deadline_at"], json!(waits + TimeDelta::hours(12)));

    app.world.decide(&tracking_id, &Verdict::complete()).unwrap().told().await;
    app.settle().await;
    let completed = app.opening(&id).await;
    assert_eq!(keys(&completed), fields);
    let record = app.world.opening(&id).unwrap();
    expected["state"] = json!("completed");
    expected["status"] = json!("succeeded");
    expected["version"] = json!(5);
    expected["provider_status"] = json!("COMPLETED");
    expected["iban"] = json!(record.iban().unwrap());
    expected["bic"] = json!(record.request().unwrap().bic);
    expected["card_id"] = json!(record.cards[0].card_id);
    assert_eq!(said(&completed), expected);
    assert_eq!(completed["next_poll_at"], json!(null));
    app.finish().await;
}

#[tokio::test]
async fn history_holds_the_transitions_with_their_chain() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    app.pass(TimeDelta::minutes(1));
    app.webhook().completed(&tracking_id, "BE68539007547034").acknowledged().await;
    app.settle().await;
    let items = app.items(&format!("/v1/account-openings/{id}/history")).await;
    assert_eq!(items.len(), 5);
    let fields = BTreeSet::from(["version", "from", "to", "event", "source", "at", "detail", "hash"]);
    let mut hashes = BTreeSet::new();
    let mut before = json!(null);
    for (item, version) in items.iter().zip(1..) {
        assert_eq!(keys(item), fields);
        assert_eq!((&item["version"], &item["from"]), (&json!(version), &before));
        before = item["to"].clone();
        let hash = item["hash"].as_str().unwrap();
        assert!(
            hash.len() == 64 && hash.bytes().all(|it| it.is_ascii_digit() || (b'a'..=b'f').contains(&it)),
            "{hash}"
        );
        hashes.insert(hash);
    }
    assert_eq!((before, hashes.len()), (json!("completed"), 5));
    assert_eq!(items[3]["at"], json!(app.now()));
    let text = json!(items).to_string();
    assert!(!text.contains("Acme") && !text.contains("BE685"), "no personal data in what is never erased: {text}");
    app.finish().await;
}

#[tokio::test]
async fn a_poll_is_asked_for_while_there_is_an_answer_to_wait_for() {
    let app = TestApp::start().await;
    let early = app.open().start().await;
    let path = |id: &str| format!("/v1/account-openings/{id}/poll");
    let ask = async |id: &str| app.request_as("operator-token", Method::POST, &path(id)).send().await.unwrap();
    problem(ask(&early).await, 409, "wrong-state").await;
    app.settle().await;
    for calls in 1..=2 {
        assert_eq!(ask(&early).await.status(), 202);
        app.settle().await;
        assert_eq!(app.world.opening(&early).unwrap().calls(Endpoint::Lookup), calls);
    }
    // An IBAN already, and no card yet; then the card too.
    let record = app.world.opening(&early).unwrap();
    app.webhook().completed(record.tracking_id().unwrap(), "BE68539007547034").acknowledged().await;
    app.tick_inbox().await;
    assert_eq!(app.opening(&early).await["state"], "issuing_card");
    problem(ask(&early).await, 409, "wrong-state").await;
    app.settle().await;
    problem(ask(&early).await, 409, "wrong-state").await;
    let (rejected, tracking_id) = app.open().waiting().await;
    app.webhook().status(&tracking_id, "REJECTED").acknowledged().await;
    app.settle().await;
    problem(ask(&rejected).await, 409, "wrong-state").await;
    app.finish().await;
}
