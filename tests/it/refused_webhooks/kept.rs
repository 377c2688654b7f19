//! Each cause, and what is kept of a request.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{REJECTED, other_secret};
use crate::support::{TestApp, exchange, keys, problem};

const MAX: usize = 262_144;

async fn only(app: &TestApp) -> Value {
    let items = app.items(REJECTED).await;
    assert_eq!(items.len(), 1, "{items:?}");
    app.get(&format!("{REJECTED}/{}", items[0]["id"].as_str().unwrap())).await
}

/// Empties the table as an erasure would.
async fn forget(app: &TestApp) {
    sqlx::query("delete from rejected_requests").execute(&app.pool).await.unwrap();
    assert_eq!(super::held(app).await, []);
}

#[tokio::test]
async fn each_cause_is_kept_with_the_bytes_as_they_came() {
    let app = TestApp::start().await;
    let body = b"{\"n\":1,\xff\0}".to_vec();
    let webhook = || app.webhook().id("msg_1").body(body.clone());
    let causes = [
        (webhook().without("webhook-signature"), 401, "signature_missing"),
        (webhook().signed_with(&other_secret()), 401, "signature_wrong"),
        (webhook().signed_ago(TimeDelta::minutes(6)), 401, "signature_stale"),
        (webhook().header("content-type", "text/plain"), 415, "content_type"),
    ];
    for (webhook, status, cause) in causes {
        assert_eq!(webhook.answered().await, status);
        let kept = only(&app).await;
        assert_eq!(kept["cause"], cause);
        assert_eq!(
            (&kept["provider"], &kept["source"], &kept["method"], &kept["path"], &kept["body_kept"]),
            (&json!("nexusbank"), &json!("127.0.0.1"), &json!("POST"), &json!("/webhooks/nexusbank"), &json!(true))
        );
        assert_eq!(kept["body_base64"], STANDARD.encode(&body), "byte for byte");
        assert_eq!((&kept["body"], &kept["body_bytes"]), (&json!("{\"n\":1,\u{fffd}\0}"), &json!(body.len())));
        assert_eq!(kept["headers"]["webhook-id"], "msg_1");
        assert!(kept["verified_at"].is_null() && kept["outcome"].is_null());
        let by_cause = app.items(&format!("{REJECTED}?cause={cause}&provider=nexusbank")).await;
        assert_eq!(by_cause.len(), 1);
        assert!(app.items(&format!("{REJECTED}?cause=too_large")).await.is_empty());
        assert!(app.items(&format!("{REJECTED}?provider=other")).await.is_empty());
        forget(&app).await;
    }
    assert_eq!(app.inbox().await, []);
    app.finish().await;
}

#[tokio::test]
async fn one_that_is_too_large_is_kept_without_its_body() {
    let app = TestApp::start().await;
    let mut sent = app.webhook().id("msg_1").body(vec![b' '; MAX + 1]).wire();
    assert_eq!(exchange(&app.public, &sent).await.status, 413);
    let kept = only(&app).await;
    assert_eq!(
        (&kept["cause"], &kept["body_kept"], &kept["body_bytes"], &kept["body"], &kept["body_base64"]),
        (&json!("too_large"), &json!(false), &json!(MAX + 1), &Value::Null, &Value::Null)
    );
    forget(&app).await;
    // Of unknown length, and found out on the way.
    let end = sent.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&sent[..end]).replace("content-length: 262145", "transfer-encoding: chunked");
    sent = [head.as_bytes(), b"\r\n\r\n40001\r\n", &vec![b' '; MAX + 1], b"\r\n0\r\n\r\n"].concat();
    assert_eq!(exchange(&app.public, &sent).await.status, 413);
    let kept = only(&app).await;
    assert_eq!(
        (&kept["cause"], &kept["body_kept"], &kept["body_bytes"]),
        (&json!("too_large"), &json!(false), &Value::Null)
    );
    app.finish().await;
}

#[tokio::test]
async fn one_for_an_unknown_provider_is_kept_with_its_body_if_it_comes() {
    let app = TestApp::start().await;
    let post = |path: &str, length: usize, body: &str| {
        let head = format!("POST {path} HTTP/1.1\r\nhost: it\r\nwebhook-id: msg_1\r\ncontent-length: {length}\r\n\r\n");
        [head.as_bytes(), body.as_bytes()].concat()
    };
    assert_eq!(exchange(&app.public, &post("/webhooks/nexusbankk", 4, "body")).await.status, 404);
    let kept = only(&app).await;
    assert_eq!(
        (&kept["cause"], &kept["provider"], &kept["body"]),
        (&json!("unknown_provider"), &json!("nexusbankk"), &json!("body"))
    );
    forget(&app).await;
    // Senders announce a body and send none, or announce too much, or name a provider by no valid name (two requests).
    for (path, length, name) in [
        ("/webhooks/swan", 10, "swan"),
        ("/webhooks/swan", MAX + 1, "swan"),
        ("/webhooks/%00%FF", 10, "%00%FF"),
        ("/webhooks/nexusbank%20", 10, "nexusbank%20"),
    ] {
        assert_eq!(exchange(&app.public, &post(path, length, "")).await.status, 404);
        let kept = only(&app).await;
        assert_eq!(
            (&kept["provider"], &kept["body_kept"], &kept["body_bytes"]),
            (&json!(name), &json!(false), &json!(length))
        );
        forget(&app).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn a_refused_webhook_that_needs_no_repair_is_not_kept() {
    let app = TestApp::start().await;
    let get = b"GET /webhooks/nexusbank HTTP/1.1\r\nhost: it\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(exchange(&app.public, get).await.status, 405);
    let elsewhere = b"GET /elsewhere HTTP/1.1\r\nhost: it\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(exchange(&app.public, elsewhere).await.status, 404);
    app.webhook().body("{}").acknowledged().await;
    assert_eq!(app.items(REJECTED).await, Vec::<Value>::new());
    app.finish().await;
}

#[tokio::test]
async fn headers_are_kept_without_credentials_and_those_of_the_signature_whole() {
    let app = TestApp::start().await;
    // Sixteen signatures of the longest kind that the standard has, the right one nowhere.
    let signatures = vec![format!("v1a,{}", "A".repeat(88)); 16].join(" ");
    let webhook =
        app.webhook().body("{}").header("webhook-signature", &signatures).header("x-long", &"x".repeat(5_000));
    let webhook = webhook.header("authorization", "Bearer canary").header("cookie", "canary=1");
    let webhook = webhook.header("proxy-authorization", "canary").header("x-api-key", "canary").header("x-more", "y");
    assert_eq!(webhook.answered().await, 401);
    let kept = only(&app).await;
    assert_eq!(kept["headers"]["webhook-signature"], signatures);
    assert_eq!(kept["headers"]["x-long"].as_str().unwrap().len(), 1_024);
    assert_eq!(kept["headers"]["x-more"], "y");
    let stored: String =
        sqlx::query_scalar("select r::text from rejected_requests r").fetch_one(&app.pool).await.unwrap();
    assert!(!stored.contains("canary"), "{stored}");
    app.finish().await;
}

/// F11: a header that came on several lines is kept with all of them, within the same bounds.
#[tokio::test]
async fn all_lines_of_a_repeated_header_are_kept() {
    let app = TestApp::start().await;
    let webhook = app.webhook().body("{}").signed_with(&other_secret());
    let webhook = webhook.line("webhook-signature", "v1,one").line("webhook-signature", "v1,two").line("x-more", "y");
    assert_eq!(webhook.line("x-more", "z").answered().await, 401);
    let kept = only(&app).await;
    assert_eq!(kept["headers"]["webhook-signature"], json!(["v1,one", "v1,two"]));
    assert_eq!(
        (&kept["headers"]["x-more"], &kept["headers"]["content-type"]),
        (&json!(["y", "z"]), &json!("application/json"))
    );
    app.finish().await;
}

/// Readers of a list need not see what customers sent.
#[tokio::test]
async fn a_list_has_no_bodies_and_no_headers_and_pages_go_from_new_to_old() {
    let app = TestApp::start().await;
    for n in 0..5 {
        assert_eq!(
            app.webhook()
                .id(&format!("msg_{n}"))
                .body(format!("{{\"canary\":{n}}}"))
                .without("webhook-id")
                .answered()
                .await,
            401
        );
    }
    let page = app.get(&format!("{REJECTED}?limit=2")).await;
    assert!(!page.to_string().contains("canary"));
    let fields = ["body_bytes", "body_kept", "cause", "event_id", "id", "method", "outcome", "path", "provider"];
    let rest = ["received_at", "source", "verified_at"];
    assert_eq!(keys(&page["items"][0]), fields.into_iter().chain(rest).collect());
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = app.get(&format!("{REJECTED}?limit=2{cursor}")).await;
        ids.extend(page["items"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let mut sorted = ids.clone();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    sorted.dedup();
    assert_eq!((ids.len(), &ids), (5, &sorted));
    let get = |path: String| app.request(reqwest::Method::GET, &path).send();
    problem(get(format!("{REJECTED}?cause=other")).await.unwrap(), 422, "validation-failed").await;
    problem(get(format!("{REJECTED}?status=x")).await.unwrap(), 400, "unknown-field").await;
    problem(get(format!("{REJECTED}/{}", app.state.shell.ids.next())).await.unwrap(), 404, "not-found").await;
    app.finish().await;
}
