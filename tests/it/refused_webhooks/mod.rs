//! Refused webhooks: kept within a bound, harmless, and taken in after all when the mistake was ours.

mod forged;
mod harmless;
mod kept;
mod near_misses;
mod repaired;
mod replicas;
mod secrets;
mod unmatched;
mod writer;

use std::net::IpAddr;
use std::sync::Arc;

use account_opening::app::Parts;
use account_opening::config::{RawSettings, Settings};
use account_opening::domain::chain::HistoryKey;
use account_opening::http::listener;
use account_opening::http::{AppState, internal, public};
use account_opening::provider::nexusbank::DEVELOPMENT_WEBHOOK_SECRET;
use account_opening::provider::signature::{self, WebhookSecret};
use account_opening::provider::{Adapter, Limits};
use account_opening::settings::Checker;
use reqwest::Client;
use serde_json::Value;

use crate::support::{KEY, TestApp, listen_as};

/// A secret unknown to the service.
const OTHER_SECRET: &str = "whsec_c29tZWJvZHktZWxzZXMtc2VjcmV0LWtleQ==";
const REJECTED: &str = "/v1/rejected-requests";
/// The least that the setting takes.
const MIN_BYTES: i64 = 262_144;

fn other_secret() -> WebhookSecret {
    WebhookSecret::parse(OTHER_SECRET).unwrap()
}

/// The app in environment `sandbox` with these webhook secrets, which need not be the bank's.
async fn with_secrets(secrets: &str) -> TestApp {
    TestApp::with().settings(|it| it.nexusbank.webhook_secrets = secrets.to_owned()).start().await
}

/// A client that comes from this address.
fn client_from(address: [u8; 4]) -> Client {
    Client::builder().local_address(IpAddr::from(address)).no_proxy().build().unwrap()
}

/// Sends a webhook signed with an unknown secret; returns the status.
async fn forge(client: &Client, app: &TestApp, id: &str, body: &str) -> u16 {
    let request = client
        .post(format!("{}/webhooks/nexusbank", app.public))
        .header("content-type", "application/json")
        .header(signature::ID, id)
        .header(signature::TIMESTAMP, app.now().timestamp().to_string())
        .header(signature::SIGNATURE, signature::sign(&other_secret(), id, app.now(), body.as_bytes()));
    request.body(body.to_owned()).send().await.unwrap().status().as_u16()
}

/// Another service on the same database, with settings of its own: what its handlers have, and where it listens.
struct Successor {
    state: AppState,
    public: String,
    internal: String,
}

async fn successor(app: &TestApp, change: impl FnOnce(&mut Settings)) -> Successor {
    let mut settings = (*app.state.settings).clone();
    change(&mut settings);
    let key = HistoryKey::new(&KEY);
    let parts = Parts::new(settings, app.state.cell.pool.clone(), key, app.clock.clone()).unwrap();
    let (outside, inside) =
        (listener::Limits::outside(&parts.state.settings), listener::Limits::inside(&parts.state.settings));
    let public = listen_as(public::router(parts.state.clone()), outside).await;
    let internal = listen_as(internal::router(parts.state.clone()), inside).await;
    Successor { state: parts.state, public, internal }
}

/// The bank's adapter with these webhook secrets and this tolerance.
pub fn bank(secrets: &str, tolerance: &str) -> Vec<Arc<dyn Adapter>> {
    let mut raw = RawSettings::defaults().unwrap().nexusbank;
    raw.webhook_secrets = secrets.to_owned();
    raw.limits.webhook_tolerance = Some(tolerance.to_owned());
    vec![Arc::new(raw.checked(&mut Checker::default(), &Limits::default()))]
}

/// The service with the bank's secret put right.
async fn corrected(app: &TestApp) -> Successor {
    successor(app, |it| it.adapters = bank(BANKS_SECRET, "5m")).await
}

impl Successor {
    /// POSTs to its REST API as an operator.
    async fn post(&self, app: &TestApp, path: &str, body: &Value) -> reqwest::Response {
        let request = app.client.post(format!("{}{path}", self.internal)).bearer_auth("operator-token");
        request.json(body).send().await.unwrap()
    }

    /// Verifies all again, for as long as something is left: the counts of the calls together.
    async fn reverify_all(&self, app: &TestApp, body: &Value) -> (u64, u64) {
        let (mut verified, mut still) = (0, 0);
        loop {
            let response = self.post(app, &format!("{REJECTED}/reverify"), body).await;
            assert_eq!(response.status(), 200);
            let done: Value = response.json().await.unwrap();
            verified += done["verified"].as_u64().unwrap();
            still += done["still_refused"].as_u64().unwrap();
            assert_eq!(done["checked"].as_u64(), Some(count(&done, "verified") + count(&done, "still_refused")));
            if done["remaining"] == 0 {
                return (verified, still);
            }
        }
    }
}

fn count(done: &Value, name: &str) -> u64 {
    done[name].as_u64().unwrap()
}

/// The bytes that are held of each source, counted from the rows; the counters must say the same.
async fn held(app: &TestApp) -> Vec<(String, i64)> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("select source, sum(bytes)::bigint from rejected_requests group by source order by source")
            .fetch_all(&app.pool)
            .await
            .unwrap();
    let counters: Vec<(String, i64)> = sqlx::query_as("select source, bytes from rejected_sources order by source")
        .fetch_all(&app.pool)
        .await
        .unwrap();
    let total: i64 = sqlx::query_scalar("select bytes from rejected_total").fetch_one(&app.pool).await.unwrap();
    assert_eq!(rows, counters, "the counters are those of the rows");
    assert_eq!(rows.iter().map(|(_, bytes)| bytes).sum::<i64>(), total, "the total is that of the rows");
    rows
}

/// The development secret, which the bank of the tests signs with.
const BANKS_SECRET: &str = DEVELOPMENT_WEBHOOK_SECRET;
