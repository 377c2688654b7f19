//! Answers of other systems that a document does not foresee: refusals without a code, waits without measure, text in a broken
//! encoding, bodies that are compressed unasked. None of them costs a customer an answer.

mod compressed;
mod prose;
mod refusals;
mod waits;

use chrono::TimeDelta;
use serde_json::{Value, json};
use world::Endpoint;

use crate::support::TestApp;

/// Enough for two repeats of a call that failed.
async fn a_minute(app: &TestApp) {
    app.pass_settling(TimeDelta::minutes(1), TimeDelta::seconds(5)).await;
}

/// How many calls of this kind the world had for an opening.
fn calls(app: &TestApp, id: &str, endpoint: Endpoint) -> u64 {
    app.world.opening(id).map_or(0, |it| it.calls(endpoint))
}

/// The opening must be in this state; returned for a further look.
async fn expect_state(app: &TestApp, id: &str, state: &str) -> Value {
    let opening = app.opening(id).await;
    assert_eq!(opening["state"], state, "{opening}");
    opening
}

/// The body of a start on the legacy flow.
fn on_the_legacy_flow(body: &mut Value) {
    body["flow"] = json!("sync");
}
