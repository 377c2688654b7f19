//! Acts of operators: they end openings, judge cases and erase what has ended; each act is recorded.

mod acts;
mod cases;
mod erasure;
mod orders;
mod outbox;
mod races;
mod rehearsals;
mod resolve;
mod versions;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestApp;

const IBAN: &str = "BE68539007547034";
const OTHER_IBAN: &str = "BE71096123456769";

/// POSTs as an operator.
async fn post(app: &TestApp, path: &str, body: &Value) -> reqwest::Response {
    app.request_as("operator-token", Method::POST, path).json(body).send().await.unwrap()
}

/// POSTs as an operator; it must be taken.
async fn taken(app: &TestApp, path: &str, body: &Value) {
    let response = post(app, path, body).await;
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, 202, "{path}: {text}");
}

/// A decision with this outcome; `completed` with an account, but no tracking id.
fn decision(outcome: &str) -> Value {
    let mut body = json!({"outcome": outcome, "reason": "seen at the bank", "evidence": "their letter\nof 3 January"});
    if outcome == "completed" {
        body["iban"] = json!(IBAN);
        body["bic"] = json!("NEXUBEBB");
    }
    body
}

fn resolve_path(id: &str) -> String {
    format!("/v1/account-openings/{id}/resolve")
}

async fn resolve(app: &TestApp, id: &str, outcome: &str) -> u16 {
    post(app, &resolve_path(id), &decision(outcome)).await.status().as_u16()
}

/// The recorded acts on an opening, newest first.
async fn actions(app: &TestApp, id: &str) -> Vec<Value> {
    app.items(&format!("/v1/operator-actions?opening_id={id}")).await
}

/// A valid Belgian IBAN for each opening: no two may hold the same.
fn iban(n: usize) -> String {
    let account = format!("5390{n:06}");
    let account = format!("{account}{:02}", account.parse::<u64>().unwrap() % 97);
    let check = 98 - format!("{account}111400").parse::<u128>().unwrap() % 97;
    format!("BE{check:02}{account}")
}
