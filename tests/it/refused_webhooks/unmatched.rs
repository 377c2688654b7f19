//! Facts that match no opening are listed while they wait, and after.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{TestApp, keys};

const UNMATCHED: &str = "/v1/unmatched-facts";

#[tokio::test]
async fn a_fact_without_an_opening_is_listed_until_it_has_one() {
    let app = TestApp::start().await;
    app.open().waiting().await;
    assert_eq!(app.items(UNMATCHED).await, Vec::<Value>::new());
    let claimed = app.state.shell.ids.next().to_string();
    let data = json!({"account_opening_request_id": "aor_unknown", "reference": claimed, "status": "REJECTED",
                      "rejection_reason": "canary"});
    app.webhook().data(data).acknowledged().await;
    app.settle().await;
    app.webhook().status("aor_other", "IN_PROGRESS").acknowledged().await;
    app.settle().await;
    let items = app.items(UNMATCHED).await;
    assert_eq!(items.len(), 2);
    assert_eq!(items[0]["provider_reference"], "aor_other");
    let fields = [
        "id",
        "next_attempt_at",
        "opening_id",
        "provider",
        "provider_reference",
        "received_at",
        "source",
        "status",
        "waits_until",
    ];
    assert_eq!(keys(&items[1]), fields.into_iter().collect());
    assert!(!items[1].to_string().contains("canary"));
    assert_eq!(
        (&items[1]["provider_reference"], &items[1]["opening_id"], &items[1]["status"], &items[1]["source"]),
        (&json!("aor_unknown"), &json!(claimed), &json!("pending"), &json!("webhook"))
    );
    assert!(items[1]["next_attempt_at"].is_string());
    assert_eq!(items[1]["waits_until"], "2026-01-02T00:00:00Z", "PARKED_TTL after its receipt");
    app.pass_settling(TimeDelta::hours(25), TimeDelta::hours(1)).await;
    let items = app.items(UNMATCHED).await;
    assert_eq!(items.len(), 2);
    assert!(items.iter().all(|it| it["status"] == "dead" && it["next_attempt_at"].is_null()), "{items:?}");
    // A discarded fact is not listed again.
    let letter = items[0]["id"].as_str().unwrap();
    assert_eq!(app.post(&format!("/v1/dead-letters/{letter}/discard"), &json!({"reason": "not ours"})).await.0, 202);
    assert_eq!(app.items(UNMATCHED).await.len(), 1);
    app.finish().await;
}
