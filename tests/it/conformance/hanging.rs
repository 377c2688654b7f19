//! Two banks at once, one of them hanging: it binds its own permits, and no opening of the other waits for it.

use std::sync::{Arc, Mutex};

use account_opening::provider::nexusbank::{DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::sync::watch;
use world::{Bank, Endpoint, Options, Plan, Planner, Simulator, Verdict};

use crate::process::external::migrated;
use crate::support::process::{WITHIN, eventually};
use crate::support::service::Service;

/// Calls at once to the bank that hangs.
const PERMITS: usize = 40;
/// Polls that hang, each begun by a tick of its own. Sixteen ticks for each of two banks would all wait for them.
const POLLED: usize = 36;
/// Openings of the bank that hangs which are still to be submitted: more than the permits that the polls leave.
const UNSUBMITTED: usize = 20;
/// Openings of the other bank.
const OTHERS: usize = 16;

/// P16: counted, not timed. No call to the bank that hangs ends before the test says so; its time limit is far beyond the test's.
#[tokio::test(flavor = "multi_thread")]
async fn a_bank_that_hangs_binds_its_permits_and_delays_no_opening_of_another() {
    let mut options = Options::local(DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET);
    options.planner = Planner::Fixed(Plan::by_hand());
    let world = Simulator::start(options).await.unwrap();
    let bank = Held::before(&world.base_url()).await;
    let service = serve(&world.base_url(), &bank.url).await;
    let polled = start(&service, "polled", "company", POLLED).await;
    for id in &polled {
        service.reaches(id, "awaiting_provider").await;
    }

    bank.hold(true);
    for (n, id) in polled.iter().enumerate() {
        let url = format!("{}/v1/account-openings/{id}/poll", service.internal);
        let (status, body) = service.status(Method::POST, &url).await;
        assert_eq!(status, 202, "{body}");
        bank.comes_to(n + 1).await;
    }
    let unsubmitted = start(&service, "unsubmitted", "company", UNSUBMITTED).await;
    bank.comes_to(PERMITS).await;

    // No webhook reaches the service, so each of these is submitted, polled and given its card by its workers alone.
    let others = start(&service, "other", "individual", OTHERS).await;
    for id in &others {
        service.reaches(id, "awaiting_provider").await;
        world.decide(id, &Verdict::complete()).unwrap();
    }
    for id in &others {
        service.reaches(id, "completed").await;
        let opening = world.opening(id).unwrap();
        assert_eq!((opening.calls(Endpoint::Submit), opening.cards.len()), (1, 1));
        assert!(opening.calls(Endpoint::Lookup) > 0);
    }
    assert_eq!(
        bank.counts(),
        Counts { under_way: PERMITS, most: PERMITS },
        "every call to the bank that hangs still hangs"
    );

    bank.hold(false);
    for id in polled.iter().chain(&unsubmitted) {
        service.reaches(id, "awaiting_provider").await;
        assert_eq!(world.opening(id).unwrap().requests.len(), 1);
    }
    assert_eq!((bank.counts().most, world.counts().double_effects), (PERMITS, 0));
    let ended = service.stop_within(WITHIN).await;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    world.stop().await;
}

/// A service with two banks in one market: NexusBank at `held`, and Solaris.
async fn serve(world: &str, held: &str) -> Service {
    let (serve, ..) = migrated().await;
    let permits = PERMITS.to_string();
    let settings = [
        ("NEXUSBANK_CONCURRENCY", permits.as_str()),
        ("NEXUSBANK_POLL_SCHEDULE", "1h"),
        ("SOLARIS_POLL_SCHEDULE", "1s"),
        ("PROVIDER_ROUTES", "DE:company=nexusbank,DE:individual=solaris"),
        ("PROVIDER_TIMEOUT", "10m"),
        ("SHUTDOWN_GRACE", "11m"),
    ];
    let banks = Bank::NexusBank.settings(held).into_iter().chain(Bank::Solaris.settings(world));
    let serve = settings.into_iter().fold(serve.outside_world(world), |it, (name, value)| it.env(name, value));
    banks.fold(serve, |it, (name, value)| it.env(name, value)).start().await
}

/// Starts so many openings of customers of this name and type; their ids.
async fn start(service: &Service, name: &str, customer_type: &str, count: usize) -> Vec<String> {
    let mut ids = Vec::with_capacity(count);
    for n in 0..count {
        let key = format!("{name}-{n}");
        let body = json!({
            "market": "DE", "customer_type": customer_type, "currency": "EUR",
            "customer": {"reference": key, "name": "Acme", "email": "ops@acme.example", "country": "DE"},
        });
        let url = format!("{}/v1/account-openings", service.internal);
        let request = service.client.post(url).bearer_auth("development-token").header("Idempotency-Key", key);
        let response = request.json(&body).send().await.unwrap();
        assert_eq!(response.status(), 202);
        let opening: Value = response.json().await.unwrap();
        ids.push(opening["id"].as_str().unwrap().to_owned());
    }
    ids
}

/// The way to a bank. While it holds, a call that comes stays without an answer.
struct Held {
    url: String,
    shared: Arc<Shared>,
}

struct Shared {
    bank: String,
    client: Client,
    holds: watch::Sender<bool>,
    counts: Mutex<Counts>,
}

/// Calls to the bank: now, and the most at once so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    under_way: usize,
    most: usize,
}

/// A call under way, until it is dropped: answered, or given up by the service.
struct UnderWay(Arc<Shared>);

impl Held {
    async fn before(bank: &str) -> Self {
        let client = Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let (holds, counts) = (watch::Sender::new(false), Mutex::default());
        let shared = Arc::new(Shared { bank: bank.to_owned(), client, holds, counts });
        let url = crate::support::listen(Router::new().fallback(pass).with_state(Arc::clone(&shared))).await;
        Self { url, shared }
    }

    fn hold(&self, holds: bool) {
        self.shared.holds.send_replace(holds);
    }

    fn counts(&self) -> Counts {
        *self.shared.counts.lock().unwrap()
    }

    async fn comes_to(&self, calls: usize) {
        let look = async || (self.counts().under_way == calls).then_some(());
        eventually(&format!("{calls} calls are under way"), WITHIN, look).await;
    }
}

impl UnderWay {
    fn begin(shared: &Arc<Shared>) -> Self {
        let mut counts = shared.counts.lock().unwrap();
        counts.under_way += 1;
        counts.most = counts.most.max(counts.under_way);
        Self(Arc::clone(shared))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.counts.lock().unwrap().under_way -= 1;
    }
}

async fn pass(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    mut headers: HeaderMap,
    body: Bytes,
) -> Response {
    let _under_way = UnderWay::begin(&shared);
    shared.holds.subscribe().wait_for(|holds| !holds).await.unwrap();
    headers.remove(header::HOST);
    let request = shared.client.request(method, format!("{}{uri}", shared.bank)).headers(headers).body(body);
    let Ok(answer) = request.send().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let (status, headers) = (answer.status(), answer.headers().clone());
    (status, headers, answer.bytes().await.unwrap_or_default()).into_response()
}
