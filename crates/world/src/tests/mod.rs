//! The simulator over real HTTP on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;

mod accounts;
mod api;
mod reports;
mod tracker;
mod webhooks;

pub(super) const KEY: &str = "bank-key";
pub(super) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub(super) struct World {
    pub(super) sim: Simulator,
    http: reqwest::Client,
}

impl World {
    /// All openings have the same plan.
    pub(super) async fn fixed(plan: Plan) -> Self {
        Self::with(|options| options.planner = Planner::Fixed(plan)).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::local(KEY, SECRET);
        options.webhook_retries = vec![Duration::from_millis(5); 3];
        change(&mut options);
        let sim = Simulator::start(options).await.unwrap();
        Self { sim, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    pub(super) async fn post(&self, path: &str, key: &str, body: &Value) -> reqwest::Response {
        let url = format!("{}{path}", self.sim.base_url());
        let request = self.http.post(url).bearer_auth(KEY).header("idempotency-key", key);
        request.json(body).send().await.unwrap()
    }

    pub(super) async fn submit(&self, reference: &str, key: &str) -> reqwest::Response {
        self.post("/v1/account-opening-requests", key, &submission(reference)).await
    }

    /// Submits, expects acceptance and returns the tracking id.
    pub(super) async fn accepted(&self, reference: &str) -> String {
        let answer = self.submit(reference, reference).await;
        assert_eq!(answer.status(), 202);
        text(&answer.json().await.unwrap(), "account_opening_request_id")
    }

    pub(super) async fn get(&self, path: &str) -> reqwest::Response {
        self.http.get(format!("{}{path}", self.sim.base_url())).bearer_auth(KEY).send().await.unwrap()
    }
}

pub(super) fn submission(reference: &str) -> Value {
    json!({"reference": reference, "market": "BE", "customer_type": "company", "currency": "EUR", "profile_id": "prf_1",
           "customer": {"reference": format!("cus_{reference}"), "name": "Acme BV", "email": "ops@acme.example", "country": "BE"}})
}

pub(super) fn text(body: &Value, field: &str) -> String {
    body[field].as_str().unwrap_or_else(|| panic!("{field} in {body}")).to_owned()
}

/// A webhook as it arrived.
pub(super) struct Received {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Received {
    pub(super) fn id(&self) -> &str {
        self.headers["webhook-id"].to_str().unwrap()
    }

    pub(super) fn data(&self) -> Value {
        serde_json::from_slice::<Value>(&self.body).unwrap()["data"].clone()
    }

    pub(super) fn status(&self) -> String {
        text(&self.data(), "status")
    }

    /// Verified by the published library, not by our own code. It reads one line with spaces between signatures, so
    /// folded headers are restored first.
    pub(super) fn is_genuine(&self) -> bool {
        let lines = self.headers.get_all("webhook-signature").iter().filter_map(|it| it.to_str().ok());
        let line = lines.collect::<Vec<_>>().join(" ").replace(", v1,", " v1,").replace("v1, ", "v1,");
        let mut headers = self.headers.clone();
        headers.insert("webhook-signature", line.parse().unwrap());
        standardwebhooks::Webhook::new(SECRET).unwrap().verify(&self.body, &headers).is_ok()
    }
}

/// A webhook receiver that refuses the first `refusals` requests and forwards all to the channel.
pub(super) async fn receiver(refusals: usize) -> (String, mpsc::UnboundedReceiver<Received>) {
    let (show, shown) = mpsc::unbounded_channel();
    let left = Arc::new(AtomicUsize::new(refusals));
    let take = move |headers: HeaderMap, body: Bytes| async move {
        show.send(Received { headers, body }).unwrap();
        let refused = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if refused { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let path = format!("/webhooks/{}", Bank::default().name());
    let url = format!("http://{}{path}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        axum::serve(listener, Router::new().route(&path, post(take))).await.unwrap();
    });
    (url, shown)
}
