//! Refusals as problem documents (RFC 9457).

use std::collections::BTreeSet;

use serde_json::Value;

/// Reads an answer that must be a problem of this status and type; its pointers, in order.
pub async fn problem(response: reqwest::Response, status: u16, kind: &str) -> Vec<String> {
    let (got, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    assert_eq!(got, status, "{kind}: {text}");
    assert_eq!(headers["content-type"], "application/problem+json", "{text}");
    let body: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&body["type"], &body["status"]), (&kind.into(), &status.into()), "{body}");
    assert!(body["title"].as_str().is_some_and(|it| !it.is_empty()), "{body}");
    assert_eq!(body["request_id"], headers["x-request-id"].to_str().unwrap(), "{body}");
    let errors = body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    for error in errors {
        assert_eq!(keys(error), BTreeSet::from(["detail", "pointer"]), "{body}");
        assert!(error["detail"].as_str().is_some_and(|it| !it.is_empty()), "{body}");
    }
    errors.iter().map(|it| it["pointer"].as_str().unwrap().to_owned()).collect()
}

/// The names of an object's fields.
pub fn keys(object: &Value) -> BTreeSet<&str> {
    object.as_object().unwrap_or_else(|| panic!("no object: {object}")).keys().map(String::as_str).collect()
}
