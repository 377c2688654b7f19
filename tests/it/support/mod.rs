//! The harness: a service on a real Postgres with the simulated outside world around it, on a clock that a test moves.
//!
//! [`TestApp`] speaks the domain (`app.open().market("BE").start()`). The workers do not run by themselves: a test calls
//! [`TestApp::settle`], which ticks them until there is nothing due, so that every run of a test takes the same way. Time
//! passes by [`TestApp::pass`]. [`TestApp::finish`] checks what must hold at the end of every test: no unsettled work, each
//! history replays to its state and its chain verifies, no double effect at the other side.

mod bank;
mod builder;
mod cells;
pub mod cluster;
mod dump;
pub mod eventually;
mod foretold;
mod inbox;
mod invariants;
pub mod kept;
pub mod load;
pub mod memory;
mod opening;
pub mod pooler;
mod problem;
pub mod process;
mod rows;
pub mod run;
pub mod service;
mod settle;
mod single;
mod subscriber;
mod webhook;
pub mod wire;

use account_opening::app::Parts;
use account_opening::clock::{Clock, Time};
use account_opening::context::Context;
use account_opening::domain::chain::HistoryKey;
use account_opening::domain::signature::EvidenceKey;
use account_opening::http::listener::{Limits, serve};
use account_opening::http::{AppState, public};
use chaos::Proxy;
use chrono::TimeDelta;
use serde_json::Value;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use world::Simulator;

pub use self::builder::TestAppBuilder;
use self::cells::Cell;
pub use self::eventually::{eventually, meanwhile};
pub use self::opening::OpeningBuilder;
pub use self::problem::{keys, problem};
pub use self::subscriber::Subscriber;
pub use self::webhook::{Webhook, secret};
pub use self::wire::exchange;

/// The key of every test's history, and the secret of its evidence.
pub const KEY: [u8; 32] = [7; 32];
/// An admin's token.
pub const TOKEN: &str = "admin-token";
/// The columns of a price list.
pub const PRICE_COLUMNS: &str =
    "provider,market,customer_type,on,code,amount,currency,tax_percent,valid_from,valid_until";
/// The prices of [`TestAppBuilder::prices`].
const PRICES: &str = "\
nexusbank,*,*,accepted,application,0.50,EUR,0,,
nexusbank,*,*,opened,account_opened,5.00,EUR,21,,
nexusbank,SE,*,opened,account_opened,60,SEK,25,,
nexusbank,*,*,opened,card_order,1.25,EUR,21,,
nexusbank,*,*,rejected,application_rejected,1.50,EUR,0,,
";

/// A running service in a world of its own.
pub struct TestApp {
    /// The database as its superuser, for what a test does by hand. The service has a pool and a role of its own.
    pub pool: PgPool,
    pub clock: Clock,
    pub context: Context,
    pub state: AppState,
    pub world: Simulator,
    /// `http://…` of the public listener.
    pub public: String,
    /// `http://…` of the internal listener.
    pub internal: String,
    pub client: reqwest::Client,
    /// The proxy before the database, where a test wanted one: the service goes through it.
    pub proxy: Option<Proxy>,
    /// Given back when the test has kept the invariants.
    cell: Option<Cell>,
    finished: bool,
}

/// The key of every test's evidence, as its setting.
pub fn evidence_key() -> String {
    EvidenceKey::new(&KEY).to_pem().unwrap()
}

impl TestApp {
    /// A service with the default settings in environment `sandbox`, in a world where the bank decides by hand
    /// ([`Simulator::decide`]).
    pub async fn start() -> Self {
        Self::with().start().await
    }

    /// A service with settings of the test's own.
    pub fn with() -> TestAppBuilder {
        TestAppBuilder::new()
    }

    /// The time now.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// Lets time pass, and nothing else: work that becomes due is done by the next [`TestApp::settle`].
    pub fn pass(&self, by: TimeDelta) {
        self.clock.advance(by);
    }

    /// A request to the internal listener with the admin's token.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.internal)).bearer_auth(TOKEN)
    }

    /// GETs JSON from the internal listener; anything but a 200 fails the test.
    pub async fn get(&self, path: &str) -> Value {
        let response = self.request(reqwest::Method::GET, path).send().await.unwrap();
        let (status, body) = (response.status(), response.text().await.unwrap());
        assert_eq!(status, 200, "GET {path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// POSTs JSON to the internal listener.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let response = self.request(reqwest::Method::POST, path).json(body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or_default())
    }

    /// The items of a list, every page.
    pub async fn items(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let page = self.get(&format!("{path}{separator}limit=200{cursor}")).await;
            items.extend(page["items"].as_array().unwrap().clone());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }

    /// Every event so far.
    pub async fn eventually_all_events(&self) -> Vec<Value> {
        self.get("/v1/events?limit=200").await["items"].as_array().unwrap().clone()
    }

    /// An opening to be started.
    pub fn open(&self) -> OpeningBuilder<'_> {
        OpeningBuilder::new(self)
    }

    /// A webhook to be sent, signed by the bank.
    pub fn webhook(&self) -> Webhook<'_> {
        Webhook::new(self)
    }

    /// Another replica on the same database, with a burst cache of its own: `http://…` of its public listener.
    pub async fn replica(&self) -> String {
        let key = HistoryKey::new(&KEY);
        let parts =
            Parts::new((*self.state.settings).clone(), self.state.cell.pool.clone(), key, self.clock.clone()).unwrap();
        let limits = Limits::outside(&parts.state.settings);
        listen_as(public::router(parts.state), limits).await
    }

    /// The opening as the API shows it.
    pub async fn opening(&self, id: &str) -> Value {
        self.get(&format!("/v1/account-openings/{id}")).await
    }

    /// Its history: `from -> to (event, source)`, oldest first.
    pub async fn history(&self, id: &str) -> Vec<String> {
        let items = self.items(&format!("/v1/account-openings/{id}/history")).await;
        let word = |item: &Value, name: &str| item[name].as_str().unwrap_or("start").to_owned();
        let line = |it: &Value| {
            format!("{} -> {} ({}, {})", word(it, "from"), word(it, "to"), word(it, "event"), word(it, "source"))
        };
        items.iter().map(line).collect()
    }

    /// Ends the test: everything that is due is done, and the invariants hold.
    pub async fn finish(mut self) {
        self.finished = true;
        self.settle().await;
        invariants::check(&self).await;
        self.world.stop().await;
        if let Some(cell) = self.cell.take() {
            cells::give_back(cell).await;
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        assert!(
            self.finished || std::thread::panicking(),
            "a test must end with finish(), which checks the invariants"
        );
    }
}

/// Serves a router on a free port of this machine as the service does, within these limits: its URL.
pub async fn listen_as(router: axum::Router, limits: Limits) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, router, limits, CancellationToken::new()));
    format!("http://{addr}")
}

/// Serves a router on a free port of this machine: its URL.
pub async fn listen(router: axum::Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{addr}")
}
