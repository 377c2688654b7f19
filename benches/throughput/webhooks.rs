//! Webhooks as bytes, made before the clock starts.

use account_opening::clock::Clock;
use account_opening::config::DEVELOPMENT_WEBHOOK_SECRET;
use account_opening::provider::signature::{self, WebhookSecret};
use serde_json::json;

use crate::numbers::{self, Kind};

/// A request that completes an opening.
pub struct Webhook {
    /// The opening's number.
    pub n: u64,
    /// Head and body.
    pub bytes: Vec<u8>,
}

/// What says that number n is completed.
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

/// The headers of a request with this body, signed now.
pub fn headers(n: u64, body: &str, secret: &WebhookSecret) -> [(&'static str, String); 6] {
    let (id, now) = (format!("msg_{n}"), Clock::system().now());
    let signature = signature::sign(secret, &id, now, body.as_bytes());
    [
        ("host", "127.0.0.1:8080".to_owned()),
        ("content-type", "application/json".to_owned()),
        ("content-length", body.len().to_string()),
        (signature::ID, id),
        (signature::TIMESTAMP, now.timestamp().to_string()),
        (signature::SIGNATURE, signature),
    ]
}

pub fn secret() -> WebhookSecret {
    WebhookSecret::parse(DEVELOPMENT_WEBHOOK_SECRET).expect("the development secret")
}

/// One request for each of `first..first + count`.
pub fn make(first: u64, count: u64) -> Vec<Webhook> {
    let secret = secret();
    let make = |n| {
        let body = body(n);
        let mut text = "POST /webhooks/nexusbank HTTP/1.1\r\n".to_owned();
        for (name, value) in headers(n, &body, &secret) {
            text.extend([name, ": ", &value, "\r\n"]);
        }
        text.extend(["\r\n", &body]);
        Webhook { n, bytes: text.into_bytes() }
    };
    (first..first + count).map(make).collect()
}
