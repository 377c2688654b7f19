//! F10: webhooks to a path that is no provider's. A slash too many in the provider's settings must not lose them without a trace.

use reqwest::Method;
use serde_json::{Value, json};

use super::{REJECTED, held};
use crate::support::{TestApp, exchange};

const MAX: usize = 262_144;
const IBAN: &str = "BE68539007547034";

async fn kept(app: &TestApp) -> Vec<Value> {
    app.items(REJECTED).await
}

/// How many requests of an unknown provider this test's process counted; other tests count too.
async fn counted(app: &TestApp) -> u64 {
    let text = app.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    let series = "account_opening_webhooks_total{provider=\"unknown\",outcome=\"unknown_provider\"} ";
    text.lines().find_map(|line| line.strip_prefix(series)).map_or(0, |it| it.parse().unwrap())
}

/// F10
#[tokio::test]
async fn a_signed_webhook_to_a_path_beside_the_right_one_is_not_found_counted_and_kept_under_the_path_it_asked_for() {
    let app = TestApp::start().await;
    for (path, provider) in [
        ("/webhooks/nexusbank/", "nexusbank"),
        ("//webhooks/nexusbank", "nexusbank"),
        ("/webhook/nexusbank", "nexusbank"),
        ("/webhooks//nexusbank//", "nexusbank"),
        ("/api/webhooks/nexusbank", "nexusbank"),
        ("/webhooks/nexusbank/more", "more"),
        ("/webhooks", "webhooks"),
        ("/livez", "livez"),
        ("/", ""),
    ] {
        let before = counted(&app).await;
        let sent = app.webhook().id("msg_1").body("{\"n\":1}").path(path).wire();
        assert_eq!(exchange(&app.public, &sent).await.status, 404, "{path}");
        let rows = kept(&app).await;
        assert_eq!(rows.len(), 1, "{path}");
        let row = app.get(&format!("{REJECTED}/{}", rows[0]["id"].as_str().unwrap())).await;
        assert_eq!(
            (&row["cause"], &row["path"], &row["provider"], &row["method"], &row["body"]),
            (&json!("unknown_provider"), &json!(path), &json!(provider), &json!("POST"), &json!("{\"n\":1}"))
        );
        assert!(row["headers"]["webhook-signature"].is_string(), "{row}");
        assert!(counted(&app).await > before, "{path}");
        sqlx::query("delete from rejected_requests").execute(&app.pool).await.unwrap();
    }
    assert_eq!(app.inbox().await, []);
    app.finish().await;
}

/// F10: a webhook that took the wrong path is the provider's all the same, and its opening need not wait for a poll.
#[tokio::test]
async fn a_webhook_that_went_to_the_wrong_path_is_verified_again_and_taken_in() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    let sent = app.webhook().completed(&tracking_id, IBAN).path("/webhooks/nexusbank/");
    assert_eq!(sent.answered().await, 404);
    let forged = app.webhook().status(&tracking_id, "REJECTED").signed_with(&super::other_secret());
    assert_eq!(forged.path("/webhooks/nexusbank/").answered().await, 404);
    let body = json!({"reason": "a slash too many", "cause": "unknown_provider"});
    let (status, done) = app.post(&format!("{REJECTED}/reverify"), &body).await;
    assert_eq!((status, &done["verified"], &done["still_refused"]), (200, &json!(1), &json!(1)), "{done}");
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    app.finish().await;
}

/// F10: a scanner's request is no webhook, and leaves no row.
#[tokio::test]
async fn a_request_by_another_method_is_counted_and_not_kept() {
    let app = TestApp::start().await;
    let before = counted(&app).await;
    for path in ["/", "/.env", "/webhooks/unknown", "/webhooks/nexusbank/", "/wp-login.php"] {
        for method in ["GET", "HEAD", "OPTIONS", "PUT"] {
            let request = format!("{method} {path} HTTP/1.1\r\nhost: it\r\ncontent-length: 0\r\n\r\n");
            assert_eq!(exchange(&app.public, request.as_bytes()).await.status, 404, "{method} {path}");
        }
    }
    assert_eq!(kept(&app).await, Vec::<Value>::new());
    assert!(counted(&app).await >= before + 20);
    app.finish().await;
}

/// F10, P19: only heads are sent; a service that waited for a body that is too large, or never comes, could be held up by it.
#[tokio::test]
async fn a_body_to_the_wrong_path_that_is_too_large_or_never_comes_is_not_waited_for() {
    let app = TestApp::start().await;
    for (framing, bytes) in [
        (format!("content-length: {}", MAX + 1), json!(MAX + 1)),
        ("content-length: 10".to_owned(), json!(10)),
        ("transfer-encoding: chunked".to_owned(), Value::Null),
    ] {
        let head = format!("POST /webhook/nexusbank HTTP/1.1\r\nhost: it\r\n{framing}\r\n\r\n");
        assert_eq!(exchange(&app.public, head.as_bytes()).await.status, 404, "{framing}");
        let rows = kept(&app).await;
        assert_eq!(
            (rows.len(), &rows[0]["body_kept"], &rows[0]["body_bytes"]),
            (1, &json!(false), &bytes),
            "{framing}"
        );
        sqlx::query("delete from rejected_requests").execute(&app.pool).await.unwrap();
    }
    app.finish().await;
}

/// F10: requests to unknown paths are held within the bound of their source.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_to_unknown_paths_is_bounded() {
    let app = TestApp::with().settings(|it| it.rejected_max_bytes = super::MIN_BYTES.to_string()).start().await;
    let body = "x".repeat(2_000);
    for n in 0..200 {
        let sent = app.webhook().body(body.clone()).path(&format!("/nowhere/{n}"));
        assert_eq!(sent.answered().await, 404);
    }
    let rows = held(&app).await;
    assert!(rows.len() == 1 && rows[0].1 <= super::MIN_BYTES / 2 && rows[0].1 > super::MIN_BYTES / 4, "{rows:?}");
    app.finish().await;
}
