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
mod single;
mod subscriber;
mod webhook;
pub mod wire;

use account_opening::acts::bulk::worker::BulkRuns;
use account_opening::app::Parts;
use account_opening::clock::{Clock, Time};
use account_opening::context::Context;
use account_opening::domain::Topic;
use account_opening::domain::chain::HistoryKey;
use account_opening::domain::signature::EvidenceKey;
use account_opening::driver::{Counts, TickError, Worker, tick};
use account_opening::http::listener::{Limits, serve};
use account_opening::http::{AppState, public};
use account_opening::inbox::InboxWorker;
use account_opening::outbox::Relay;
use account_opening::reconciliation::Reconciler;
use account_opening::workers::backfill::Backfill;
use account_opening::workers::poller::Poller;
use account_opening::workers::sweeper::Sweeper;
use account_opening::workers::{secret_uses, webhook_marks};
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
/// Ticks in which [`TestApp::settle`] must come to rest; more means that something spins.
const MAX_ROUNDS: usize = 200;

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
    /// What stands before the database, where a test wanted it: the service goes through it.
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

    /// Ticks every worker until none finds work. The sweeper goes last: its tick costs more than those of all others together,
    /// and what it does makes work for them, not the reverse.
    pub async fn settle(&self) {
        for _ in 0..MAX_ROUNDS {
            if self.round().await && self.is_work_due().await {
                continue;
            }
            if !self.tick(&Sweeper(self.context.clone())).await {
                return;
            }
        }
        panic!("the workers found work for {MAX_ROUNDS} rounds");
    }

    /// Whether a worker but the sweeper would find work: one statement in place of the thirty that their ticks take.
    async fn is_work_due(&self) -> bool {
        // When the next pull is due stands in no row.
        if !self.context.policies.reconciliation.report_schedule.is_empty() {
            return true;
        }
        sqlx::query_scalar(
            "select exists (select from inbox where due_at <= $1)
                 or exists (select from outbox where due_at <= $1)
                 or exists (select from timers where due_at <= $1)
                 or exists (select from backfills where status = 'pending' and next_attempt_at <= $1)
                 or exists (select from bulk_runs
                             where started_at is not null and stopped_at is null and finished_at is null)
                 or exists (select from reports where due_at <= $1)
                 or exists (select from mismatches where look_at <= $1)
                 or exists (select from settlements where is_stale or look_at <= $1)
                 or exists (select from charge_lines where is_stale)",
        )
        .bind(self.now())
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    /// Ticks every worker but the sweeper once; whether one found work.
    pub async fn round(&self) -> bool {
        let mut found = self.tick(&InboxWorker::new(self.context.clone())).await;
        for topic in Topic::ALL.iter().copied() {
            found |= self.tick(&Relay::of(self.context.clone(), topic)).await;
        }
        found |= self.tick(&Poller(self.context.clone())).await;
        self.context.breaker_overrides().read().await.unwrap();
        found |= self.tick(&self.context.recovery()).await;
        found |= self.tick(&Backfill(self.context.clone())).await;
        found |= self.tick(&BulkRuns(self.context.clone())).await;
        found |= self.tick(&self.reconciler()).await;
        self.try_upkeep().await.unwrap();
        found
    }

    /// Ticks every worker once; a tick that fails is one that the driver would begin anew.
    pub async fn try_round(&self) {
        let _ = tick(&InboxWorker::new(self.context.clone())).await;
        for topic in Topic::ALL.iter().copied() {
            let _ = tick(&Relay::of(self.context.clone(), topic)).await;
        }
        let _ = tick(&Poller(self.context.clone())).await;
        let _ = self.context.breaker_overrides().read().await;
        let _ = tick(&self.context.recovery()).await;
        let _ = tick(&Backfill(self.context.clone())).await;
        let _ = tick(&BulkRuns(self.context.clone())).await;
        let _ = tick(&self.reconciler()).await;
        let _ = self.try_upkeep().await;
    }

    /// The worker of reconciliation.
    pub fn reconciler(&self) -> Reconciler {
        let settings = self.context.policies.reconciliation.clone();
        Reconciler::new(self.context.clone(), settings, CancellationToken::new())
    }

    /// Exchanges webhook marks with the database and writes secret uses, as the periodic tasks do.
    async fn try_upkeep(&self) -> Result<(), TickError> {
        let faults = &self.context.shell.faults;
        let pool = &self.context.cell.pool;
        let secret_uses = &self.context.secret_uses;
        webhook_marks::exchange(&self.context).await?;
        secret_uses::write(pool, secret_uses, faults).await?;
        self.state.live.look(&self.context).await?;
        Ok(())
    }

    async fn tick<W: Worker>(&self, worker: &W) -> bool {
        let counts = tick(worker).await.unwrap_or_else(|error| panic!("{}: {error}", worker.name()));
        counts.record();
        counts.found_work()
    }

    /// Time passes in steps. The workers run in the first, in each in which work is due, and in the last.
    pub async fn pass_settling(&self, total: TimeDelta, step: TimeDelta) {
        let (start, end) = (self.now(), self.now() + total);
        while self.now() < end {
            self.pass(step.min(end - self.now()));
            if self.now() - step <= start || self.now() >= end || self.is_work_due().await {
                self.settle().await;
            }
        }
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
