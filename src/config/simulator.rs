//! Settings of the `simulator` command: those of the service that it answers, from the other side.

use std::net::SocketAddr;

use clap::Args;
use world::TrackerOptions;

use crate::provider::nexusbank::{DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET, WEBHOOK_SECRETS};
use crate::provider::signature::WebhookSecret;
use crate::services::tracker::{EMAIL, email_address};
use crate::settings::{BEARER, Checker, SettingError, boolean, given, header_text};

#[derive(Args, Clone)]
pub struct RawSimulator {
    /// Listen address
    #[arg(long, env, default_value = "127.0.0.1:8090")]
    pub simulator_addr: String,
    /// URL that webhooks are sent to
    #[arg(long, env, default_value = "http://127.0.0.1:8080/webhooks/nexusbank")]
    pub webhook_url: String,
    /// Bearer key that callers must send
    #[arg(long, env, default_value = DEVELOPMENT_API_KEY, hide_env_values = true)]
    pub nexusbank_api_key: String,
    /// Webhook secrets, comma-separated; webhooks are signed with the first
    #[arg(long, env, default_value = DEVELOPMENT_WEBHOOK_SECRET, hide_env_values = true)]
    pub nexusbank_webhook_secrets: String,
    /// Account that the simulated ticket tracker accepts (unset: account-opening, at tracker.example)
    #[arg(long, env)]
    pub jira_email: Option<String>,
    /// API token of that account [default: jira-development-token]
    #[arg(long, env, hide_env_values = true)]
    pub jira_api_token: Option<String>,
    /// How long the ticket tracker's search misses a new issue
    #[arg(long, env, default_value = "30s")]
    pub simulator_jira_lag: String,
    /// Whether to inject faults by quota, as in the demo: true or false
    #[arg(long, env, default_value = "false", num_args = 0..=1, default_missing_value = "true")]
    pub simulator_faults: String,
    /// Seed of faults, decisions and account numbers [default: the time]
    #[arg(long, env)]
    pub simulator_seed: Option<String>,
}

#[derive(Clone, Debug)]
pub struct SimulatorSettings {
    pub addr: SocketAddr,
    pub webhook_url: String,
    pub api_key: String,
    /// `whsec_…`
    pub webhook_secret: String,
    pub tracker: TrackerOptions,
    pub faults: bool,
    /// None: drawn at the start.
    pub seed: Option<u64>,
}

impl RawSimulator {
    /// # Errors
    /// Every wrong setting.
    pub fn checked(&self) -> Result<SimulatorSettings, Vec<SettingError>> {
        let mut check = Checker::default();
        let first_secret = |text: &str| {
            let first = text.split(',').next().unwrap_or_default().trim();
            WebhookSecret::parse(first).map(|_| first.to_owned())
        };
        let settings = SimulatorSettings {
            addr: check.address("SIMULATOR_ADDR", &self.simulator_addr),
            webhook_url: check.whole_url("WEBHOOK_URL", &self.webhook_url),
            api_key: check.secret("NEXUSBANK_API_KEY", &self.nexusbank_api_key, BEARER, header_text),
            webhook_secret: check.secret(
                "NEXUSBANK_WEBHOOK_SECRETS",
                &self.nexusbank_webhook_secrets,
                WEBHOOK_SECRETS,
                first_secret,
            ),
            tracker: self.tracker(&mut check),
            faults: check
                .with("SIMULATOR_FAULTS", &self.simulator_faults, "true or false", boolean)
                .unwrap_or_default(),
            seed: given(self.simulator_seed.as_ref()).map(|it| check.number("SIMULATOR_SEED", it, 0, u64::MAX)),
        };
        check.finish(settings)
    }

    fn tracker(&self, check: &mut Checker) -> TrackerOptions {
        let defaults = TrackerOptions::default();
        let email = self.jira_email.as_ref();
        let token = self.jira_api_token.as_ref();
        TrackerOptions {
            email: check.optional_secret("JIRA_EMAIL", email, EMAIL, email_address).unwrap_or(defaults.email),
            api_token: check
                .optional_secret("JIRA_API_TOKEN", token, BEARER, header_text)
                .unwrap_or(defaults.api_token),
            lag: check.delta("SIMULATOR_JIRA_LAG", &self.simulator_jira_lag),
        }
    }
}
