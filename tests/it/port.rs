//! The provider port carries a bank that is unlike `NexusBank` in every way that real ones differ: thin events without an
//! id or a signed time, several in one body, a handshake, an acknowledgement that answers a nonce, and no idempotency. Its
//! adapter is all that is particular to it.

use std::sync::Arc;
use std::sync::Mutex;

use account_opening::db::advance::{self, Advance};
use account_opening::domain::{
    CustomerType, Flow, OpeningId, ProviderRef, Report, Request, Verdict, start as start_opening,
};
use account_opening::http::public;
use account_opening::outbound::CallError;
use account_opening::provider::{
    Ack, BicSource, Capabilities, Headers, Idempotency, Incoming, Parsed, Provider, Submission, Verified, VerifyError,
};
use async_trait::async_trait;
use axum::http::HeaderMap;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::TestApp;

const IBAN: &str = "DE49110101013998767672";

/// The bank's submissions, and how far it is with them.
#[derive(Default)]
struct Books {
    submissions: Vec<OpeningId>,
    /// Whether a submission that it took can be found yet.
    listed: bool,
    decided: bool,
}

#[derive(Default)]
struct ThinBank(Mutex<Books>);

fn report(reference: &str, verdict: Verdict) -> Report {
    Report {
        reference: Some(ProviderRef::new(reference).unwrap()),
        our_reference: None,
        verdict,
        word: verdict.to_string(),
        iban: None,
        bic: None,
        reason: None,
    }
}

#[async_trait]
impl Provider for ThinBank {
    fn name(&self) -> &'static str {
        "thinbank"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            idempotency: Idempotency::None,
            fat_events: false,
            bic: BicSource::Fixed,
            list_lookup: true,
            list_since: false,
            signed_time: false,
            blocking: true,
        }
    }

    /// Takes every submission and answers none.
    async fn submit(&self, submission: &Submission) -> Result<Report, CallError> {
        self.0.lock().unwrap().submissions.push(submission.opening_id);
        Err(CallError::timeout())
    }

    /// The same of the legacy call.
    async fn open(&self, submission: &Submission) -> Result<Report, CallError> {
        self.submit(submission).await
    }

    async fn lookup(&self, reference: &ProviderRef) -> Result<Report, CallError> {
        let decided = self.0.lock().unwrap().decided;
        let verdict = if decided { Verdict::Completed } else { Verdict::Pending };
        let account = decided.then(|| IBAN.to_owned());
        // The BIC is the bank's own: the adapter adds it.
        Ok(Report { iban: account, bic: Some("MARKDEF1100".to_owned()), ..report(reference.as_str(), verdict) })
    }

    async fn recover(&self, submission: &Submission) -> Result<Vec<Report>, CallError> {
        let books = self.0.lock().unwrap();
        let taken = books.listed && books.submissions.contains(&submission.opening_id);
        Ok(taken.then(|| report("thin_1", Verdict::Started)).into_iter().collect())
    }

    fn verify(&self, incoming: &Incoming<'_>) -> Result<Verified, VerifyError> {
        let secret = incoming.headers.get("x-thin-secret").ok_or(VerifyError::Missing)?;
        if secret == "s3cret" { Ok(Verified { event_id: None, secret: 0 }) } else { Err(VerifyError::Wrong) }
    }

    fn parse(&self, headers: &Headers, body: &[u8]) -> Parsed {
        match headers.get("x-thin-type") {
            Some("SUBSCRIPTION") if body.is_empty() => return Parsed::Handshake,
            Some("CHANGED") => {}
            _ => return Parsed::Ignored("unknown_type"),
        }
        assert_ne!(body, PANICS, "an adapter with a mistake in it");
        let Ok(Value::Array(events)) = serde_json::from_slice(body) else {
            return Parsed::Unreadable("not an array".to_owned());
        };
        let event = |it: &Value| {
            let verdict = if it["status"] == "done" { Verdict::Completed } else { Verdict::Pending };
            report(it["id"].as_str().unwrap_or("unknown"), verdict)
        };
        Parsed::Reports(events.iter().map(event).collect())
    }

    fn ack(&self, incoming: &Incoming<'_>) -> Ack {
        let mut headers = HeaderMap::new();
        if let Some(nonce) = incoming.headers.get("x-thin-nonce") {
            headers.insert("x-thin-nonce", nonce.clone());
        }
        Ack { headers, ..Ack::default() }
    }

    fn simulate(&self, _report: &Report) -> Vec<u8> {
        Vec::new()
    }
}

/// A body at which the adapter panics.
const PANICS: &[u8] = b"panic";

/// The app with this bank in place of its own, and its webhook URL.
async fn with_thin_bank(app: &mut TestApp) -> (Arc<ThinBank>, String) {
    let bank = Arc::new(ThinBank::default());
    let shared: Arc<dyn Provider> = Arc::<ThinBank>::clone(&bank);
    let providers = app.providers([shared]);
    app.context.outside.providers = providers.clone();
    let mut state = app.state.clone();
    state.acts.outside.providers = providers;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhooks/thinbank", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, public::router(state)).await });
    (bank, url)
}

async fn start(app: &TestApp) -> String {
    start_on(app, Flow::Async).await
}

async fn start_on(app: &TestApp, flow: Flow) -> String {
    let request = Request {
        market: "DE".to_owned(),
        customer_type: CustomerType::Company,
        currency: "EUR".to_owned(),
        flow,
        provider: "thinbank".to_owned(),
        customer_reference: "cus_thin".to_owned(),
    };
    let id = OpeningId(app.state.shell.ids.next());
    let decision = start_opening(id, request, &app.context.policies.policy, app.now());
    let customer = json!({"reference": "cus_thin", "name": "N", "email": "e@x.example", "country": "DE"});
    let mut transaction = app.pool.begin().await.unwrap();
    let started = (Advance::started(decision), customer);
    advance::start(&mut transaction, &app.state.cell.effect_context, &[started], app.now()).await.unwrap();
    transaction.commit().await.unwrap();
    id.to_string()
}

/// P9: where a repeat would be a second request, a machine never makes it; the list says in the end what became of it.
#[tokio::test]
async fn an_unanswered_submission_to_a_bank_without_idempotency_is_never_repeated() {
    let mut app = TestApp::start().await;
    let (bank, _) = with_thin_bank(&mut app).await;
    let id = start(&app).await;
    app.settle().await;
    app.pass_settling(TimeDelta::minutes(3), TimeDelta::seconds(10)).await;
    let opening = app.opening(&id).await;
    assert_eq!(opening["state"], "requesting_account");
    assert!(opening["outcome_unknown_since"].is_string());
    assert_eq!(bank.0.lock().unwrap().submissions.len(), 1);
    bank.0.lock().unwrap().listed = true;
    app.pass_settling(TimeDelta::minutes(15), TimeDelta::minutes(1)).await;
    let opening = app.opening(&id).await;
    assert_eq!((&opening["state"], &opening["provider_reference"]), (&"awaiting_provider".into(), &"thin_1".into()));
    assert_eq!(bank.0.lock().unwrap().submissions.len(), 1);
    app.finish().await;
}

/// P9: nor is the legacy call, of which nothing can be looked up: a person decides.
#[tokio::test]
async fn an_unanswered_legacy_call_to_a_bank_without_idempotency_is_never_repeated() {
    let mut app = TestApp::start().await;
    let (bank, _) = with_thin_bank(&mut app).await;
    let id = start_on(&app, Flow::Sync).await;
    app.settle().await;
    app.pass_settling(TimeDelta::hours(3), TimeDelta::minutes(5)).await;
    let opening = app.opening(&id).await;
    assert_eq!(opening["state"], "requesting_account");
    assert!(opening["outcome_unknown_since"].is_string());
    assert_eq!(bank.0.lock().unwrap().submissions.len(), 1);
    assert_eq!(app.items("/v1/tickets?status=open").await.len(), 1, "somebody has to look");
    app.finish().await;
}

#[tokio::test]
async fn thin_events_in_an_array_a_handshake_and_a_nonce_need_nothing_outside_the_adapter() {
    let mut app = TestApp::start().await;
    let (bank, url) = with_thin_bank(&mut app).await;
    bank.0.lock().unwrap().listed = true;
    let id = start(&app).await;
    app.settle().await;
    app.pass_settling(TimeDelta::minutes(1), TimeDelta::seconds(5)).await;
    assert_eq!(app.opening(&id).await["state"], "awaiting_provider");

    let post = |kind: &'static str, body: String| {
        let request = app.client.post(&url).header("x-thin-secret", "s3cret").header("x-thin-type", kind);
        request.header("x-thin-nonce", "n-1").body(body).send()
    };
    let handshake = post("SUBSCRIPTION", String::new()).await.unwrap();
    assert_eq!((handshake.status().as_u16(), &handshake.headers()["x-thin-nonce"]), (200, &"n-1".parse().unwrap()));
    let stored = "select count(*) from inbox where source = 'webhook'";
    let count = || async { sqlx::query_scalar::<_, i64>(stored).fetch_one(&app.pool).await.unwrap() };
    assert_eq!(count().await, 0, "a handshake is no event");

    bank.0.lock().unwrap().decided = true;
    let events = json!([{"id": "thin_other", "status": "busy"}, {"id": "thin_1", "status": "done"}]).to_string();
    for _ in 0..2 {
        assert_eq!(post("CHANGED", events.clone()).await.unwrap().status(), 200);
    }
    assert_eq!(count().await, 2, "one row for each event, the second request is the first one's copy");
    app.settle().await;
    let opening = app.opening(&id).await;
    assert_eq!((&opening["state"], &opening["iban"]), (&"completed".into(), &IBAN.into()), "{opening}");
    assert_eq!(opening["bic"], "MARKDEF1100");
    app.finish().await;
}

/// P15: a mistake in an adapter is the fact's, and not the worker's: it is counted, and what came with it is decided.
#[tokio::test]
async fn a_fact_over_which_the_adapter_panics_is_dead_after_ten_tries_and_its_neighbours_are_not() {
    let mut app = TestApp::start().await;
    with_thin_bank(&mut app).await;
    let id = start(&app).await;
    for (event, source, body) in
        [("poison", "webhook", PANICS), ("fine", "command", br#"{"kind":"profile_created","profile":"prf_1"}"#)]
    {
        sqlx::query(
            "insert into inbox (id, consumer_group, event_id, source, provider, body, body_digest, headers, opening_id,
                                received_at, retry_from, status, due_at)
             values ($1, 'thinbank', $2, $3, 'thinbank', $4, sha256($4), '{\"x-thin-type\": \"CHANGED\"}', $5, $6, $6,
                     'pending', $6)",
        )
        .bind(app.state.shell.ids.next())
        .bind(event)
        .bind(source)
        .bind(body)
        .bind(uuid::Uuid::parse_str(&id).unwrap())
        .bind(app.now())
        .execute(&app.pool)
        .await
        .unwrap();
    }
    app.tick_inbox().await;
    assert_eq!(app.opening(&id).await["state"], "requesting_account", "in the same tick");
    app.pass_settling(TimeDelta::hours(3), TimeDelta::minutes(15)).await;
    let letters = app.items("/v1/dead-letters?queue=inbox").await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0]["attempts"], 10, "{letters:?}");
    app.finish().await;
}
