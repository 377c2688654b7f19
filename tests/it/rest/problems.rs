//! Refusals: each has its status, its type and, where fields are wrong, their pointers.

use std::time::Duration;

use account_opening::db::{PoolOptions, connect};
use account_opening::http::internal;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TOKEN, TestApp, listen, problem};

const OPENINGS: &str = "/v1/account-openings";

/// POSTs an opening with these bytes.
async fn start(app: &TestApp, body: impl Into<reqwest::Body>) -> reqwest::Response {
    let request = app.request(Method::POST, OPENINGS).header("idempotency-key", "key").body(body);
    request.header("content-type", "application/json").send().await.unwrap()
}

#[tokio::test]
async fn a_body_that_cannot_be_understood_is_refused_before_its_fields() {
    let app = TestApp::start().await;
    for wrong in ["", "{", "[]", "null", "\"text\"", "{} {}", r#"{"market":"BE","market":"BE"}"#] {
        assert!(problem(start(&app, wrong).await, 400, "invalid-json").await.is_empty(), "{wrong}");
    }
    let plain = app.request(Method::POST, OPENINGS).header("idempotency-key", "key").body("{}");
    problem(plain.header("content-type", "text/plain").send().await.unwrap(), 415, "unsupported-media-type").await;
    problem(start(&app, vec![b' '; 70_000]).await, 413, "payload-too-large").await;
    app.finish().await;
}

#[tokio::test]
async fn an_opening_without_one_usable_key_is_refused() {
    let app = TestApp::start().await;
    for key in [None, Some(""), Some("two words"), Some("\u{e9}")] {
        let mut request = app.request(Method::POST, OPENINGS).json(&json!({}));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        problem(request.send().await.unwrap(), 400, "missing-idempotency-key").await;
    }
    let twice = app.request(Method::POST, OPENINGS).header("idempotency-key", "a").header("idempotency-key", "b");
    problem(twice.json(&json!({})).send().await.unwrap(), 400, "missing-idempotency-key").await;
    problem(app.open().key(&"x".repeat(256)).send().await, 400, "missing-idempotency-key").await;
    app.open().key(&"x".repeat(255)).start().await;
    app.finish().await;
}

#[tokio::test]
async fn unknown_and_wrong_fields_are_pointed_at_all_at_once() {
    let app = TestApp::start().await;
    let response = app
        .open()
        .body(|it| {
            it["markt"] = json!("BE");
            it["customer"]["phone/number"] = json!(1);
        })
        .send()
        .await;
    assert_eq!(problem(response, 400, "unknown-field").await, ["/markt", "/customer/phone~1number"]);
    let response = start(&app, "{}").await;
    let missing = ["/market", "/customer_type", "/currency", "/customer"];
    assert_eq!(problem(response, 422, "validation-failed").await, missing);
    let wrong = json!({"market": "be", "customer_type": "bank", "currency": "EURO", "flow": "soon",
                       "customer": {"reference": "", "name": 7, "email": "nobody", "country": null}});
    let pointers = problem(start(&app, wrong.to_string()).await, 422, "validation-failed").await;
    let all = ["/market", "/customer_type", "/currency", "/flow"];
    let customer = ["/customer/reference", "/customer/name", "/customer/email", "/customer/country"];
    assert_eq!(pointers, [all, customer].concat());
    // No value that was sent comes back.
    let text = start(&app, wrong.to_string()).await.text().await.unwrap();
    assert!(!text.contains("nobody") && !text.contains("EURO"), "{text}");
    assert!(app.items(OPENINGS).await.is_empty());
    app.finish().await;
}

#[tokio::test]
async fn the_other_bodies_have_their_rules_too() {
    let app = TestApp::start().await;
    let id = app.open().start().await;
    let act = "/v1/dead-letters/01993a4e-7c5b-7d0a-8c4f-3f2b1a0c9d8e/redrive";
    let sandbox = "/company/account-opening/set-status-sandbox";
    let long = "x".repeat(501);
    let table: [(&str, Value, u16, &str, Vec<&str>); 8] = [
        (act, json!({}), 422, "validation-failed", vec!["/reason"]),
        (act, json!({"reason": " "}), 422, "validation-failed", vec!["/reason"]),
        (act, json!({"reason": long}), 422, "validation-failed", vec!["/reason"]),
        (act, json!({"reason": "x", "by": "me"}), 400, "unknown-field", vec!["/by"]),
        (act, json!({"reason": "x"}), 404, "not-found", vec![]),
        (
            sandbox,
            json!({"account_opening_request_id": id, "status": "DONE"}),
            422,
            "validation-failed",
            vec!["/status"],
        ),
        (sandbox, json!({"id": id}), 400, "unknown-field", vec!["/id"]),
        (sandbox, json!({"account_opening_request_id": "aor_x", "status": "COMPLETED"}), 404, "not-found", vec![]),
    ];
    for (path, body, status, kind, pointers) in table {
        let response = app.request(Method::POST, path).json(&body).send().await.unwrap();
        assert_eq!(problem(response, status, kind).await, pointers, "{path} {body}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_missing_resource_is_not_found_and_other_methods_are_named() {
    let app = TestApp::start().await;
    let nil = uuid::Uuid::nil();
    for path in ["", "/history", "/timeline"] {
        for id in [nil.to_string().as_str(), "1", "%00", "..", "%F0%9F%A6%80", &"x".repeat(2_000)] {
            let path = format!("{OPENINGS}/{id}{path}");
            problem(app.request(Method::GET, &path).send().await.unwrap(), 404, "not-found").await;
        }
    }
    let poll = format!("{OPENINGS}/{nil}/poll");
    problem(app.request(Method::POST, &poll).send().await.unwrap(), 404, "not-found").await;
    problem(app.request(Method::GET, &format!("/v1/dead-letters/{nil}")).send().await.unwrap(), 404, "not-found").await;
    for path in ["/v1", "/v1/account-opening", "/v2/account-openings", "/webhooks/nexusbank"] {
        problem(app.request(Method::GET, path).send().await.unwrap(), 404, "not-found").await;
    }
    for (method, path) in [(Method::DELETE, OPENINGS), (Method::PUT, "/v1/cases"), (Method::POST, "/v1/events")] {
        let response = app.request(method, path).send().await.unwrap();
        assert!(response.headers().contains_key("allow"), "{path}");
        problem(response, 405, "method-not-allowed").await;
    }
    app.finish().await;
}

/// Rule of every 5xx: it explains nothing, and says when to come back.
#[tokio::test]
async fn without_its_database_every_route_is_unavailable_and_explains_nothing() {
    let app = TestApp::start().await;
    let id = app.open().start().await;
    let options = PoolOptions {
        url: "postgres://somebody@127.0.0.1:1/nowhere".to_owned(),
        schema: "public".to_owned(),
        max_connections: 2,
        acquire_timeout: Duration::from_millis(300),
    };
    let mut state = app.state.clone();
    state.acts.cell.pool = connect(&options).unwrap();
    let url = listen(internal::router(state)).await;
    let id = format!("{OPENINGS}/{id}");
    let paths = [OPENINGS, "/v1/cases", "/v1/tickets", "/v1/dead-letters", "/v1/events", &id];
    for path in paths {
        let response = app.client.get(format!("{url}{path}")).bearer_auth(TOKEN).send().await.unwrap();
        let wait: u32 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!(wait > 0);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let text = response.text().await.unwrap();
        assert!(text.contains(r#""type":"unavailable""#), "{text}");
        for word in ["postgres", "sql", "connect", "pool", "nowhere", "127.0.0.1"] {
            assert!(!text.to_lowercase().contains(word), "{word}: {text}");
        }
    }
    let ready = app.client.get(format!("{url}/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    let metrics = app.client.get(format!("{url}/metrics")).send().await.unwrap();
    assert_eq!(metrics.status(), 200);
    app.finish().await;
}

#[tokio::test]
async fn a_request_id_comes_back_on_every_answer() {
    let app = TestApp::start().await;
    for path in [OPENINGS, "/no/such/path", "/livez", "/metrics", "/openapi.json"] {
        let given = app.request(Method::GET, path).header("x-request-id", "abc-123").send().await.unwrap();
        assert_eq!(given.headers()["x-request-id"], "abc-123", "{path}");
        let made = app.request(Method::GET, path).send().await.unwrap();
        let hostile = app.request(Method::GET, path).header("x-request-id", "a b").send().await.unwrap();
        let ids = [made, hostile].map(|it| it.headers()["x-request-id"].to_str().unwrap().to_owned());
        assert!(ids.iter().all(|id| uuid::Uuid::parse_str(id).is_ok()) && ids[0] != ids[1], "{ids:?}");
    }
    let refused = app.request_as("a-wrong-token", Method::GET, OPENINGS).header("x-request-id", "abc-123");
    let body: Value = refused.send().await.unwrap().json().await.unwrap();
    assert_eq!(body["request_id"], "abc-123");
    app.finish().await;
}
