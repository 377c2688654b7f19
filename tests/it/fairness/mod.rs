//! Fairness under load: a flood delays no others. The tests count in how many batches a fact is decided, not in what
//! time. The floods are of thousands; what holds for them does not depend on their length.

mod floods;
mod lanes;
mod outbox;
mod room;

use account_opening::driver::Worker;
use account_opening::inbox::{Decided, InboxWorker};
use futures::future::join_all;
use serde_json::json;

use crate::support::TestApp;

/// How long a flood is.
const FLOOD: usize = 2_000;
/// Requests at once: what a provider that floods us may have under way.
const AT_ONCE: usize = 100;

const IBAN: &str = "BE68539007547034";
const OTHER_IBAN: &str = "BE71096123456769";

/// Sends messages about these requests in turn, in this order, each another one: none is a copy.
async fn flood(app: &TestApp, tracking_ids: &[String], messages: usize) {
    let numbers: Vec<usize> = (0..messages).collect();
    for numbers in numbers.chunks(AT_ONCE) {
        join_all(numbers.iter().map(|n| {
            let tracking_id = &tracking_ids[n % tracking_ids.len()];
            let data = json!({"account_opening_request_id": tracking_id, "status": "IN_PROGRESS", "n": n});
            app.webhook().data(data).acknowledged()
        }))
        .await;
    }
}

/// One batch of the inbox worker.
async fn batch(app: &TestApp) -> Decided {
    InboxWorker::new(app.context.clone()).tick().await.unwrap()
}

/// How many facts wait.
async fn waiting(app: &TestApp) -> i64 {
    sqlx::query_scalar("select count(*) from inbox where status = 'pending'").fetch_one(&app.pool).await.unwrap()
}

/// How many facts are in each lane, in the order of the lanes.
async fn lanes(app: &TestApp) -> Vec<(String, i64)> {
    let lanes = "select lane, count(*) from inbox where source = 'webhook' group by lane order by lane";
    sqlx::query_as(lanes).fetch_all(&app.pool).await.unwrap()
}
