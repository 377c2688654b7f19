//! The settings as text: options, variables, defaults and help texts.

use clap::{Args, FromArgMatches};

use super::dashboard::RawDashboard;
use super::reconciliation::RawReconciliation;
use crate::provider::RawAdapter;
use crate::provider::adyen::RawAdyen;
use crate::provider::airwallex::RawAirwallex;
use crate::provider::nexusbank::{self, RawNexusBank};
use crate::provider::solaris::RawSolaris;
use crate::report_files::Format;
use crate::services::tracker::RawTracker;

/// The default API token. Refused in production.
pub const DEVELOPMENT_API_TOKENS: &str = "developer:development-token:admin";

/// The formats that adapters bring for report files of their banks, where no profile describes these. A new one is registered here.
pub const REPORT_FORMATS: &[&dyn Format] = &[&nexusbank::REPORTS];

#[derive(Args, Clone)]
#[expect(clippy::doc_markdown, reason = "each has its help, which is plain text")]
pub struct RawSettings {
    #[command(flatten)]
    pub database: RawDatabase,

    /// Log level, or a filter such as info,account_opening::driver=debug; libraries log below info only if named
    #[arg(long, env, default_value = "info")]
    pub log: String,
    /// Log format: text or json
    #[arg(long, env, default_value = "text")]
    pub log_format: String,
    /// Environment: production, staging, sandbox or development
    #[arg(long, env, default_value = "production")]
    pub environment: String,
    /// Listen address for providers: POST /webhooks/{provider}, GET /livez
    #[arg(long, env, default_value = "127.0.0.1:8080")]
    pub public_addr: String,
    /// Listen address for callers and operators: dashboard, REST, health, metrics, API description
    #[arg(long, env, default_value = "127.0.0.1:8081")]
    pub internal_addr: String,
    /// Idle time-out of connections to both listeners; set it longer than the load balancer's
    #[arg(long, env, default_value = "75s")]
    pub keep_alive: String,
    /// API credentials: name:token[:reader|caller|operator|admin], comma-separated (default role: admin)
    #[arg(long, env, default_value = DEVELOPMENT_API_TOKENS, hide_env_values = true)]
    pub api_tokens: String,
    /// Key of the history's hash chain: base64 of 32 bytes [default: generated and kept in DATA_DIR; required in
    /// production]
    #[arg(long, env, hide_env_values = true)]
    pub history_key: Option<String>,
    /// Key that signs evidence: Ed25519 in PKCS#8 PEM, line breaks may be written as \n [default: generated and kept in
    /// DATA_DIR; required in production]
    #[arg(long, env, hide_env_values = true)]
    pub evidence_key: Option<String>,
    /// Base URL of the dashboard. Its path is the prefix of every page; tickets link to {DASHBOARD_URL}/openings/{id}
    #[arg(long, env, default_value = "http://127.0.0.1:8081")]
    pub dashboard_url: String,
    #[command(flatten)]
    pub dashboard: RawDashboard,
    /// Sinks that receive every event: [name=]url|whsec_…, comma-separated; without a name, host, port and path (and a hash
    /// of the URL where several share these) are the name in the queue, metrics and REST [default: none]
    #[arg(long, env, default_value = "", hide_env_values = true, hide_default_value = true)]
    pub event_subscribers: String,

    /// Which provider opens what: market or *, optionally :customer_type, =provider; comma-separated, the narrowest rule
    /// counts
    #[arg(long, env, default_value = "*=nexusbank")]
    pub provider_routes: String,
    #[command(flatten)]
    pub nexusbank: RawNexusBank,
    #[command(flatten)]
    pub solaris: RawSolaris,
    #[command(flatten)]
    pub airwallex: RawAirwallex,
    #[command(flatten)]
    pub adyen: RawAdyen,
    /// Base URL of the profile service
    #[arg(long, env, default_value = "http://127.0.0.1:8090")]
    pub profile_service_url: String,
    /// Base URL of the card issuer
    #[arg(long, env, default_value = "http://127.0.0.1:8090")]
    pub card_service_url: String,
    #[command(flatten)]
    pub tracker: RawTracker,

    /// Delays before the first poll, the second, …, comma-separated; the last one repeats
    #[arg(long, env, default_value = "30m")]
    pub poll_schedule: String,
    /// Maximum jitter: repeated polls come earlier by up to this share, never later
    #[arg(long, env, default_value = "10%")]
    pub poll_jitter: String,
    /// Maximum polls per minute and provider, for each process
    #[arg(long, env, default_value = "60000")]
    pub poll_budget: String,
    /// How far before the last webhook a backfill starts reading; covers clock differences and messages in flight
    #[arg(long, env, default_value = "10m")]
    pub catch_up_overlap: String,
    /// Deadline of an opening's start, of its wait for the provider and of its card; a passed one opens a ticket, and ends the polls
    #[arg(long, env, default_value = "12h")]
    pub escalate_after: String,
    /// How long the in-memory cache recognises duplicate webhooks without the database
    #[arg(long, env, default_value = "15m")]
    pub burst_dedup_ttl: String,
    /// How long the first answer to an Idempotency-Key is kept
    #[arg(long, env, default_value = "7d")]
    pub idempotency_ttl: String,
    /// Maximum difference between a webhook's signed time and the service's clock
    #[arg(long, env, default_value = "5m")]
    pub webhook_tolerance: String,
    /// Maximum size of a webhook's body, in bytes
    #[arg(long, env, default_value = "262144")]
    pub webhook_max_bytes: String,
    /// Maximum bytes of refused webhooks kept in total; one source may use half
    #[arg(long, env, default_value = "67108864")]
    pub rejected_max_bytes: String,
    /// Maximum time until a webhook is answered; after it, 503
    #[arg(long, env, default_value = "5s")]
    pub ack_timeout: String,
    /// Maximum webhooks in memory that wait to be stored; beyond it, 503
    #[arg(long, env, default_value = "4096")]
    pub ingest_queue: String,
    /// Maximum bytes of these webhooks; at least WEBHOOK_MAX_BYTES
    #[arg(long, env, default_value = "67108864")]
    pub ingest_queue_bytes: String,
    /// Maximum due facts in the inbox; beyond it, webhooks are answered 503
    #[arg(long, env, default_value = "1000000")]
    pub inbox_backlog: String,
    /// How long a lease lasts beyond the deadline of its call
    #[arg(long, env, default_value = "30s")]
    pub lease_margin: String,
    /// How long to keep retrying during an outage of another system (transport error, 5xx, throttling, our own misconfiguration)
    #[arg(long, env, default_value = "24h")]
    pub retry_for: String,
    /// Unusable answers or internal errors after which work becomes a dead letter
    #[arg(long, env, default_value = "10")]
    pub max_attempts: String,
    /// Maximum delay before the first retry (doubles each time, full jitter)
    #[arg(long, env, default_value = "1s")]
    pub backoff_base: String,
    /// Maximum delay before any retry, even if the other side asks for longer
    #[arg(long, env, default_value = "15m")]
    pub backoff_cap: String,
    /// Deadline of a call to another system
    #[arg(long, env, default_value = "10s")]
    pub provider_timeout: String,
    /// Failed calls in a row that open the circuit breaker of an operation
    #[arg(long, env, default_value = "5")]
    pub breaker_failures: String,
    /// How long an open breaker blocks calls before it allows probes
    #[arg(long, env, default_value = "30s")]
    pub breaker_open_for: String,
    /// Maximum concurrent probes of an open breaker
    #[arg(long, env, default_value = "1")]
    pub breaker_probes: String,
    /// Maximum concurrent calls to one operation of another system
    #[arg(long, env, default_value = "64")]
    pub provider_concurrency: String,
    /// Deadline of the legacy call, which blocks until the provider decides
    #[arg(long, env, default_value = "60s")]
    pub sync_provider_timeout: String,
    /// How long a caller of the synchronous flow waits for the answer before it gets 202
    #[arg(long, env, default_value = "8s")]
    pub sync_wait: String,
    /// Maximum duration of a shutdown; at least PROVIDER_TIMEOUT + 5s
    #[arg(long, env, default_value = "20s")]
    pub shutdown_grace: String,
    /// How long a fact that matches no opening is retried before it becomes a dead letter
    #[arg(long, env, default_value = "24h")]
    pub parked_ttl: String,
    /// How long settled facts, and delivered or cancelled outbox rows, stay before they are archived
    #[arg(long, env, default_value = "30d")]
    pub archive_after: String,
    /// How long duplicates of an event are recognised; at least 30d and at least ARCHIVE_AFTER
    #[arg(long, env, default_value = "90d")]
    pub inbox_keys_for: String,
    #[command(flatten)]
    pub reconciliation: RawReconciliation,
    /// File with the provider's prices (CSV), by which expected fees are booked [default: none are]
    #[arg(long, env)]
    pub price_list: Option<String>,
    /// Offset added to the clock, such as 3s or -3s: for fault tests, refused in production
    #[arg(long, env, default_value = "0s", allow_hyphen_values = true)]
    pub clock_offset: String,
}

#[derive(Args, Clone)]
#[expect(clippy::doc_markdown, reason = "each has its help, which is plain text")]
pub struct RawDatabase {
    /// Database URL, postgres://… [default: a private cluster in DATA_DIR; required in production]
    #[arg(long, env, hide_env_values = true)]
    pub database_url: Option<String>,
    /// Schema of this cell
    #[arg(long, env, default_value = "public")]
    pub database_schema: String,
    /// Database URL of the schema's owner, for migrations [default: DATABASE_URL]
    #[arg(long, env, hide_env_values = true)]
    pub migration_database_url: Option<String>,
    /// Maximum database connections
    #[arg(long, env, default_value = "20")]
    pub database_pool: String,
    /// Directory of the private cluster and the generated keys [default: a directory in the user's home]
    #[arg(long, env)]
    pub data_dir: Option<String>,
    /// Directory of the Postgres programs [default: searched]
    #[arg(long, env)]
    pub pg_bin_dir: Option<String>,
}

#[derive(Args, Clone)]
#[expect(clippy::doc_markdown, reason = "each has its help, which is plain text")]
pub struct RawHistory {
    #[command(flatten)]
    pub database: RawDatabase,

    /// Key of the history's hash chain: base64 of 32 bytes [default: the key kept in DATA_DIR]
    #[arg(long, env, hide_env_values = true)]
    pub history_key: Option<String>,
}

impl RawSettings {
    /// The settings of every provider: where a new adapter is registered.
    pub(super) fn raw_adapters(&self) -> [&dyn RawAdapter; 4] {
        [&self.nexusbank, &self.solaris, &self.airwallex, &self.adyen]
    }

    /// The names of all providers that there are adapters for.
    pub(super) fn provider_names(&self) -> Vec<&'static str> {
        self.raw_adapters().map(RawAdapter::name).to_vec()
    }

    /// All defaults, ignoring the environment.
    ///
    /// # Errors
    /// None in practice: the defaults are valid.
    pub fn defaults() -> Result<Self, clap::Error> {
        Self::defaults_but([])
    }

    /// All defaults but for these variables, ignoring the environment.
    ///
    /// # Errors
    /// If there is no such variable.
    pub fn defaults_but(variables: impl IntoIterator<Item = (&'static str, String)>) -> Result<Self, clap::Error> {
        let command = Self::augment_args(clap::Command::new("defaults")).mut_args(|arg| arg.env(None::<&str>));
        // The option of each variable has its name.
        let option = |(name, value): (&str, String)| format!("--{}={value}", name.to_lowercase().replace('_', "-"));
        let arguments = std::iter::once("defaults".to_owned()).chain(variables.into_iter().map(option));
        Self::from_arg_matches(&command.try_get_matches_from(arguments)?)
    }
}
