//! `serve` as a process, and its API.

use std::sync::Arc;
use std::time::Duration;

use account_opening::clock::Clock;
use account_opening::provider::nexusbank::DEVELOPMENT_WEBHOOK_SECRET;
use account_opening::provider::signature::{self, WebhookSecret};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

use super::process::{Ended, Folder, Process, Program, WITHIN, eventually};

/// An address without a listener: calls to the outside world are retried again and again.
const NOWHERE: &str = "http://127.0.0.1:9";
/// The token that a development service takes when none is set.
const TOKEN: &str = "development-token";
/// How long [`ServiceBuilder`] services may take to shut down: the least that fits their `PROVIDER_TIMEOUT`.
pub const GRACE: Duration = Duration::from_secs(6);

/// A service to be started.
#[derive(Clone)]
pub struct ServiceBuilder(pub Program);

/// A service that was ready.
pub struct Service {
    pub process: Process,
    /// `http://…` of the public listener.
    pub public: String,
    /// `http://…` of the internal listener.
    pub internal: String,
    pub client: Client,
    token: String,
}

impl ServiceBuilder {
    /// In development, on a private Postgres in a folder of its own, on free ports.
    pub fn new() -> Self {
        Self::within(&Folder::new())
    }

    /// The same in this folder.
    pub fn within(folder: &Arc<Folder>) -> Self {
        let program = Program::new(&["serve"])
            .within(folder)
            .env("ENVIRONMENT", "development")
            .env("DATA_DIR", folder.path().join("data").display().to_string())
            .env("PUBLIC_ADDR", "127.0.0.1:0")
            .env("INTERNAL_ADDR", "127.0.0.1:0")
            .env("LOG_FORMAT", "json")
            .env("PROVIDER_TIMEOUT", "1s")
            .env("SHUTDOWN_GRACE", "6s")
            .env("DATABASE_POOL", "8");
        Self(program).outside_world(NOWHERE)
    }

    /// On a database that was given.
    pub fn on(url: &str, schema: &str) -> Self {
        Self::new().env("DATABASE_URL", url).env("DATABASE_SCHEMA", schema)
    }

    pub fn env(self, name: &str, value: impl Into<String>) -> Self {
        Self(self.0.env(name, value))
    }

    /// Under a limit, as `ulimit` takes it.
    pub fn limit(self, ulimit: &str) -> Self {
        Self(self.0.limit(ulimit))
    }

    pub fn outside_world(self, url: &str) -> Self {
        self.env("NEXUSBANK_BASE_URL", url).env("PROFILE_SERVICE_URL", url).env("CARD_SERVICE_URL", url)
    }

    /// Starts it and waits until it is ready.
    pub async fn start(&self) -> Service {
        let service = self.listening().await;
        service.answers_ready(200, WITHIN).await;
        service
    }

    /// Starts it and waits until it listens.
    pub async fn listening(&self) -> Service {
        let mut process = self.0.spawn();
        let (public, internal) = eventually("the service listens", WITHIN, async || {
            assert!(process.lives(), "the service ended: {}", process.stderr());
            addresses(&process.stderr())
        })
        .await;
        // As the service does for itself; another test may have done it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        Service { process, public, internal, client, token: TOKEN.to_owned() }
    }
}

/// The addresses that the service logs once it listens.
fn addresses(log: &str) -> Option<(String, String)> {
    let json = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let serving = json.into_iter().find(|line| line["message"] == "serving");
    let text = log.lines().find(|line| line.contains(" serving public="));
    let url = |name: &str| match (&serving, text) {
        (Some(line), _) => Some(format!("http://{}", line[name].as_str()?)),
        (None, Some(line)) => Some(format!("http://{}", line.split_once(&format!("{name}="))?.1.split(' ').next()?)),
        (None, None) => None,
    };
    url("public").zip(url("internal"))
}

impl Service {
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = token.to_owned();
        self
    }

    /// The status of `/readyz`, with its body.
    pub async fn ready(&self) -> (u16, String) {
        self.status(Method::GET, &format!("{}/readyz", self.internal)).await
    }

    /// Waits for this answer of `/readyz` and returns its body.
    pub async fn answers_ready(&self, status: u16, within: Duration) -> String {
        let ask = async || Some(self.ready().await).filter(|(found, _)| *found == status).map(|(_, body)| body);
        eventually(&format!("/readyz answers {status}"), within, ask).await
    }

    /// The status and body of an answer; 0 where there is none.
    pub async fn status(&self, method: Method, url: &str) -> (u16, String) {
        match self.client.request(method, url).bearer_auth(&self.token).send().await {
            Ok(response) => (response.status().as_u16(), response.text().await.unwrap_or_default()),
            Err(error) => (0, error.to_string()),
        }
    }

    /// JSON of the internal listener.
    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.status(Method::GET, &format!("{}{path}", self.internal)).await;
        assert_eq!(status, 200, "GET {path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Starts an opening: the answer's status, whether it was a replay, and the resource.
    pub async fn open(&self, key: &str) -> (u16, bool, Value) {
        let response = self.caller().start(key, "cus_1").await.unwrap();
        let replayed = response.headers().get("idempotent-replayed").is_some_and(|it| it == "true");
        (response.status().as_u16(), replayed, response.json().await.unwrap())
    }

    /// The caller that starts openings.
    pub fn caller(&self) -> Caller {
        let url = format!("{}/v1/account-openings", self.internal);
        Caller { client: self.client.clone(), url, token: self.token.clone() }
    }

    /// Waits until an opening is in this state.
    pub async fn reaches(&self, id: &str, state: &str) -> Value {
        let path = format!("/v1/account-openings/{id}");
        let ask = async || Some(self.get(&path).await).filter(|opening| opening["state"] == state);
        eventually(&format!("{id} is {state}"), WITHIN, ask).await
    }

    /// The bank, as far as it sends webhooks.
    pub fn bank(&self) -> Bank {
        Bank { client: self.client.clone(), url: format!("{}/webhooks/nexusbank", self.public) }
    }

    /// Sends one webhook, as in [`Bank::webhook`].
    pub async fn webhook(&self, id: &str) -> u16 {
        self.bank().webhook(id).await
    }

    /// SIGTERM, and the end that it leads to.
    pub async fn stop(self) -> Ended {
        self.stop_within(GRACE + Duration::from_secs(1)).await
    }

    /// The same, of a service with another grace period.
    pub async fn stop_within(mut self, within: Duration) -> Ended {
        self.process.signal(nix::sys::signal::Signal::SIGTERM);
        self.process.ended(within).await
    }
}

/// A caller that starts openings.
#[derive(Clone)]
pub struct Caller {
    client: Client,
    url: String,
    token: String,
}

impl Caller {
    /// Starts an opening for this customer.
    pub async fn start(&self, key: &str, customer: &str) -> reqwest::Result<Response> {
        let body = json!({
            "market": "BE", "customer_type": "company", "currency": "EUR",
            "customer": {"reference": customer, "name": "Acme BV", "email": "ops@acme.example", "country": "BE"},
        });
        let request = self.client.post(&self.url).bearer_auth(&self.token).header("Idempotency-Key", key);
        request.json(&body).send().await
    }
}

/// A sender of webhooks.
#[derive(Clone)]
pub struct Bank {
    client: Client,
    url: String,
}

impl Bank {
    /// Sends a signed webhook about an unknown opening; returns the status, 0 without an answer.
    pub async fn webhook(&self, id: &str) -> u16 {
        self.unknown(id).await.map_or(0, |response| response.status().as_u16())
    }

    /// Sends a signed webhook about an unknown opening.
    pub async fn unknown(&self, id: &str) -> reqwest::Result<Response> {
        let data = json!({"account_opening_request_id": format!("aor_{id}"), "status": "IN_PROGRESS"});
        self.send(id, &data).await
    }

    /// Sends a signed webhook with this data. The same data is the same body, whenever it is sent.
    pub async fn send(&self, id: &str, data: &Value) -> reqwest::Result<Response> {
        let now = Clock::system().now();
        let body = json!({"type": "account_opening_request.status_changed", "timestamp": "2026-01-01T00:00:00Z",
                          "data": data});
        let body = body.to_string();
        let secret = WebhookSecret::parse(DEVELOPMENT_WEBHOOK_SECRET).unwrap();
        let request = self
            .client
            .post(&self.url)
            .header("content-type", "application/json")
            .header(signature::ID, id)
            .header(signature::TIMESTAMP, now.timestamp().to_string())
            .header(signature::SIGNATURE, signature::sign(&secret, id, now, body.as_bytes()))
            .body(body);
        request.send().await
    }

    /// Sends these one after the other until no answer comes; returns the acknowledged ones.
    pub async fn webhooks(self, ids: impl Iterator<Item = String>) -> Vec<String> {
        let mut acknowledged = Vec::new();
        for id in ids {
            match self.webhook(&id).await {
                200 => acknowledged.push(id),
                0 => break,
                _ => {}
            }
        }
        acknowledged
    }
}
