//! When a provider was last heard of.

use account_opening::clock::Time;
use account_opening::workers::webhook_marks;
use chrono::TimeDelta;
use serde_json::json;

use super::{complete, restart, waiting};
use crate::support::TestApp;

/// The marks in the database.
async fn marks(app: &TestApp) -> Vec<(String, String, Time)> {
    let marks = sqlx::query_as(
        "select provider, market, last_received_at from webhook_marks
                                  where last_received_at is not null order by market",
    );
    marks.fetch_all(&app.pool).await.unwrap()
}

async fn in_progress(app: &TestApp, tracking_id: &str) {
    let data = json!({"account_opening_request_id": tracking_id, "status": "IN_PROGRESS", "at": app.now()});
    app.webhook().data(data).acknowledged().await;
    app.settle().await;
}

#[tokio::test]
async fn a_webhook_that_found_its_opening_marks_its_market_and_nothing_else_does() {
    let app = TestApp::start().await;
    let (_, be) = app.open().market("BE").waiting().await;
    let (sandboxed, _) = app.open().market("NL").waiting().await;
    let (polled, _) = app.open().market("FR").waiting().await;
    let began = app.now();
    in_progress(&app, &be).await;
    let mark = |at| ("nexusbank".to_owned(), "BE".to_owned(), at);
    assert_eq!(marks(&app).await, [mark(began)]);

    app.pass(TimeDelta::minutes(1));
    let body = json!({"account_opening_request_id": sandboxed, "status": "IN_PROGRESS"});
    assert_eq!(app.post("/company/account-opening/set-status-sandbox", &body).await.0, 202);
    assert_eq!(app.post(&format!("/v1/account-openings/{polled}/poll"), &json!({})).await.0, 202);
    app.webhook().status("aor_of_nobody", "IN_PROGRESS").acknowledged().await;
    let backfill = json!({"reason": "x", "since": "2025-12-31T00:00:00Z"});
    assert_eq!(app.post("/v1/providers/nexusbank/backfill", &backfill).await.0, 202);
    app.settle().await;
    assert_eq!(marks(&app).await, [mark(began)]);
    in_progress(&app, &be).await;
    assert_eq!(marks(&app).await, [mark(began + TimeDelta::minutes(1))]);
    app.finish().await;
}

/// A dead letter that is redriven is as old as it was.
#[tokio::test]
async fn a_mark_is_the_time_of_receipt_however_late_it_is_decided() {
    let app = TestApp::with().settings(|it| it.parked_ttl = "1h".to_owned()).start().await;
    let (id, tracking_id) = app.open().waiting().await;
    let early = app.now();
    let data = json!({"account_opening_request_id": tracking_id, "reference": id, "status": "IN_PROGRESS"});
    app.webhook().data(data).acknowledged().await;
    app.pass(TimeDelta::minutes(5));
    app.settle().await;
    assert_eq!(marks(&app).await[0].2, early);
    app.finish().await;
}

#[tokio::test]
async fn marks_are_written_a_tick_later_only_when_they_moved_and_never_go_back() {
    let mut app = TestApp::start().await;
    let (_, tracking_id) = app.open().waiting().await;
    in_progress(&app, &tracking_id).await;
    let first = marks(&app).await;
    assert_eq!(webhook_marks::exchange(&app.context).await.unwrap(), 0);
    // Another replica has heard of the bank since.
    let later = app.now() + TimeDelta::minutes(3);
    sqlx::query("update webhook_marks set last_received_at = $1").bind(later).execute(&app.pool).await.unwrap();
    app.pass(TimeDelta::minutes(1));
    let data = json!({"account_opening_request_id": tracking_id, "status": "IN_PROGRESS", "at": app.now()});
    app.webhook().data(data).acknowledged().await;
    app.pass(TimeDelta::minutes(3));
    app.settle().await;
    assert_eq!(marks(&app).await[0].2, later);
    assert!(first[0].2 < later);
    restart(&mut app);
    let marked = webhook_marks::exchange(&app.context).await.unwrap();
    assert_eq!(marked, 0);
    assert_eq!(app.context.webhook_activity.unstored(), []);
    app.settle().await;
    app.finish().await;
}

#[tokio::test]
async fn the_metrics_tell_how_long_each_market_has_been_silent_also_while_the_database_is_away() {
    // Markets that no other test in this process speaks of.
    let app = TestApp::with().through_proxy().start().await;
    let (_, lu) = app.open().market("LU").waiting().await;
    in_progress(&app, &lu).await;
    app.pass(TimeDelta::seconds(90));
    let (_, mt) = app.open().market("MT").waiting().await;
    in_progress(&app, &mt).await;
    app.pass(TimeDelta::seconds(30));
    let shown =
        async || app.client.get(format!("{}/metrics", app.internal)).send().await.unwrap().text().await.unwrap();
    let age = |text: &str, market: &str| {
        let labels = format!("account_opening_last_webhook_age_seconds{{provider=\"nexusbank\",market=\"{market}\"}} ");
        let found = text.lines().find_map(|line| line.strip_prefix(&labels)).map(str::to_owned);
        found.unwrap_or_else(|| panic!("{text}"))
    };
    let text = shown().await;
    assert_eq!((age(&text, "LU"), age(&text, "MT")), ("120".to_owned(), "30".to_owned()));
    app.finish().await;
}

#[tokio::test]
async fn a_start_learns_the_marks_of_before_and_goes_on_from_them() {
    let mut app = TestApp::start().await;
    let (_, tracking_id) = app.open().market("LT").waiting().await;
    in_progress(&app, &tracking_id).await;
    let ids = waiting(&app, 1).await;
    complete(&app, &ids);
    app.pass(TimeDelta::hours(1));
    restart(&mut app);
    webhook_marks::exchange(&app.context).await.unwrap();
    app.context.webhook_activity.show(app.now());
    let text = app.state.metrics.render();
    assert!(text.contains("{provider=\"nexusbank\",market=\"LT\"} 3600"), "{text}");
    app.settle().await;
    app.finish().await;
}

/// G5: where no webhook ever came, silence begins when the first opening begins to wait, and a restart or another replica knows it.
#[tokio::test]
async fn a_market_that_was_never_heard_of_is_silent_since_its_first_opening_waits() {
    // A market that no other test in this process speaks of.
    let series = "account_opening_last_webhook_age_seconds{provider=\"nexusbank\",market=\"SM\"} ";
    let mut app = TestApp::start().await;
    let (first, _) = app.open().market("SM").waiting().await;
    app.pass(TimeDelta::minutes(2));
    let (_, second) = app.open().market("SM").waiting().await;
    app.pass(TimeDelta::minutes(1));
    let shown = async |app: &TestApp| {
        let text = app.client.get(format!("{}/metrics", app.internal)).send().await.unwrap().text().await.unwrap();
        text.lines().find_map(|line| line.strip_prefix(series).map(str::to_owned))
    };
    assert_eq!(shown(&app).await.as_deref(), Some("180"));
    // Its successor on the same database knows the same.
    restart(&mut app);
    webhook_marks::exchange(&app.context).await.unwrap();
    app.pass(TimeDelta::minutes(1));
    app.context.webhook_activity.show(app.now());
    let text = app.state.metrics.render();
    assert!(text.contains(&format!("{series}240")), "{text}");
    // The first webhook ends it, whichever opening it is about.
    in_progress(&app, &second).await;
    app.pass(TimeDelta::seconds(10));
    app.context.webhook_activity.show(app.now());
    let text = app.state.metrics.render();
    assert!(text.contains(&format!("{series}10")), "{text}");
    assert_eq!(app.opening(&first).await["state"], "awaiting_provider");
    app.finish().await;
}

/// G5: the first escalation of a market is an increase, since the counter stands at zero before it.
#[tokio::test]
async fn the_escalations_of_a_market_are_counted_from_zero_before_its_first() {
    // A market that no other test in this process speaks of.
    let series = "account_opening_escalations_total{market=\"LI\"} ";
    let app = TestApp::start().await;
    let shown = async || {
        let text = app.client.get(format!("{}/metrics", app.internal)).send().await.unwrap().text().await.unwrap();
        text.lines().find_map(|line| line.strip_prefix(series).map(str::to_owned))
    };
    assert_eq!(shown().await, None);
    app.open().market("LI").waiting().await;
    assert_eq!(shown().await.as_deref(), Some("0"));
    app.pass_settling(TimeDelta::hours(12), TimeDelta::minutes(30)).await;
    assert_eq!(shown().await.as_deref(), Some("1"));
    app.finish().await;
}
