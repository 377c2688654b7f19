//! The harness: a service on a real Postgres with the simulated outside world around it, on a clock that a test moves.
//!
//! [`TestApp`] speaks the domain (`app.open().market("BE").start()`). The workers do not run by themselves: a test calls
//! [`TestApp::settle`], which ticks them until there is nothing due, so that every run of a test takes the same way. Time
//! passes by [`TestApp::pass`]. [`TestApp::finish`] checks what must hold at the end of every test: no unsettled work, each
//! history replays to its state and its chain verifies, no double effect at the other side.

mod bank;
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

use std::io::Write;
use std::time::Duration;

use account_opening::acts::bulk::worker::BulkRuns;
use account_opening::app::{Parts, keep_price_list};
use account_opening::clock::{Clock, Time};
use account_opening::config::RawSettings;
use account_opening::context::Context;
use account_opening::db::{PoolOptions, connect};
use account_opening::domain::Topic;
use account_opening::domain::chain::HistoryKey;
use account_opening::domain::signature::EvidenceKey;
use account_opening::driver::{Counts, TickError, Worker, tick};
use account_opening::http::listener::{Limits, serve};
use account_opening::http::{AppState, internal, public};
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
use world::{Bank, Options, Plan, Planner, Simulator, TrackerOptions};

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
    finished: bool,
}

/// What a test wants different.
pub struct TestAppBuilder {
    raw: Box<RawSettings>,
    through_proxy: bool,
    tracker: Option<TrackerOptions>,
    /// The banks of the world that the service knows beside the first.
    banks: Vec<Bank>,
    /// Kept until the settings are read.
    price_list: Option<tempfile::NamedTempFile>,
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
        let mut raw = Box::new(RawSettings::defaults().unwrap());
        raw.environment = "sandbox".to_owned();
        raw.api_tokens = format!(
            "admin:{TOKEN},reader:reader-token:reader,caller:caller-token:caller,operator:operator-token:operator"
        );
        raw.dashboard_url = "https://ops.example".to_owned();
        raw.evidence_key = Some(evidence_key());
        // Tests say to the minute when polls come.
        raw.poll_jitter = "0%".to_owned();
        TestAppBuilder { raw, through_proxy: false, tracker: None, banks: Vec::new(), price_list: None }
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
            if !self.round().await && !self.tick(&Sweeper(self.context.clone())).await {
                return;
            }
        }
        panic!("the workers found work for {MAX_ROUNDS} rounds");
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

    /// Time passes in steps, with the workers running at each.
    pub async fn pass_settling(&self, total: TimeDelta, step: TimeDelta) {
        let end = self.now() + total;
        while self.now() < end {
            self.pass(step.min(end - self.now()));
            self.settle().await;
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

impl TestAppBuilder {
    /// Changes settings.
    pub fn settings(mut self, change: impl FnOnce(&mut RawSettings)) -> Self {
        change(&mut self.raw);
        self
    }

    /// With a proxy before the database.
    pub fn through_proxy(mut self) -> Self {
        self.through_proxy = true;
        self
    }

    /// With a price list in which each step costs something.
    pub fn prices(self) -> Self {
        self.price_list(PRICES)
    }

    /// With this price list, without its line of columns.
    pub fn price_list(mut self, rows: &str) -> Self {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "{PRICE_COLUMNS}\n{rows}").unwrap();
        self.raw.price_list = Some(file.path().display().to_string());
        self.price_list = Some(file);
        self
    }

    /// With another bank of the world, and with these routes.
    pub fn bank(mut self, bank: Bank, routes: &str) -> Self {
        self.banks.push(bank);
        self.raw.provider_routes = routes.to_owned();
        self
    }

    /// With the world's ticket tracker.
    pub fn tracker(self) -> Self {
        self.lagging_tracker(TimeDelta::seconds(30))
    }

    /// With the world's ticket tracker, whose search does not know of an issue for so long.
    pub fn lagging_tracker(mut self, lag: TimeDelta) -> Self {
        self.tracker = Some(TrackerOptions { lag, ..TrackerOptions::default() });
        self
    }

    /// Starts it.
    pub async fn start(mut self) -> TestApp {
        let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
        // The bank signs with the first of its secrets.
        let secret = self.raw.nexusbank.webhook_secrets.split(',').next().unwrap_or_default();
        let mut options = Options::local(self.raw.nexusbank.api_key.clone(), secret);
        options.planner = Planner::Fixed(Plan::by_hand());
        options.clock = clock.clone();
        options.tracker = self.tracker.clone().unwrap_or_default();
        let world = Simulator::start(options).await.unwrap();
        for url in [&mut self.raw.nexusbank.base_url, &mut self.raw.profile_service_url, &mut self.raw.card_service_url]
        {
            // A test may have pointed one elsewhere.
            if url.as_str() == RawSettings::defaults().unwrap().nexusbank.base_url {
                *url = world.base_url();
            }
        }
        for it in &self.banks {
            bank::configure(&mut self.raw, *it, &world.base_url());
        }
        if let Some(theirs) = self.tracker {
            let tracker = &mut self.raw.tracker;
            tracker.jira_base_url = Some(world.base_url());
            tracker.jira_email.get_or_insert(theirs.email);
            tracker.jira_api_token.get_or_insert(theirs.api_token);
            tracker.jira_project_key = Some("OPS".to_owned());
        }
        let (url, schema) = cluster::fresh_cell().await;
        // Production wants a database and secrets that are set; the harness sets the first.
        self.raw.database.database_url = Some(url.clone());
        self.raw.database.database_schema = schema.clone();
        let settings = self.raw.checked().unwrap_or_else(|errors| panic!("{errors:?}"));
        let proxy = if self.through_proxy { Some(cluster::proxy(&url).await) } else { None };
        let as_service = cluster::url_as(&url, cluster::SERVICE);
        let service = proxy.as_ref().map_or_else(|| as_service.clone(), |it| cluster::url_through(&as_service, it));
        let service = pool(&service, &schema);
        let pool = pool(&url, &schema);
        let key = settings.history_key.clone().unwrap_or_else(|| HistoryKey::new(&KEY));
        let parts = Parts::new(settings, service, key, clock.clone()).unwrap();
        keep_price_list(&parts.context).await.unwrap();
        let (outside, inside) = (Limits::outside(&parts.state.settings), Limits::inside(&parts.state.settings));
        let public = listen_as(public::router(parts.state.clone()), outside).await;
        let internal = listen_as(internal::router(parts.state.clone()), inside).await;
        world.deliver_to(format!("{public}/webhooks/nexusbank"));
        // A start asks for what was missed before it. Here that is nothing, and no opening of the test's is waited for.
        tick(&Backfill(parts.context.clone())).await.unwrap();
        TestApp {
            pool,
            clock,
            context: parts.context,
            state: parts.state,
            world,
            public,
            internal,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            proxy,
            finished: false,
        }
    }
}

fn pool(url: &str, schema: &str) -> PgPool {
    let (url, schema) = (url.to_owned(), schema.to_owned());
    // Each connection prepares each statement for itself: with four the suite takes a sixth less time than with eight.
    connect(&PoolOptions { url, schema, max_connections: 4, acquire_timeout: Duration::from_secs(10) }).unwrap()
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
