//! Webhooks, as bytes that are made before the clock starts.

use std::sync::LazyLock;

use account_opening::clock::{Clock, Time};
use account_opening::provider::nexusbank::DEVELOPMENT_WEBHOOK_SECRET;
use account_opening::provider::signature::{self, WebhookSecret};
use serde_json::{Map, Value, json};

use crate::connection::Request;
use crate::numbers::{self, Kind};

static SECRET: LazyLock<WebhookSecret> =
    LazyLock::new(|| WebhookSecret::parse(DEVELOPMENT_WEBHOOK_SECRET).expect("the development secret"));

/// Above the numbers of all openings.
const EVENTS_FROM: u64 = 1 << 40;

type Headers = [(&'static str, String); 6];

/// A body that says that opening number n is completed.
pub fn body(n: u64) -> String {
    json!({
        "type": "account_opening_request.status_changed",
        "timestamp": Clock::system().now(),
        "data": {
            "account_opening_request_id": numbers::reference(n), "reference": numbers::id(Kind::Opening, n),
            "status": "COMPLETED", "iban": numbers::iban(n), "bic": numbers::bic(n), "rejection_reason": null,
        },
    })
    .to_string()
}

/// The headers of a request with this body.
pub fn headers(n: u64, body: &str, at: Time, signature: &str) -> Headers {
    [
        ("host", "127.0.0.1:8080".to_owned()),
        ("content-type", "application/json".to_owned()),
        ("content-length", body.len().to_string()),
        (signature::ID, format!("msg_{n}")),
        (signature::TIMESTAMP, at.timestamp().to_string()),
        (signature::SIGNATURE, signature.to_owned()),
    ]
}

/// The signature of a request with this body.
pub fn sign(n: u64, body: &str, at: Time) -> String {
    signature::sign(&SECRET, &format!("msg_{n}"), at, body.as_bytes())
}

/// Headers as the inbox keeps them.
pub fn stored(headers: &Headers) -> String {
    let map: Map<String, Value> = headers.iter().map(|(name, it)| ((*name).to_owned(), it.as_str().into())).collect();
    Value::from(map).to_string()
}

/// Makes a request for each of the openings `first..first + count`.
pub fn make(first: u64, count: u64) -> Vec<Request> {
    (first..first + count).map(completed).collect()
}

/// A request that completes opening number n.
pub fn completed(n: u64) -> Request {
    request(n, n, &body(n))
}

/// A request that moves nothing: opening number n is in progress, says event number `event`.
pub fn in_progress(n: u64, event: u64) -> Request {
    let body = json!({
        "type": "account_opening_request.status_changed",
        "timestamp": Clock::system().now(),
        "data": {"account_opening_request_id": numbers::reference(n), "status": "IN_PROGRESS", "event": event},
    });
    // Event ids of their own: those of completions are their openings' numbers.
    request(n, event + EVENTS_FROM, &body.to_string())
}

fn request(n: u64, event: u64, body: &str) -> Request {
    let now = Clock::system().now();
    let mut text = "POST /webhooks/nexusbank HTTP/1.1\r\n".to_owned();
    for (name, value) in headers(event, body, now, &sign(event, body, now)) {
        text.extend([name, ": ", &value, "\r\n"]);
    }
    text.extend(["\r\n", body]);
    Request { n, bytes: text.into_bytes() }
}
