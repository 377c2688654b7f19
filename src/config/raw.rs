//! The settings as text: their options, variables, defaults and help.

use clap::{Args, FromArgMatches};

use super::tracker::RawTracker;

/// The webhook secret that the service and the simulator share when none is set. Production refuses it.
pub const DEVELOPMENT_WEBHOOK_SECRET: &str = "whsec_YWNjb3VudC1vcGVuaW5nLWRldmVsb3BtZW50";
/// The provider's key when none is set. Production refuses it.
pub const DEVELOPMENT_API_KEY: &str = "nexusbank-development-key";
/// The API's token when none is set. Production refuses it.
pub const DEVELOPMENT_API_TOKENS: &str = "developer:development-token:admin";

/// The settings as text.
#[derive(Args, Clone)]
#[expect(clippy::doc_markdown, reason = "each has its help, which is plain text")]
pub struct RawSettings {
    #[command(flatten)]
    pub database: RawDatabase,

    /// What is logged: a level, or a filter such as info,account_opening::workers=debug; below info, libraries only if named
    #[arg(long, env, default_value = "info")]
    pub log: String,
    /// How log lines look: text or json
    #[arg(long, env, default_value = "text")]
    pub log_format: String,
    /// Where this runs: production, staging, sandbox or development
    #[arg(long, env, default_value = "production")]
    pub environment: String,
    /// Address for providers: POST /webhooks/{provider}, GET /livez
    #[arg(long, env, default_value = "127.0.0.1:8080")]
    pub public_addr: String,
    /// Address for callers and operators: REST, health, metrics, API description
    #[arg(long, env, default_value = "127.0.0.1:8081")]
    pub internal_addr: String,
    /// How long a connection to either may be idle after an answer; longer than a balancer before it keeps one
    #[arg(long, env, default_value = "75s")]
    pub keep_alive: String,
    /// Who may call: name:token[:reader|caller|operator|admin], comma-separated (role: admin)
    #[arg(long, env, default_value = DEVELOPMENT_API_TOKENS, hide_env_values = true)]
    pub api_tokens: String,
    /// The key of the history's hash chain: base64 of 32 bytes [default: made and kept in DATA_DIR; production: required]
    #[arg(long, env, hide_env_values = true)]
    pub history_key: Option<String>,
    /// Where tickets lead people: {DASHBOARD_URL}/openings/{id}
    #[arg(long, env, default_value = "http://127.0.0.1:8081")]
    pub dashboard_url: String,
    /// Who is sent every event: url|whsec_…, comma-separated [default: nobody]
    #[arg(long, env, default_value = "", hide_env_values = true, hide_default_value = true)]
    pub event_subscribers: String,

    /// The provider's API
    #[arg(long, env, default_value = "http://127.0.0.1:8090")]
    pub nexusbank_base_url: String,
    /// Our bearer key there
    #[arg(long, env, default_value = DEVELOPMENT_API_KEY, hide_env_values = true)]
    pub nexusbank_api_key: String,
    /// What the provider signs webhooks with: whsec_…, comma-separated; any may match
    #[arg(long, env, default_value = DEVELOPMENT_WEBHOOK_SECRET, hide_env_values = true)]
    pub nexusbank_webhook_secrets: String,
    /// The profile service
    #[arg(long, env, default_value = "http://127.0.0.1:8090")]
    pub profile_service_url: String,
    /// The card issuer
    #[arg(long, env, default_value = "http://127.0.0.1:8090")]
    pub card_service_url: String,
    #[command(flatten)]
    pub tracker: RawTracker,

    /// Time before each poll of the provider's status, comma-separated; the last repeats
    #[arg(long, env, default_value = "30m")]
    pub poll_schedule: String,
    /// By how much a repeated poll comes earlier, at most, so that polls drift apart; never later
    #[arg(long, env, default_value = "10%")]
    pub poll_jitter: String,
    /// How many polls a minute each provider takes from one process
    #[arg(long, env, default_value = "60000")]
    pub poll_budget: String,
    /// How far before the last webhook a catch-up begins: for clocks that differ and messages that were under way
    #[arg(long, env, default_value = "10m")]
    pub catch_up_overlap: String,
    /// How long to wait for the provider before people are told
    #[arg(long, env, default_value = "12h")]
    pub escalate_after: String,
    /// How long a webhook's copy is recognised without asking the database
    #[arg(long, env, default_value = "15m")]
    pub burst_dedup_ttl: String,
    /// How long the first answer to an Idempotency-Key is kept
    #[arg(long, env, default_value = "7d")]
    pub idempotency_ttl: String,
    /// How far a webhook's signed time may be from ours
    #[arg(long, env, default_value = "5m")]
    pub webhook_tolerance: String,
    /// The largest webhook body, in bytes
    #[arg(long, env, default_value = "262144")]
    pub webhook_max_bytes: String,
    /// The most bytes kept of webhook requests that were refused, in all; one source may hold half
    #[arg(long, env, default_value = "67108864")]
    pub rejected_max_bytes: String,
    /// The longest a webhook waits for its answer
    #[arg(long, env, default_value = "5s")]
    pub ack_timeout: String,
    /// How many webhooks may wait in memory to be stored
    #[arg(long, env, default_value = "4096")]
    pub ingest_queue: String,
    /// How many bytes of them may wait; at least WEBHOOK_MAX_BYTES
    #[arg(long, env, default_value = "67108864")]
    pub ingest_queue_bytes: String,
    /// How many facts may be due in the inbox before webhooks are told to come again
    #[arg(long, env, default_value = "1000000")]
    pub inbox_backlog: String,
    /// How long a lease outlives the deadline of the call that it is for
    #[arg(long, env, default_value = "30s")]
    pub lease_margin: String,
    /// How long an outage of another system is waited out (transport, 5xx, throttled)
    #[arg(long, env, default_value = "24h")]
    pub retry_for: String,
    /// How many unusable answers or errors of our own make work a dead letter
    #[arg(long, env, default_value = "10")]
    pub max_attempts: String,
    /// The longest wait before the first repeat (doubles, full jitter)
    #[arg(long, env, default_value = "1s")]
    pub backoff_base: String,
    /// The longest wait before any repeat, also where the other side asks for a longer one
    #[arg(long, env, default_value = "15m")]
    pub backoff_cap: String,
    /// The deadline of a call to another system
    #[arg(long, env, default_value = "10s")]
    pub provider_timeout: String,
    /// How many calls in a row must fail before a provider's operation is left alone for a while
    #[arg(long, env, default_value = "5")]
    pub breaker_failures: String,
    /// How long it is left alone before a probe looks whether it is back
    #[arg(long, env, default_value = "30s")]
    pub breaker_open_for: String,
    /// How many probes at once
    #[arg(long, env, default_value = "1")]
    pub breaker_probes: String,
    /// How many calls to one operation of another system may be under way at once
    #[arg(long, env, default_value = "64")]
    pub provider_concurrency: String,
    /// The deadline of the legacy call that blocks until the account is decided
    #[arg(long, env, default_value = "60s")]
    pub sync_provider_timeout: String,
    /// How long a caller on the synchronous flow waits for the answer before it is told 202
    #[arg(long, env, default_value = "8s")]
    pub sync_wait: String,
    /// How long a shutdown may take; at least PROVIDER_TIMEOUT + 5s
    #[arg(long, env, default_value = "20s")]
    pub shutdown_grace: String,
    /// How long a fact that matches no opening waits for one
    #[arg(long, env, default_value = "24h")]
    pub parked_ttl: String,
    /// How long after their end facts and deliveries stay in inbox and outbox before they are archived
    #[arg(long, env, default_value = "30d")]
    pub archive_after: String,
    /// How long an event is known as a copy of an earlier one; at least 30d, and at least ARCHIVE_AFTER
    #[arg(long, env, default_value = "90d")]
    pub inbox_keys_for: String,
    /// How wrong our clock is made to be, such as 3s or -3s: for tests with faults, refused in production
    #[arg(long, env, default_value = "0s", allow_hyphen_values = true)]
    pub clock_offset: String,
}

/// The settings of the database as text.
#[derive(Args, Clone)]
#[expect(clippy::doc_markdown, reason = "each has its help, which is plain text")]
pub struct RawDatabase {
    /// The database, postgres://… [default: a private cluster below DATA_DIR; production: required]
    #[arg(long, env, hide_env_values = true)]
    pub database_url: Option<String>,
    /// The schema that holds this cell
    #[arg(long, env, default_value = "public")]
    pub database_schema: String,
    /// The database as its owner, for migrations [default: DATABASE_URL]
    #[arg(long, env, hide_env_values = true)]
    pub migration_database_url: Option<String>,
    /// The most connections held
    #[arg(long, env, default_value = "20")]
    pub database_pool: String,
    /// Where the private cluster and keys are kept [default: a directory of the user's]
    #[arg(long, env)]
    pub data_dir: Option<String>,
    /// Where the Postgres programs are [default: looked for]
    #[arg(long, env)]
    pub pg_bin_dir: Option<String>,
}

/// What it takes to verify the histories, as text.
#[derive(Args, Clone)]
#[expect(clippy::doc_markdown, reason = "each has its help, which is plain text")]
pub struct RawHistory {
    #[command(flatten)]
    pub database: RawDatabase,

    /// The key of the history's hash chain: base64 of 32 bytes [default: the one kept in DATA_DIR]
    #[arg(long, env, hide_env_values = true)]
    pub history_key: Option<String>,
}

impl RawSettings {
    /// The settings with every default, whatever the environment says: for what must not depend on it.
    ///
    /// # Errors
    /// None in practice: the defaults are valid.
    pub fn defaults() -> Result<Self, clap::Error> {
        let command = Self::augment_args(clap::Command::new("defaults")).mut_args(|arg| arg.env(None::<&str>));
        Self::from_arg_matches(&command.try_get_matches_from(["defaults"])?)
    }
}
