//! Texts that were made to break something, down to the rows that they end up in: no 5xx, and the service goes on. What else
//! may be sent, to every endpoint, is sent to a process (`process/hostile.rs`), whose memory and panics can be seen.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::TestApp;

/// Texts that a field may be given, as they stand in JSON.
const TEXTS: [&str; 8] = [
    r"\u0000",
    r"a\u0000b",
    r"\ud800",
    r"\udfff\ud800",
    r"\u202e",
    r"\ufffe",
    r"'; drop table inbox; --",
    "{{7*7}}%s%n",
];

async fn send(app: &TestApp, verb: Method, path: &str, body: Vec<u8>) -> Option<StatusCode> {
    let key = app.state.shell.ids.next().to_string();
    let request = app.request(verb, path).header("idempotency-key", key).header("content-type", "application/json");
    // A body that is refused half-way may end with its connection.
    let response = request.body(body).send().await.ok()?;
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    assert!(!status.is_server_error(), "{path}: {status} {text}");
    Some(status)
}

/// The paths that take a body, as described: those of an opening and of a dead letter.
async fn paths(app: &TestApp) -> (String, Vec<String>) {
    let (id, _) = app.open().waiting().await;
    app.webhook().body("not JSON").acknowledged().await;
    let letter = app.items("/v1/dead-letters").await[0]["id"].as_str().unwrap().to_owned();
    let description = app.get("/openapi.json").await;
    let described = description["paths"].as_object().unwrap().iter();
    let with_body =
        described.filter(|(_, methods)| methods["post"]["requestBody"]["content"]["application/json"].is_object());
    let of = |path: &str| {
        let id = if path.contains("dead-letters") { &letter } else { &id };
        path.replace("{id}", id).replace("{provider}", "nexusbank")
    };
    let paths: Vec<String> = with_body.map(|(path, _)| of(path)).collect();
    assert!(paths.len() >= 4, "{paths:?}");
    (id, paths)
}

/// A body that is too large is refused with an answer that its sender can read.
#[tokio::test]
async fn a_large_body_is_told_so() {
    let app = TestApp::start().await;
    let (_, paths) = paths(&app).await;
    for path in &paths {
        for size in [65 * 1024, 1024 * 1024] {
            let status = send(&app, Method::POST, path, vec![b' '; size]).await;
            assert!(status.is_none_or(|it| it == 413), "{path}: {status:?}");
        }
        assert_eq!(
            send(&app, Method::POST, path, vec![b' '; 65 * 1024]).await.map(|it| it.as_u16()),
            Some(413),
            "{path}"
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn no_text_in_a_field_breaks_a_route_or_what_comes_after_it() {
    let app = TestApp::start().await;
    let (id, paths) = paths(&app).await;
    let good = json!({"market": "BE", "customer_type": "company", "currency": "EUR", "flow": "async",
        "customer": {"reference": "cus_1", "name": "Acme BV", "email": "ops@acme.example", "country": "BE"}});
    let sandbox = json!({"account_opening_request_id": id, "status": "COMPLETED", "iban": "BE68539007547034",
        "bic": "NEXUBEBB", "rejection_reason": "no"});
    let reason = json!({"reason": "because"});
    for path in &paths {
        let body = match path.as_str() {
            "/v1/account-openings" => &good,
            path if path.starts_with("/company") => &sandbox,
            _ => &reason,
        };
        for pointer in pointers(body) {
            for text in TEXTS {
                let mut hostile = body.clone();
                *hostile.pointer_mut(&pointer).unwrap() = json!("HOSTILE");
                let hostile = hostile.to_string().replace("HOSTILE", text);
                send(&app, Method::POST, path, hostile.into_bytes()).await;
                app.state.ingest.forget_bursts();
                app.settle().await;
            }
        }
    }
    // Every simulated message was decided; nothing is stuck.
    let stuck: i64 = sqlx::query_scalar("select count(*) from inbox where status = 'pending' or attempts > 0")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(stuck, 0);
    for list in ["/v1/account-openings", "/v1/cases", "/v1/tickets", "/v1/dead-letters"] {
        app.items(list).await;
    }
    app.items(&format!("/v1/account-openings/{id}/timeline")).await;
    app.finish().await;
}

fn pointers(body: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in body.as_object().unwrap() {
        match value {
            Value::Object(inner) => found.extend(inner.keys().map(|it| format!("/{name}/{it}"))),
            _ => found.push(format!("/{name}")),
        }
    }
    found
}
