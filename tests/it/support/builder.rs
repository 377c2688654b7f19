//! The differences that a test wants in its service, and its start.

use std::io::Write;
use std::sync::LazyLock;
use std::time::Duration;

use account_opening::app::{Parts, keep_price_list};
use account_opening::clock::Clock;
use account_opening::config::RawSettings;
use account_opening::db::{PoolOptions, connect};
use account_opening::domain::chain::HistoryKey;
use account_opening::driver::tick;
use account_opening::http::listener::Limits;
use account_opening::http::{internal, public};
use account_opening::workers::backfill::Backfill;
use chrono::TimeDelta;
use sqlx::PgPool;
use world::{Bank, Options, Plan, Planner, Simulator, TrackerOptions};

use super::cells::Cell;
use super::{KEY, PRICE_COLUMNS, PRICES, TOKEN, TestApp, bank, cluster, evidence_key, listen_as};

/// The settings by default. Building the command that reads them costs more than a start can spare.
pub(super) static DEFAULTS: LazyLock<RawSettings> = LazyLock::new(|| RawSettings::defaults().unwrap());

/// The differences that a test wants.
pub struct TestAppBuilder {
    raw: Box<RawSettings>,
    through_proxy: bool,
    unused_cell: bool,
    tracker: Option<TrackerOptions>,
    /// The banks of the world that the service knows beside the first.
    banks: Vec<Bank>,
    /// Kept until the settings are read.
    price_list: Option<tempfile::NamedTempFile>,
}

impl TestAppBuilder {
    /// The defaults of the tests.
    pub(super) fn new() -> Self {
        let mut raw = Box::new(DEFAULTS.clone());
        raw.environment = "sandbox".to_owned();
        raw.api_tokens = format!(
            "admin:{TOKEN},reader:reader-token:reader,caller:caller-token:caller,operator:operator-token:operator"
        );
        raw.dashboard_url = "https://ops.example".to_owned();
        raw.evidence_key = Some(evidence_key());
        // Tests say to the minute when polls come.
        raw.poll_jitter = "0%".to_owned();
        Self { raw, through_proxy: false, unused_cell: false, tracker: None, banks: Vec::new(), price_list: None }
    }

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

    /// In a database that no test has used: for a test that counts pages or rows that are read, since those of an earlier test's
    /// dead rows would be among them.
    pub fn unused_cell(mut self) -> Self {
        self.unused_cell = true;
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

    /// With the world's ticket tracker. Its search finds an issue only so long after its creation.
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
            if *url == DEFAULTS.nexusbank.base_url {
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
        let cell = if self.unused_cell { Cell::new().await } else { Cell::borrow().await };
        // Production wants a database and secrets that are set; the harness sets the first.
        self.raw.database.database_url = Some(cell.url.clone());
        self.raw.database.database_schema = cluster::CELL.to_owned();
        let settings = self.raw.checked().unwrap_or_else(|errors| panic!("{errors:?}"));
        let proxy = if self.through_proxy { Some(cluster::proxy(&cell.url).await) } else { None };
        let service = proxy.as_ref().map_or_else(|| cell.service.clone(), |it| cell.service_through(it));
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
            pool: cell.pool.clone(),
            clock,
            context: parts.context,
            state: parts.state,
            world,
            public,
            internal,
            // Everything here speaks HTTP: reading the machine's certificates would be a tenth of a start.
            client: reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap(),
            proxy,
            cell: Some(cell),
            finished: false,
        }
    }
}

pub(super) fn pool(url: &str, schema: &str, max_connections: u32) -> PgPool {
    let (url, schema) = (url.to_owned(), schema.to_owned());
    connect(&PoolOptions { url, schema, max_connections, acquire_timeout: Duration::from_secs(10) }).unwrap()
}
