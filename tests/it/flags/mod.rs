//! The feature flag and the legacy synchronous flow.

mod answers;
mod faults;
mod flip;
mod processes;
mod rules;

use reqwest::{Method, Response};
use serde_json::{Value, json};
use world::Endpoint;

use crate::support::{OpeningBuilder, TestApp, meanwhile};

const FLAG: &str = "/v1/feature-flags/async-account-opening";

/// An answer to a start, to the byte.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    location: String,
    replayed: bool,
    body: String,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let header = |name: &str| response.headers().get(name).map(|it| it.to_str().unwrap().to_owned());
        Self {
            status: response.status().as_u16(),
            location: header("location").unwrap_or_default(),
            replayed: header("idempotent-replayed").as_deref() == Some("true"),
            body: response.text().await.unwrap(),
        }
    }

    fn resource(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn id(&self) -> String {
        self.resource()["id"].as_str().unwrap().to_owned()
    }
}

/// An opening on the synchronous flow.
fn sync(app: &TestApp) -> OpeningBuilder<'_> {
    app.open().body(|it| it["flow"] = json!("sync"))
}

/// Sends it, with the workers at work until it is answered.
async fn answered(app: &TestApp, opening: OpeningBuilder<'_>) -> Answer {
    answered_while(app, opening, async || app.settle().await).await
}

/// Sends it, and does this again and again until it is answered.
async fn answered_while(app: &TestApp, opening: OpeningBuilder<'_>, work: impl AsyncFn()) -> Answer {
    let answer = meanwhile(async { Answer::of(opening.send().await).await }, work).await;
    app.settle().await;
    answer
}

/// Sets the flag, as the admin.
async fn set(app: &TestApp, body: Value) -> Value {
    let response = app.request(Method::PUT, FLAG).json(&body).send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// How often the legacy call was made for an opening, and with how many keys; how many accounts came of it.
fn calls(app: &TestApp, id: &str) -> (u64, usize, usize) {
    let record = app.world.opening(id).unwrap();
    let mut keys: Vec<_> =
        record.log.iter().filter(|it| it.endpoint == Endpoint::OpenAccount).map(|it| &it.key).collect();
    keys.dedup();
    (record.calls(Endpoint::OpenAccount), keys.len(), record.requests.len())
}

/// Rows of a table.
async fn count(app: &TestApp, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&app.pool).await.unwrap()
}
