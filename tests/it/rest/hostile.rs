//! Bodies that were made to break something: no 5xx, no panic, and the service goes on.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::TestApp;

const ROUTES: [&str; 6] = [
    "/v1/account-openings",
    "/v1/account-openings/{id}/poll",
    "/v1/dead-letters/{letter}/redrive",
    "/v1/dead-letters/{letter}/discard",
    "/v1/feature-flags/async-account-opening",
    "/company/account-opening/set-status-sandbox",
];

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
    let key = app.edge.ids.next().to_string();
    let request = app.request(verb, path).header("idempotency-key", key).header("content-type", "application/json");
    // A body that is refused half-way may end with its connection.
    let response = request.body(body).send().await.ok()?;
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    assert!(!status.is_server_error(), "{path}: {status} {text}");
    Some(status)
}

/// The real paths: those of an opening and of a dead letter.
async fn paths(app: &TestApp) -> (String, Vec<String>) {
    let (id, _) = app.open().waiting().await;
    app.webhook().body("not JSON").acknowledged().await;
    let letter = app.items("/v1/dead-letters").await[0]["id"].as_str().unwrap().to_owned();
    let paths = ROUTES.iter().map(|it| it.replace("{id}", &id).replace("{letter}", &letter)).collect();
    (id, paths)
}

#[tokio::test]
async fn no_shape_of_json_breaks_a_route() {
    let app = TestApp::start().await;
    let (_, paths) = paths(&app).await;
    let many = |keys: usize| {
        let fields: Vec<String> = (0..keys).map(|n| format!(r#""k{n}":1"#)).collect();
        format!("{{{}}}", fields.join(","))
    };
    let deep = |depth: usize| format!(r#"{{"market":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    let deep_objects = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let shapes = [
        deep(100_000),
        deep(30_000),
        deep(126),
        deep_objects(10_000),
        "[".repeat(60_000),
        many(1_000_000),
        many(4_000),
        r#"{"market":1e200000}"#.to_owned(),
        format!(r#"{{"market":{}}}"#, "9".repeat(60_000)),
        r#"{"market":-0.0e-99999999999999999999}"#.to_owned(),
        r#"{"reason":"a","reason":"b"}"#.to_owned(),
        format!(r#"{{"market":"{}"}}"#, "x".repeat(10 * 1024 * 1024)),
        "\u{feff}{}".to_owned(),
        format!("{}{{}}", " ".repeat(60_000)),
    ];
    for path in &paths {
        for verb in [Method::POST, Method::PUT] {
            for body in &shapes {
                let status = send(&app, verb.clone(), path, body.clone().into_bytes()).await;
                let harmless = path.ends_with("/poll") && verb == Method::POST;
                assert!(harmless || status.is_none_or(|it| it.is_client_error()), "{verb} {path}: {status:?}");
            }
            for bytes in [&b"\xff\xfe{\0}\0"[..], b"{\"market\":\"\xc3\x28\"}", b"\0", &[0x1f, 0x8b, 8, 0]] {
                send(&app, verb.clone(), path, bytes.to_vec()).await;
            }
        }
    }
    app.open().start().await;
    app.finish().await;
}

/// A body that is too large is refused with an answer that its sender can read.
#[tokio::test]
async fn a_large_body_is_told_so() {
    let app = TestApp::start().await;
    let (_, paths) = paths(&app).await;
    for path in paths.iter().filter(|it| !it.ends_with("/poll") && !it.contains("flags")) {
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
                app.edge.ingest.forget_bursts();
                app.settle().await;
            }
        }
    }
    // Whatever the sandbox was made to say was decided: nothing of it is stuck.
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
