//! One opening per Idempotency-Key, under any repeats and races.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::Value;

use crate::support::{TestApp, problem};

const OPENINGS: &str = "/v1/account-openings";
const BODY: &str = r#"{"market":"BE","customer_type":"company","currency":"EUR","customer":{"reference":"cus_1","name":"Acme BV","email":"ops@acme.example","country":"BE"}}"#;
/// The same request.
const REWRITTEN: &str = "\n{ \"customer\" : {\"country\":\"B\\u0045\", \"email\":\"ops@acme.example\",\r\n\t\"name\":\"Acme BV\",
  \"reference\":\"cus_1\"}, \"flow\":\"async\", \"currency\":\"EUR\", \"customer_type\":\"company\", \"market\":\"BE\" } ";

/// An answer, to the byte.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    location: String,
    replayed: Option<String>,
    body: String,
}

async fn start(app: &TestApp, token: &str, key: &str, body: &str) -> reqwest::Response {
    let request = app.request_as(token, Method::POST, OPENINGS).header("idempotency-key", key);
    request.header("content-type", "application/json").body(body.to_owned()).send().await.unwrap()
}

async fn taken(app: &TestApp, token: &str, key: &str, body: &str) -> Answer {
    let response = start(app, token, key, body).await;
    let header = |name: &str| response.headers().get(name).map(|it| it.to_str().unwrap().to_owned());
    let answer = Answer {
        status: response.status().as_u16(),
        location: header("location").unwrap_or_default(),
        replayed: header("idempotent-replayed"),
        body: response.text().await.unwrap(),
    };
    assert_eq!(answer.status, 202, "{answer:?}");
    answer
}

#[tokio::test]
async fn the_same_request_again_is_given_the_first_answer_byte_for_byte() {
    let app = TestApp::start().await;
    let first = taken(&app, "caller-token", "key", BODY).await;
    assert_eq!(first.replayed, None);
    let id = serde_json::from_str::<Value>(&first.body).unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(first.location, format!("{OPENINGS}/{id}"));
    app.settle().await;
    for body in [BODY, REWRITTEN] {
        let again = taken(&app, "caller-token", "key", body).await;
        assert_eq!(again.replayed.as_deref(), Some("true"));
        assert_eq!((&again.body, &again.location), (&first.body, &first.location), "{body}");
    }
    assert_eq!(app.opening(&id).await["state"], "awaiting_provider", "it has moved on since");
    assert_eq!(app.items(OPENINGS).await.len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn the_same_key_with_another_request_is_refused() {
    let app = TestApp::start().await;
    taken(&app, "caller-token", "key", BODY).await;
    for (from, to) in [("BE\",\"customer_type", "NL\",\"customer_type"), ("Acme BV", "Acme  BV"), ("EUR", "USD")] {
        let other = BODY.replace(from, to);
        assert_ne!(other, BODY);
        problem(start(&app, "caller-token", "key", &other).await, 422, "idempotency-key-reused").await;
    }
    assert_eq!(app.items(OPENINGS).await.len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn a_key_belongs_to_the_name_of_the_token() {
    let app = TestApp::with()
        .settings(|it| it.api_tokens += ",shop:old-shop-token:caller,shop:new-shop-token:caller")
        .start()
        .await;
    let ours = taken(&app, "caller-token", "key", BODY).await;
    let shops = taken(&app, "old-shop-token", "key", BODY).await;
    assert_eq!(shops.replayed, None);
    assert_ne!(ours.body, shops.body);
    // Its token was rotated; it is still the same shop.
    let rotated = taken(&app, "new-shop-token", "key", BODY).await;
    assert_eq!((rotated.replayed.as_deref(), rotated.body), (Some("true"), shops.body));
    assert_eq!(app.items(OPENINGS).await.len(), 2);
    app.finish().await;
}

#[tokio::test]
async fn a_key_is_free_again_when_it_has_expired() {
    let app = TestApp::with().settings(|it| it.idempotency_ttl = "10h".to_owned()).start().await;
    let first = taken(&app, "caller-token", "swept", BODY).await;
    taken(&app, "caller-token", "not-swept", BODY).await;
    app.pass(TimeDelta::hours(10) - TimeDelta::seconds(1));
    assert_eq!(taken(&app, "caller-token", "swept", BODY).await.body, first.body);
    app.pass(TimeDelta::seconds(1));
    let second = taken(&app, "caller-token", "not-swept", BODY).await;
    assert_eq!(second.replayed, None, "expired and not yet swept");
    app.settle().await;
    let second = taken(&app, "caller-token", "swept", BODY).await;
    assert_eq!(second.replayed, None);
    assert_ne!(second.body, first.body);
    assert_eq!(app.items(OPENINGS).await.len(), 4);
    app.finish().await;
}

#[tokio::test]
async fn a_refusal_does_not_take_the_key() {
    let app = TestApp::start().await;
    for wrong in ["{", "{}", &BODY.replace("BE", "XX"), &BODY.replace("market", "markt")] {
        assert!(start(&app, "caller-token", "key", wrong).await.status().is_client_error());
    }
    assert_eq!(start(&app, "reader-token", "key", BODY).await.status(), 403);
    assert_eq!(taken(&app, "caller-token", "key", BODY).await.replayed, None);
    app.finish().await;
}

/// P9: one profile, one account, one card, though thirty asked at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thirty_at_once_with_one_key_start_one_opening() {
    let app = TestApp::start().await;
    let answers = futures::future::join_all((0..30).map(|_| taken(&app, "caller-token", "key", BODY))).await;
    let bodies: BTreeSet<&str> = answers.iter().map(|it| it.body.as_str()).collect();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(answers.iter().filter(|it| it.replayed.is_none()).count(), 1);
    app.settle().await;
    assert_eq!(app.items(OPENINGS).await.len(), 1);
    assert_eq!((app.world.counts().profiles, app.world.counts().account_requests), (1, 1));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_thirty_different_requests_at_once_with_one_key_one_is_taken() {
    let app = TestApp::start().await;
    let bodies: Vec<String> = (0..30).map(|n| BODY.replace("cus_1", &format!("cus_{n}"))).collect();
    let answers = futures::future::join_all(bodies.iter().map(|body| start(&app, "caller-token", "key", body))).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|it| it.status() == 202);
    assert_eq!(won.len(), 1);
    for refused in lost {
        problem(refused, 422, "idempotency-key-reused").await;
    }
    assert_eq!(app.items(OPENINGS).await.len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn the_same_customer_under_another_key_is_a_second_opening() {
    let app = TestApp::start().await;
    let first = app.open().customer("cus_1").key("one").start().await;
    let second = app.open().customer("cus_1").key("two").start().await;
    assert_ne!(first, second);
    app.settle().await;
    for id in [&first, &second] {
        assert_eq!(app.opening(id).await["state"], "awaiting_provider");
    }
    assert_eq!(app.world.ledger().of_customer("cus_1").count(), 2);
    app.finish().await;
}
