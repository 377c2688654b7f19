//! The content that a signed body may hold, and what comes of it. (P1, P2)

use serde_json::json;

use crate::support::TestApp;

use super::{IBAN, message, of_no_concern};

/// A completion with odd values in unknown fields.
fn completed_with(tracking_id: &str, odd: &[u8]) -> Vec<u8> {
    let body = message(tracking_id, "COMPLETED", Some(IBAN));
    let inner = body.replace(r#""status""#, r#""odd":@,"odd":@,"status""#).replacen('{', r#"{"odd":@,"odd":@,"#, 1);
    let parts: Vec<&[u8]> = inner.split('@').map(str::as_bytes).collect();
    parts.join(odd)
}

/// P1, P2: at the moment of the answer it is there, byte for byte, and nothing else is.
#[tokio::test]
async fn every_signed_body_is_stored_as_it_was_sent() {
    let app = TestApp::start().await;
    let mut large = message("aor_large", "IN_PROGRESS", None).into_bytes();
    large.splice(1..1, format!(r#""filler":"{}","#, "é€😀".repeat(200 * 1_024 / 9)).into_bytes());
    let bodies: Vec<Vec<u8>> = vec![
        b"".into(),
        b" ".into(),
        b"null".into(),
        b"{}".into(),
        b"\0".into(),
        b"\xff\xfe\x00\x80 no text at all \xc3\x28".into(),
        b"\xef\xbb\xbf{}".into(),
        b"\r\n\t {\t\"type\"\r\n:\n\"customer.created\" , \"a\" : 1 } \r\n\r\n".into(),
        br#"{"type":"customer.created","a":1,"a":2,"a":{"b":1,"b":null}}"#.into(),
        br#"{"type":"customer.created","a":"\u0000","b":"\ud800","c":"\udc00\ud800","d":1e200000,"e":-0.0,"f":1E+400}"#
            .into(),
        b"{\"type\":\"customer.created\",\"a\":\"\xff\"}".into(),
        br#"{"type":"customer.created","a":0.1000000000000000055511151231257827021181583404541015625}"#.into(),
        "{\"type\":\"customer.created\",\"a\":\"é e\u{301} \u{202e}\u{feff}\"}".into(),
        b"'; drop table inbox; --".into(),
        completed_with("aor_unknown", br#""\u0000""#),
        large,
    ];
    for (n, body) in bodies.iter().enumerate() {
        let event_id = format!("msg_{n:02}");
        app.webhook().id(&event_id).body(body.clone()).acknowledged().await;
        let stored = app.inbox().await;
        assert_eq!(stored.len(), n + 1);
        assert!(stored[n].event_id == event_id && stored[n].body == *body, "{}", String::from_utf8_lossy(body));
    }
    app.settle().await;
    let stored: Vec<Vec<u8>> = app.inbox().await.into_iter().map(|it| it.body).collect();
    assert!(stored == bodies, "deciding changed a body");
    app.finish().await;
}

/// P2: Postgres would refuse each of them as jsonb, or change it.
#[tokio::test]
async fn legal_json_that_a_database_would_refuse_is_stored_and_applied() {
    for odd in [r#""\u0000""#, r#""\ud800""#, r#""\udc00 x \ud800""#, "1e200000", "-1e-200000", r#"{"\u0000":[{}]}"#] {
        let app = TestApp::start().await;
        let (id, tracking_id) = app.open().waiting().await;
        let body = completed_with(&tracking_id, odd.as_bytes());
        app.webhook().body(body.clone()).acknowledged().await;
        app.settle().await;
        assert_eq!(app.opening(&id).await["state"], "completed", "{odd}");
        let stored = app.inbox().await;
        assert_eq!((stored[0].settled(), &stored[0].body), (("applied", Some("applied")), &body), "{odd}");
        app.finish().await;
    }
}

#[tokio::test]
async fn a_signed_body_that_cannot_be_understood_is_acknowledged_and_a_dead_letter_at_once() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    let unreadable = [
        String::new(),
        "not json".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        message(&tracking_id, "COMPLETED", Some(IBAN)) + "}",
        message(&tracking_id, "COMPLETED", Some(IBAN)).replace(r#"{"type""#, "{type"),
        message(&tracking_id, "COMPLETED\",\"status\":\"REJECTED", Some(IBAN)),
        message("", "COMPLETED", Some(IBAN)),
        message("\\u0000", "COMPLETED", Some(IBAN)),
        message("\\ud800", "COMPLETED", Some(IBAN)),
        message(&"x".repeat(256), "COMPLETED", Some(IBAN)),
        r#"{"type":"account_opening_request.status_changed","data":{"status":"COMPLETED"}}"#.to_owned(),
        r#"{"type":"account_opening_request.status_changed","data":null}"#.to_owned(),
    ];
    for (n, body) in unreadable.iter().enumerate() {
        app.webhook().id(&format!("msg_{n}")).body(body.clone()).acknowledged().await;
        // At once: no worker has run.
        let letters = app.items("/v1/dead-letters?queue=inbox").await;
        assert_eq!((letters.len(), &letters[0]["cause"]), (n + 1, &json!("unreadable")), "{body}");
        let whole = app.get(&format!("/v1/dead-letters/{}", letters[0]["id"].as_str().unwrap())).await;
        let shown = whole["payload"].as_str().map_or_else(|| whole["payload"].clone(), |text| json!(text));
        let expected = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
        assert_eq!(shown, expected);
    }
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "awaiting_provider");
    assert_eq!(app.items("/v1/dead-letters").await.len(), unreadable.len());
    assert!(app.inbox().await.iter().all(|it| it.settled() == ("dead", Some("unreadable"))));
    app.finish().await;
}

#[tokio::test]
async fn an_unknown_event_type_is_acknowledged_and_kept_as_ignored() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    let known = message(&tracking_id, "COMPLETED", Some(IBAN));
    let other = known.replace("status_changed", "status_guessed");
    app.webhook().body(other).acknowledged().await;
    app.webhook().body(of_no_concern(0)).acknowledged().await;
    app.settle().await;
    assert!(app.inbox().await.iter().all(|it| it.settled() == ("ignored", Some("unknown_type"))));
    assert_eq!(app.opening(&id).await["state"], "awaiting_provider");
    assert!(app.items("/v1/dead-letters").await.is_empty());
    app.finish().await;
}

#[tokio::test]
async fn an_unknown_status_is_shown_and_never_guessed_at() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    let mut before = app.opening(&id).await;
    let words = ["completed", "COMPLETED ", "CANCELLED", "", "WAITING_FOR_DOCUMENTS", "COMPLETED\\u0000"];
    for word in words {
        app.webhook().body(message(&tracking_id, word, Some(IBAN))).acknowledged().await;
    }
    app.settle().await;
    assert!(app.inbox().await.iter().all(|it| it.settled() == ("ignored", Some("unknown"))));
    // The last word is recorded, and nothing else.
    before["provider_status"] = json!("COMPLETED\u{fffd}");
    assert_eq!(app.opening(&id).await, before);
    let timeline = app.items(&format!("/v1/account-openings/{id}/timeline")).await;
    let shown = timeline.iter().filter(|it| it["kind"] == "webhook" && it["detail"]["outcome"] == "unknown").count();
    assert_eq!(shown, words.len(), "{timeline:?}");
    // A webhook that comes after is understood.
    app.webhook().completed(&tracking_id, IBAN).acknowledged().await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    app.finish().await;
}

#[tokio::test]
async fn a_body_nested_without_end_is_taken_and_handled() {
    let app = TestApp::start().await;
    let (id, tracking_id) = app.open().waiting().await;
    let depth = 100_000;
    let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for body in [deep.clone(), "[".repeat(depth), r#"{"a":"#.repeat(depth / 3)] {
        app.webhook().body(body).acknowledged().await;
    }
    assert_eq!(app.items("/v1/dead-letters").await.len(), 3);
    for letter in app.items("/v1/dead-letters").await {
        app.get(&format!("/v1/dead-letters/{}", letter["id"].as_str().unwrap())).await;
    }
    let body = message(&tracking_id, "COMPLETED", Some(IBAN)).replacen('{', &format!(r#"{{"deep":{deep},"#), 1);
    app.webhook().body(body).acknowledged().await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    app.finish().await;
}

#[tokio::test]
async fn a_body_of_a_million_keys_is_taken_and_handled() {
    let app = TestApp::with()
        .settings(|it| {
            it.webhook_max_bytes = (16 * 1_024 * 1_024).to_string();
            it.ack_timeout = "60s".to_owned();
        })
        .start()
        .await;
    let (id, tracking_id) = app.open().waiting().await;
    let keys: Vec<String> = (0..1_000_000).map(|n| format!(r#""{n:x}":0"#)).collect();
    let keys = format!("{{{},", keys.join(","));
    let body = message(&tracking_id, "COMPLETED", Some(IBAN)).replacen('{', &keys, 1);
    app.webhook().body(body.clone()).acknowledged().await;
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    assert!(app.inbox().await[0].body == body.as_bytes());
    app.finish().await;
}

/// An index would refuse it, after the answer was promised.
#[tokio::test]
async fn an_event_id_of_any_length_is_stored_once() {
    let app = TestApp::start().await;
    let long = "m".repeat(6_000);
    let almost = format!("{}n", &long[1..]);
    for event_id in [&long, &almost, &long] {
        app.webhook().id(event_id).body(of_no_concern(0)).acknowledged().await;
    }
    let counted: Vec<i32> = app.inbox().await.iter().map(|it| it.duplicates).collect();
    assert_eq!(counted, [1, 0]);
    app.finish().await;
}
