//! A thousand forged webhooks: nothing changes, nothing is parsed, and what is kept of them is bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use account_opening::domain::{ProviderRef, Report};
use account_opening::http::listener::Limits;
use account_opening::http::public;
use account_opening::outbound::CallError;
use account_opening::provider::signature::Fingerprint;
use account_opening::provider::{Capabilities, Headers, Incoming, Parsed, Provider, Submission, Verified, VerifyError};
use async_trait::async_trait;
use futures::StreamExt;
use serde_json::{Value, json};

use super::{MIN_BYTES, REJECTED, client_from, forge, held};
use crate::support::{TestApp, listen_as};

const FORGED: usize = 1_000;
const IBAN: &str = "BE68539007547034";

/// The bank's adapter, which counts how often it is asked to parse.
struct Counting {
    bank: Arc<dyn Provider>,
    parsed: Arc<AtomicUsize>,
}

#[async_trait]
impl Provider for Counting {
    fn name(&self) -> &'static str {
        self.bank.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.bank.capabilities()
    }

    async fn submit(&self, submission: &Submission) -> Result<Report, CallError> {
        self.bank.submit(submission).await
    }

    async fn open(&self, submission: &Submission) -> Result<Report, CallError> {
        self.bank.open(submission).await
    }

    async fn lookup(&self, reference: &ProviderRef) -> Result<Report, CallError> {
        self.bank.lookup(reference).await
    }

    async fn recover(&self, submission: &Submission) -> Result<Vec<Report>, CallError> {
        self.bank.recover(submission).await
    }

    fn verify(&self, incoming: &Incoming<'_>) -> Result<Verified, VerifyError> {
        self.bank.verify(incoming)
    }

    fn secrets(&self) -> Vec<Fingerprint> {
        self.bank.secrets()
    }

    fn parse(&self, headers: &Headers, body: &[u8]) -> Parsed {
        self.parsed.fetch_add(1, Ordering::SeqCst);
        self.bank.parse(headers, body)
    }

    fn simulate(&self, report: &Report) -> Vec<u8> {
        self.bank.simulate(report)
    }
}

/// The app, its bank counted at, and how often it parsed.
async fn counting(app: &mut TestApp) -> Arc<AtomicUsize> {
    let parsed = Arc::new(AtomicUsize::new(0));
    let bank = Arc::clone(app.state.outside.providers.get("nexusbank").unwrap());
    let counting: Arc<dyn Provider> = Arc::new(Counting { bank, parsed: Arc::clone(&parsed) });
    let mut state = app.state.clone();
    state.acts.outside.providers = app.providers([counting]);
    app.public = listen_as(public::router(state), Limits::outside(&app.state.settings)).await;
    parsed
}

/// Everything that the service holds to be true or has to do.
async fn state(app: &TestApp) -> Value {
    let mut state = Vec::new();
    for table in [
        "account_openings",
        "opening_history",
        "timers",
        "inbox",
        "outbox",
        "events",
        "cases",
        "tickets",
        "idempotency_keys",
    ] {
        let rows = format!("select coalesce(jsonb_agg(to_jsonb(t) order by to_jsonb(t)), '[]') from {table} t");
        let rows: Value = sqlx::query_scalar(sqlx::AssertSqlSafe(rows)).fetch_one(&app.pool).await.unwrap();
        state.push((table, rows));
    }
    json!(state)
}

/// Messages that the bank would send, would never send, and unreadable ones.
fn body(n: usize, tracking_id: &str) -> String {
    let data =
        json!({"account_opening_request_id": tracking_id, "status": "COMPLETED", "iban": IBAN, "bic": "NEXUBEBB"});
    match n % 3 {
        0 => json!({"type": "account_opening_request.status_changed", "data": data}).to_string(),
        1 => {
            json!({"type": "account_opening_request.status_changed", "data": {"n": n}, "x": "x".repeat(n)}).to_string()
        }
        // Signed, it would be a dead letter.
        _ => format!("not JSON {n}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_forged_webhooks_change_nothing_are_not_parsed_and_what_is_kept_of_them_is_bounded() {
    let mut app = TestApp::with().settings(|it| it.rejected_max_bytes = MIN_BYTES.to_string()).start().await;
    let (id, tracking_id) = app.open().waiting().await;
    let parsed = counting(&mut app).await;
    let before = state(&app).await;

    // A source with few refused webhooks, before the flood: the oldest of all.
    let quiet = client_from([127, 0, 0, 2]);
    for n in 0..20 {
        assert_eq!(forge(&quiet, &app, &format!("quiet_{n}"), &body(n, &tracking_id)).await, 401);
    }
    let quiet_held = held(&app).await[0].clone();
    assert_eq!(quiet_held.0, "127.0.0.2");
    let flood = client_from([127, 0, 0, 1]);
    let forged = (0..FORGED).map(|n| {
        let (app, flood, body) = (&app, &flood, body(n, &tracking_id));
        async move { forge(flood, app, &format!("msg_{n}"), &body).await }
    });
    let mut forged = futures::stream::iter(forged).buffer_unordered(16);
    while let Some(status) = forged.next().await {
        assert_eq!(status, 401);
    }
    drop(forged);

    assert_eq!(parsed.load(Ordering::SeqCst), 0, "nothing was parsed");
    assert_eq!(state(&app).await, before, "no state changed");
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "awaiting_provider");

    // The ledger: within its bound, the flood within half of it, and the quiet one's are all there though they are older.
    let kept = held(&app).await;
    let [(flood, flood_bytes), quiet] = &kept[..] else { panic!("{kept:?}") };
    assert_eq!((flood.as_str(), quiet), ("127.0.0.1", &quiet_held));
    assert!(*flood_bytes <= MIN_BYTES / 2 && *flood_bytes > MIN_BYTES / 4, "{kept:?}");
    let listed = app.items(REJECTED).await;
    assert!(listed.len() > 100 && listed.len() < FORGED, "{}", listed.len());
    assert!(listed.iter().all(|it| it["cause"] == "signature_wrong" && it.get("body").is_none()));
    // The newest are those that are kept.
    let newest = app.get(&format!("{REJECTED}/{}", listed[0]["id"].as_str().unwrap())).await;
    let number: usize = newest["headers"]["webhook-id"].as_str().unwrap()["msg_".len()..].parse().unwrap();
    assert!(number > FORGED - 100, "{number}");

    // No burst remembers what was forged: the same message, signed, is the first of its kind.
    app.webhook().body(body(0, &tracking_id)).acknowledged().await;
    assert_eq!(parsed.load(Ordering::SeqCst), 1);
    app.settle().await;
    assert_eq!(app.opening(&id).await["state"], "completed");
    app.finish().await;
}

/// With nothing but what a head brings: empty bodies are bounded too.
#[tokio::test(flavor = "multi_thread")]
async fn empty_requests_are_bounded_too() {
    let app = TestApp::with().settings(|it| it.rejected_max_bytes = MIN_BYTES.to_string()).start().await;
    let url = format!("{}/webhooks/x", app.public);
    let sent = (0..800).map(|_| async { app.client.post(&url).send().await.unwrap().status().as_u16() });
    let answers: Vec<u16> = futures::stream::iter(sent).buffer_unordered(16).collect().await;
    assert!(answers.iter().all(|it| *it == 404));
    let kept = held(&app).await;
    assert!(kept.len() == 1 && kept[0].1 <= MIN_BYTES / 2, "{kept:?}");
    assert!(app.items(REJECTED).await.len() < 300);
    app.finish().await;
}

/// Three sources that would each hold half: together they hold no more than there is, and the oldest went.
#[tokio::test(flavor = "multi_thread")]
async fn all_sources_together_hold_no_more_than_the_bound() {
    let app = TestApp::with().settings(|it| it.rejected_max_bytes = MIN_BYTES.to_string()).start().await;
    let large = "x".repeat(20_000);
    for source in 1..=3 {
        let client = client_from([127, 0, 0, source]);
        for n in 0..10 {
            assert_eq!(forge(&client, &app, &format!("{source}_{n}"), &large).await, 401);
        }
    }
    let kept = held(&app).await;
    let total: i64 = kept.iter().map(|(_, bytes)| bytes).sum();
    assert!(total <= MIN_BYTES && total > MIN_BYTES - 25_000, "{kept:?}");
    assert!(kept.iter().all(|(_, bytes)| *bytes <= MIN_BYTES / 2), "{kept:?}");
    let sources: Vec<&str> = kept.iter().map(|(source, _)| source.as_str()).collect();
    assert_eq!(sources, ["127.0.0.2", "127.0.0.3"], "the first one's were the oldest");
    app.finish().await;
}

/// A body that would take more than its source's half is let go, and the request is kept all the same.
#[tokio::test]
async fn a_body_that_leaves_no_room_for_others_is_not_kept() {
    let app = TestApp::with().settings(|it| it.rejected_max_bytes = MIN_BYTES.to_string()).start().await;
    let large = "x".repeat(200_000);
    assert_eq!(forge(&app.client, &app, "msg_1", &large).await, 401);
    let listed = app.items(REJECTED).await;
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["body_kept"], &listed[0]["body_bytes"]), (&json!(false), &json!(200_000)));
    app.finish().await;
}
