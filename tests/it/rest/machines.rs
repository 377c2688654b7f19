//! Endpoints that machines read: the description, health, metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use account_opening::driver::{Schedule, drive};
use account_opening::inbox::InboxWorker;
use chrono::TimeDelta;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use world::{Fault, Plan};

use crate::support::{TestApp, eventually};

const ROUTES: &[(&str, &str)] = &[
    ("post", "/v1/account-openings"),
    ("get", "/v1/account-openings"),
    ("get", "/v1/account-openings/{id}"),
    ("get", "/v1/account-openings/{id}/history"),
    ("get", "/v1/account-openings/{id}/timeline"),
    ("post", "/v1/account-openings/{id}/poll"),
    ("get", "/v1/dead-letters"),
    ("get", "/v1/dead-letters/{id}"),
    ("post", "/v1/dead-letters/{id}/redrive"),
    ("post", "/v1/dead-letters/{id}/discard"),
    ("get", "/v1/breakers"),
    ("put", "/v1/breakers/{provider}/{operation}"),
    ("get", "/v1/cases"),
    ("get", "/v1/cases/{id}"),
    ("get", "/v1/mismatches"),
    ("get", "/v1/mismatches/{id}"),
    ("post", "/v1/reports"),
    ("post", "/v1/reports/pull"),
    ("get", "/v1/reports"),
    ("get", "/v1/reports/{id}"),
    ("get", "/v1/reports/{id}/rows"),
    ("get", "/v1/reports/{id}/errors"),
    ("get", "/v1/reports/{id}/raw"),
    ("get", "/v1/reports/{id}/evidence"),
    ("post", "/v1/reports/{id}/release"),
    ("post", "/v1/reports/{id}/discard"),
    ("get", "/v1/tickets"),
    ("get", "/v1/events"),
    ("post", "/v1/account-openings/{id}/resolve"),
    ("post", "/v1/account-openings/{id}/erase"),
    ("post", "/v1/cases/{id}/resolve"),
    ("get", "/v1/operator-actions"),
    ("get", "/v1/feature-flags"),
    ("put", "/v1/feature-flags/{flag}"),
    ("get", "/v1/feature-flags/{flag}/changes"),
    ("post", "/v1/providers/{provider}/backfill"),
    ("get", "/v1/providers/{provider}/backfills"),
    ("get", "/v1/rejected-requests"),
    ("get", "/v1/rejected-requests/{id}"),
    ("post", "/v1/rejected-requests/{id}/reverify"),
    ("post", "/v1/rejected-requests/reverify"),
    ("get", "/v1/webhook-secrets"),
    ("get", "/v1/unmatched-facts"),
    ("get", "/v1/fee-ledger"),
    ("get", "/v1/fee-ledger/balances"),
    ("get", "/v1/outbox"),
    ("post", "/v1/outbox/{id}/discard"),
    ("post", "/company/account-opening/set-status-sandbox"),
];

/// The metrics that alerts and dashboards elsewhere rely on, with their labels, but for the breaker's.
const METRICS: [(&str, &[&str]); 18] = [
    ("webhooks_total", &["provider", "outcome"]),
    ("webhook_ack_seconds", &[]),
    ("burst_duplicates_total", &[]),
    ("queue_depth", &["queue"]),
    ("queue_oldest_seconds", &["queue"]),
    ("processing_seconds", &["queue"]),
    ("openings", &["state", "market"]),
    ("transitions_total", &["from", "to"]),
    ("attempts_total", &["topic", "outcome"]),
    ("retries_total", &["topic", "reason"]),
    ("failures_total", &["reason"]),
    ("dead_letters", &["queue", "cause"]),
    ("polls_total", &["provider", "outcome"]),
    ("escalations_total", &["market"]),
    ("terminal_total", &["source", "outcome"]),
    ("catch_up_pages_total", &["provider", "outcome"]),
    ("catch_up_items_total", &["provider", "outcome"]),
    ("last_webhook_age_seconds", &["provider", "market"]),
];

async fn text(app: &TestApp, path: &str) -> String {
    let response = app.client.get(format!("{}{path}", app.internal)).send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    response.text().await.unwrap()
}

#[tokio::test]
async fn the_description_names_every_route_and_what_it_may_answer() {
    let app = TestApp::start().await;
    let description: Value = serde_json::from_str(&text(&app, "/openapi.json").await).unwrap();
    assert!(description["openapi"].as_str().unwrap().starts_with("3."));
    let mut described = BTreeSet::new();
    for (path, operations) in description["paths"].as_object().unwrap() {
        for (verb, operation) in operations.as_object().unwrap() {
            described.insert((verb.as_str(), path.as_str()));
            for (status, answer) in operation["responses"].as_object().unwrap() {
                let shared = answer["$ref"].as_str().and_then(|it| description.pointer(it.trim_start_matches('#')));
                let kind =
                    shared.unwrap_or(answer)["content"].as_object().map(|it| it.keys().cloned().collect::<Vec<_>>());
                let problem = Some(vec!["application/problem+json".to_owned()]);
                assert_eq!(status.as_str() >= "4", kind == problem, "{verb} {path} {status}");
            }
        }
    }
    assert_eq!(described, ROUTES.iter().copied().collect());
    // Every reference in it leads somewhere.
    let whole = description.to_string();
    for reference in whole.split(r##""$ref":"#"##).skip(1).map(|it| it.split('"').next().unwrap()) {
        assert!(description.pointer(reference).is_some(), "{reference}");
    }
    app.finish().await;
}

#[tokio::test]
async fn the_page_to_read_it_needs_nothing_from_elsewhere() {
    let app = TestApp::start().await;
    let response = app.client.get(format!("{}/docs", app.internal)).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'self'") && !policy.contains("http"), "{policy}");
    let at = response.url().clone();
    let page = response.text().await.unwrap();
    assert!(page.to_lowercase().contains("<html"));
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("=\"//"), "{page}");
    let links: Vec<&str> = ["src=\"", "href=\""]
        .iter()
        .flat_map(|name| page.split(name).skip(1).map(|it| it.split('"').next().unwrap()))
        .collect();
    assert!(links.iter().any(|it| it.contains("swagger-initializer")), "{links:?}");
    for link in links {
        let url = at.join(link).unwrap();
        assert!(url.as_str().starts_with(&app.internal), "{url}");
        assert_eq!(app.client.get(url).send().await.unwrap().status(), 200, "{link}");
    }
    app.finish().await;
}

/// The test's clock stands in another year than the database's.
#[tokio::test]
async fn a_service_whose_clock_is_off_lives_and_is_not_ready() {
    let app = TestApp::start().await;
    for listener in [&app.internal, &app.public] {
        assert_eq!(app.client.get(format!("{listener}/livez")).send().await.unwrap().status(), 200);
    }
    let response = app.client.get(format!("{}/readyz", app.internal)).send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["ready"], false);
    let problems: Vec<&str> = body["problems"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    assert!(problems.contains(&"our clock is over 5 s away from the database's"), "{problems:?}");
    app.finish().await;
}

/// The names of the labels of every series, by metric.
fn series(text: &str) -> BTreeMap<String, BTreeSet<BTreeSet<String>>> {
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for line in text.lines().filter(|it| !it.starts_with('#') && !it.is_empty()) {
        let (name, rest) = line.split_once(['{', ' ']).unwrap();
        let labels = if line.contains('{') { rest.rsplit_once('}').unwrap().0 } else { "" };
        let names = labels.split("\",").filter_map(|it| it.split_once('=')).map(|(name, _)| name.to_owned());
        let names = names.filter(|it| it != "le" && it != "quantile").collect();
        let name = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        found.entry(name.to_owned()).or_default().insert(names);
    }
    found
}

#[tokio::test]
async fn after_a_journey_every_metric_is_there_with_its_labels() {
    let app = TestApp::start().await;
    let plan = Plan { submit: vec![Fault::ErrorBefore { status: 500 }], ..Plan::by_hand() };
    let id = app.open().market("LU").plan(plan).start().await;
    app.pass_settling(TimeDelta::hours(13), TimeDelta::minutes(30)).await;
    let tracking_id = app.opening(&id).await["provider_reference"].as_str().unwrap().to_owned();
    app.webhook().body("not JSON").acknowledged().await;
    for _ in 0..2 {
        app.webhook().id("msg_1").completed(&tracking_id, "BE68539007547034").acknowledged().await;
    }
    // The driver is what times a tick.
    let stop = CancellationToken::new();
    let schedule = Schedule::new(Arc::default(), Duration::from_millis(50), 1);
    let driver =
        tokio::spawn(drive(InboxWorker::new(app.context.clone()), schedule, app.state.shell.ids.clone(), stop.clone()));
    eventually("the driver's tick", async || (app.opening(&id).await["state"] == "issuing_card").then_some(())).await;
    stop.cancel();
    driver.await.unwrap();
    app.settle().await;

    let text = text(&app, "/metrics").await;
    let found = series(&text);
    for (name, labels) in METRICS {
        let name = format!("account_opening_{name}");
        let labels: BTreeSet<String> = labels.iter().map(|it| (*it).to_owned()).collect();
        assert_eq!(found.get(&name), Some(&BTreeSet::from([labels])), "{name}");
    }
    for line in [
        r#"account_opening_openings{state="completed",market="LU"} 1"#,
        r#"account_opening_dead_letters{queue="inbox","#,
        r#"account_opening_queue_depth{queue="inbox"}"#,
        r#"account_opening_queue_depth{queue="outbox"}"#,
        r#"account_opening_queue_depth{queue="timers"}"#,
        r#"account_opening_escalations_total{market="LU"}"#,
        r#"account_opening_terminal_total{source="webhook",outcome="completed"}"#,
    ] {
        assert!(text.contains(line), "{line}");
    }
    for personal in [id.as_str(), &tracking_id, "Acme", "BE685"] {
        assert!(!text.contains(personal), "{personal} is no label");
    }
    app.finish().await;
}
