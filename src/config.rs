//! All settings: names, defaults, validation, and checks across settings.
//!
//! Each setting is a command-line option and an environment variable. All are read as text and validated together, so
//! that one start reports every wrong setting: a line each, with the value (unless secret) and the expected form.

mod dashboard;
mod parse;
mod raw;
mod reconciliation;
mod simulator;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use secrecy::SecretString;

pub use self::dashboard::{DashboardSettings, Mode, REST_PATHS, RawDashboard, SignInLink};
pub use self::parse::{Role, Token};
pub use self::raw::{DEVELOPMENT_API_TOKENS, REPORT_FORMATS, RawDatabase, RawHistory, RawSettings};
pub use self::reconciliation::{RawReconciliation, ReconciliationSettings, profile_files};
pub use self::simulator::{RawSimulator, SimulatorSettings};
use crate::domain::Policy;
use crate::domain::chain::HistoryKey;
use crate::domain::fee::PriceList;
use crate::domain::policy::MAX_JITTER;
use crate::domain::retry::RetryPolicy;
use crate::domain::signature::EvidenceKey;
use crate::domain::text::string_enum;
use crate::outbound::breaker::Rules;
/// The secrets that a service and a simulator share unless configured: of the bank that has defaults.
pub use crate::provider::nexusbank::{DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET};
use crate::provider::{Adapter, Limits, Routes, Situation};
use crate::services::tracker::TrackerSettings;
use crate::settings::{Checker, SettingError, given};
use crate::sinks::{self, SinkSettings};
use crate::telemetry::{LogFilter, LogFormat};

/// The setting of the routes, and its form.
const ROUTES_NAME: &str = "PROVIDER_ROUTES";
const ROUTES: &str = "rules such as DE=solaris,NL:company=adyen,*:freelancer=airwallex,*=nexusbank: a market or *, a customer type or none, and a provider, each scope once";

/// Some providers repeat webhooks for this long; duplicates must be recognised for longer.
const LONGEST_REPEAT: TimeDelta = TimeDelta::days(30);
/// Twice the maximum size of one refused request without its body.
const MIN_REJECTED: i64 = 262_144;

string_enum!(
    /// The kind of deployment; production forbids unsafe defaults.
    Environment {
        /// Real customers. The default, so that forgetting the setting is safe.
        Production = "production",
        /// Like production, without customers.
        Staging = "staging",
        /// For integrators: the sandbox endpoint is enabled.
        Sandbox = "sandbox",
        /// A developer's machine.
        Development = "development",
    }
);

#[derive(Clone, Debug)]
pub struct Database {
    pub url: Option<SecretString>,
    pub schema: String,
    pub migration_url: Option<SecretString>,
    pub pool: u32,
    pub data_dir: PathBuf,
    pub pg_bin_dir: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub database: Database,
    pub log: String,
    pub log_format: LogFormat,
    pub environment: Environment,
    pub public_addr: SocketAddr,
    pub internal_addr: SocketAddr,
    pub keep_alive: Duration,
    pub api_tokens: Vec<Token>,
    /// None: a key is generated and kept in the data directory.
    pub history_key: Option<HistoryKey>,
    /// None: a key is generated and kept in the data directory.
    pub evidence_key: Option<EvidenceKey>,
    pub dashboard_url: String,
    pub dashboard: DashboardSettings,
    pub event_subscribers: Vec<SinkSettings>,
    /// Which provider opens what.
    pub routes: Routes,
    /// The settings of the configured providers.
    pub adapters: Vec<Arc<dyn Adapter>>,
    pub profile_service_url: String,
    pub card_service_url: String,
    /// None: tickets exist only in the built-in table.
    pub tracker: Option<TrackerSettings>,
    pub policy: Policy,
    pub catch_up_overlap: TimeDelta,
    pub retry: RetryPolicy,
    pub burst_dedup_ttl: TimeDelta,
    pub idempotency_ttl: TimeDelta,
    pub webhook_max_bytes: usize,
    pub rejected_max_bytes: i64,
    pub ack_timeout: Duration,
    pub ingest_queue: usize,
    pub ingest_queue_bytes: usize,
    pub inbox_backlog: i64,
    pub lease_margin: TimeDelta,
    pub provider_timeout: Duration,
    pub breaker: Rules,
    pub provider_concurrency: usize,
    pub sync_provider_timeout: Duration,
    pub sync_wait: Duration,
    pub shutdown_grace: Duration,
    pub parked_ttl: TimeDelta,
    pub archive_after: TimeDelta,
    pub inbox_keys_for: TimeDelta,
    pub reconciliation: ReconciliationSettings,
    /// None: no expected fees are booked.
    pub price_list: Option<Arc<PriceList>>,
    pub clock_offset: TimeDelta,
}

impl RawDatabase {
    fn check(&self, check: &mut Checker) -> Database {
        let schema = check.with("DATABASE_SCHEMA", &self.database_schema, parse::SCHEMA, parse::schema);
        Database {
            url: check.optional_secret("DATABASE_URL", self.database_url.as_ref(), parse::POSTGRES, parse::postgres),
            schema: schema.unwrap_or_default(),
            migration_url: check.optional_secret(
                "MIGRATION_DATABASE_URL",
                self.migration_database_url.as_ref(),
                parse::POSTGRES,
                parse::postgres,
            ),
            pool: check.number("DATABASE_POOL", &self.database_pool, 2, 1_000),
            data_dir: given(self.data_dir.as_ref()).map_or_else(parse::default_data_dir, Into::into),
            pg_bin_dir: given(self.pg_bin_dir.as_ref()).map(Into::into),
        }
    }

    /// Validates only the database settings, for `migrate`.
    ///
    /// # Errors
    /// Every wrong setting.
    pub fn checked(&self) -> Result<Database, Vec<SettingError>> {
        let mut check = Checker::default();
        let database = self.check(&mut check);
        check.finish(database)
    }
}

impl RawHistory {
    /// Validates the settings of `verify-history`: the database, and the key if it is set.
    ///
    /// # Errors
    /// Every wrong setting.
    pub fn checked(&self) -> Result<(Database, Option<HistoryKey>), Vec<SettingError>> {
        let mut check = Checker::default();
        let database = self.database.check(&mut check);
        let key = history_key(&mut check, self.history_key.as_ref());
        check.finish((database, key))
    }
}

/// The history's key from its setting. None: it is not set.
///
/// # Errors
/// If it is no such key.
pub fn given_history_key(text: Option<&String>) -> Result<Option<HistoryKey>, Vec<SettingError>> {
    let mut check = Checker::default();
    let key = history_key(&mut check, text);
    check.finish(key)
}

fn history_key(check: &mut Checker, text: Option<&String>) -> Option<HistoryKey> {
    check.optional_secret("HISTORY_KEY", text, parse::HISTORY_KEY, parse::history_key)
}

fn evidence_key(check: &mut Checker, text: Option<&String>) -> Option<EvidenceKey> {
    check.optional_secret("EVIDENCE_KEY", text, parse::EVIDENCE_KEY, parse::evidence_key)
}

impl RawSettings {
    /// Validates every setting, alone and together.
    ///
    /// # Errors
    /// Every wrong setting.
    pub fn checked(&self) -> Result<Settings, Vec<SettingError>> {
        let mut check = Checker::default();
        let settings = self.each(&mut check);
        self.check_together(&mut check, &settings);
        check.finish(settings)
    }

    /// Validates every setting alone.
    fn each(&self, check: &mut Checker) -> Settings {
        let database = self.database.check(check);
        let (limits, routes) = (self.limits(check), self.routes(check));
        let dashboard_url = check.url("DASHBOARD_URL", &self.dashboard_url);
        let adapters = self.adapters(check, &routes, &limits);
        Settings {
            database,
            log: check.with("LOG", &self.log, LogFilter::EXPECTED, parse::log_filter).unwrap_or_default(),
            log_format: check.word("LOG_FORMAT", &self.log_format).unwrap_or(LogFormat::Text),
            environment: check.word("ENVIRONMENT", &self.environment).unwrap_or(Environment::Production),
            public_addr: check.address("PUBLIC_ADDR", &self.public_addr),
            internal_addr: check.address("INTERNAL_ADDR", &self.internal_addr),
            keep_alive: check.duration("KEEP_ALIVE", &self.keep_alive),
            api_tokens: check.secret("API_TOKENS", &self.api_tokens, parse::TOKENS, parse::tokens),
            history_key: history_key(check, self.history_key.as_ref()),
            evidence_key: evidence_key(check, self.evidence_key.as_ref()),
            dashboard: self.dashboard.check(check, &dashboard_url),
            dashboard_url,
            event_subscribers: self.subscribers(check),
            routes,
            profile_service_url: check.url("PROFILE_SERVICE_URL", &self.profile_service_url),
            card_service_url: check.url("CARD_SERVICE_URL", &self.card_service_url),
            tracker: self.tracker.check(check),
            policy: limits.policy,
            catch_up_overlap: check.delta("CATCH_UP_OVERLAP", &self.catch_up_overlap),
            retry: self.retry(check),
            burst_dedup_ttl: check.delta("BURST_DEDUP_TTL", &self.burst_dedup_ttl),
            idempotency_ttl: check.delta("IDEMPOTENCY_TTL", &self.idempotency_ttl),
            webhook_max_bytes: check.number("WEBHOOK_MAX_BYTES", &self.webhook_max_bytes, 1, 64 * 1_024 * 1_024),
            rejected_max_bytes: check.number("REJECTED_MAX_BYTES", &self.rejected_max_bytes, MIN_REJECTED, 1 << 40),
            ack_timeout: check.duration("ACK_TIMEOUT", &self.ack_timeout),
            ingest_queue: check.number("INGEST_QUEUE", &self.ingest_queue, 1, 1_000_000),
            ingest_queue_bytes: check.number("INGEST_QUEUE_BYTES", &self.ingest_queue_bytes, 1, 1 << 40),
            inbox_backlog: check.number("INBOX_BACKLOG", &self.inbox_backlog, 1, 1_000_000_000),
            lease_margin: check.delta_of_at_least("LEASE_MARGIN", &self.lease_margin, TimeDelta::milliseconds(500)),
            provider_timeout: check.duration("PROVIDER_TIMEOUT", &self.provider_timeout),
            breaker: self.breaker(check),
            provider_concurrency: check.number("PROVIDER_CONCURRENCY", &self.provider_concurrency, 1, 10_000),
            sync_provider_timeout: check.duration("SYNC_PROVIDER_TIMEOUT", &self.sync_provider_timeout),
            sync_wait: check.duration("SYNC_WAIT", &self.sync_wait),
            shutdown_grace: check.duration("SHUTDOWN_GRACE", &self.shutdown_grace),
            parked_ttl: check.delta("PARKED_TTL", &self.parked_ttl),
            archive_after: check.delta("ARCHIVE_AFTER", &self.archive_after),
            inbox_keys_for: check.delta_of_at_least("INBOX_KEYS_FOR", &self.inbox_keys_for, LONGEST_REPEAT),
            reconciliation: self.reconciliation.check(check, &adapters),
            adapters,
            price_list: parse::price_list(check, self.price_list.as_ref(), &self.provider_names()),
            clock_offset: self.offset_of_clock(check),
        }
    }

    fn subscribers(&self, check: &mut Checker) -> Vec<SinkSettings> {
        check.secret("EVENT_SUBSCRIBERS", &self.event_subscribers, sinks::EXPECTED, sinks::parse)
    }

    fn offset_of_clock(&self, check: &mut Checker) -> TimeDelta {
        let expected = "a duration, such as 3s or -3s";
        check.with("CLOCK_OFFSET", &self.clock_offset, expected, parse::offset).unwrap_or_default()
    }

    /// The limits of a provider that overrides none.
    fn limits(&self, check: &mut Checker) -> Limits {
        Limits {
            policy: self.policy(check),
            polls_a_minute: check.number("POLL_BUDGET", &self.poll_budget, 1, 100_000_000),
            calls_at_once: None,
            tolerance: check.delta("WEBHOOK_TOLERANCE", &self.webhook_tolerance),
        }
    }

    fn policy(&self, check: &mut Checker) -> Policy {
        let expected = format!("a whole percentage from 0% to {MAX_JITTER}%");
        let jitter = check.with("POLL_JITTER", &self.poll_jitter, &expected, |text| parse::percent(text, MAX_JITTER));
        Policy {
            poll_schedule: check.schedule("POLL_SCHEDULE", &self.poll_schedule),
            poll_jitter: jitter.unwrap_or_default(),
            escalate_after: check.delta("ESCALATE_AFTER", &self.escalate_after),
            look_again: (
                check.delta("BACKOFF_BASE", &self.backoff_base),
                check.delta("BACKOFF_CAP", &self.backoff_cap),
            ),
        }
    }

    fn routes(&self, check: &mut Checker) -> Routes {
        let names = self.provider_names();
        let expected = format!("{ROUTES}; providers: {}", names.join(", "));
        check
            .with(ROUTES_NAME, &self.provider_routes, &expected, |text| Routes::parse(text, &names))
            .unwrap_or_default()
    }

    /// The configured adapters. A rule that names a market must lead to a provider that serves it.
    fn adapters(&self, check: &mut Checker, routes: &Routes, limits: &Limits) -> Vec<Arc<dyn Adapter>> {
        let is_production = self.environment.parse() == Ok(Environment::Production);
        let mut adapters: Vec<Arc<dyn Adapter>> = Vec::new();
        for raw in self.raw_adapters() {
            let situation = Situation { is_routed: routes.lead_to(raw.name()), is_production, defaults: limits };
            adapters.extend(raw.check(check, situation));
        }
        for (market, name) in routes.markets() {
            if adapters.iter().any(|it| it.name() == name && !it.serves(market)) {
                let expected =
                    format!("a provider that opens accounts in {market}: {name} has no IBANs or no BIC there");
                check.wrong(ROUTES_NAME, Some(&self.provider_routes), &expected);
            }
        }
        adapters
    }

    fn retry(&self, check: &mut Checker) -> RetryPolicy {
        RetryPolicy {
            base: check.delta_of_at_least("BACKOFF_BASE", &self.backoff_base, TimeDelta::milliseconds(1)),
            cap: check.delta("BACKOFF_CAP", &self.backoff_cap),
            max_attempts: check.number("MAX_ATTEMPTS", &self.max_attempts, 1, 1_000),
            retry_for: check.delta("RETRY_FOR", &self.retry_for),
        }
    }

    fn breaker(&self, check: &mut Checker) -> Rules {
        Rules {
            failures: check.number("BREAKER_FAILURES", &self.breaker_failures, 1, 1_000),
            open_for: check.delta_of_at_least("BREAKER_OPEN_FOR", &self.breaker_open_for, TimeDelta::milliseconds(1)),
            probes: check.number("BREAKER_PROBES", &self.breaker_probes, 1, 1_000),
            longest_pause: check.delta("BACKOFF_CAP", &self.backoff_cap),
        }
    }

    fn check_together(&self, check: &mut Checker, settings: &Settings) {
        let least = settings.provider_timeout + Duration::from_secs(5);
        if check.fits("PROVIDER_TIMEOUT") && settings.shutdown_grace < least {
            let expected = format!("at least PROVIDER_TIMEOUT + 5s = {}", humantime::format_duration(least));
            check.wrong("SHUTDOWN_GRACE", Some(&self.shutdown_grace), &expected);
        }
        if check.fits("WEBHOOK_MAX_BYTES") && settings.ingest_queue_bytes < settings.webhook_max_bytes {
            let expected = format!("at least WEBHOOK_MAX_BYTES = {}", self.webhook_max_bytes);
            check.wrong("INGEST_QUEUE_BYTES", Some(&self.ingest_queue_bytes), &expected);
        }
        if check.fits("BACKOFF_BASE") && settings.retry.cap < settings.retry.base {
            let expected = format!("at least BACKOFF_BASE = {}", self.backoff_base);
            check.wrong("BACKOFF_CAP", Some(&self.backoff_cap), &expected);
        }
        if check.fits("ARCHIVE_AFTER") && settings.inbox_keys_for < settings.archive_after {
            // The key is a column of the row that is archived.
            let expected = format!("at least ARCHIVE_AFTER = {}", self.archive_after);
            check.wrong("INBOX_KEYS_FOR", Some(&self.inbox_keys_for), &expected);
        }
        if settings.public_addr == settings.internal_addr && settings.public_addr.port() != 0 {
            check.wrong("INTERNAL_ADDR", Some(&self.internal_addr), "an address other than PUBLIC_ADDR");
        }
        // An invalid ENVIRONMENT is already reported; which other settings it would require is unknown.
        if self.environment.parse() == Ok(Environment::Production) {
            self.check_production(check, settings);
        }
    }

    /// Production accepts no default for secrets and no private cluster.
    fn check_production(&self, check: &mut Checker, settings: &Settings) {
        if !settings.clock_offset.is_zero() {
            check.wrong("CLOCK_OFFSET", Some(&self.clock_offset), "0s in production");
        }
        #[cfg(feature = "broken")]
        check.wrong("ENVIRONMENT", None, "a build without the feature `broken`, which removes defences");
        if given(self.database.database_url.as_ref()).is_none() {
            check.wrong("DATABASE_URL", None, "a postgres:// URL (required in production; see ENVIRONMENT)");
        }
        if given(self.history_key.as_ref()).is_none() {
            check.wrong("HISTORY_KEY", None, "base64 of 32 bytes (required in production)");
        }
        if given(self.evidence_key.as_ref()).is_none() {
            check.wrong("EVIDENCE_KEY", None, "an Ed25519 key in PKCS#8 PEM (required in production)");
        }
        check.own_value("API_TOKENS", &self.api_tokens, DEVELOPMENT_API_TOKENS);
        self.tracker.check_production(check);
    }
}

#[cfg(test)]
mod tests;
