//! `NexusBank`'s settings.

use chrono::TimeDelta;
use clap::Args;
use secrecy::SecretString;

use crate::provider::signature::WebhookSecret;
use crate::settings::{BEARER, Checker, header_text, list_of};

/// The default API key. Refused in production.
pub const DEVELOPMENT_API_KEY: &str = "nexusbank-development-key";
/// The default webhook secret of service and simulator. Refused in production.
pub const DEVELOPMENT_WEBHOOK_SECRET: &str = "whsec_YWNjb3VudC1vcGVuaW5nLWRldmVsb3BtZW50";

/// The expected form of [`RawNexusBank::webhook_secrets`].
pub const WEBHOOK_SECRETS: &str = "whsec_ followed by base64, comma-separated";

/// The settings as text.
#[derive(Args, Clone)]
pub struct RawNexusBank {
    /// Base URL of the provider's API
    #[arg(long = "nexusbank-base-url", env = "NEXUSBANK_BASE_URL", default_value = "http://127.0.0.1:8090")]
    pub base_url: String,
    /// Bearer key for the provider's API
    #[arg(
        long = "nexusbank-api-key",
        env = "NEXUSBANK_API_KEY",
        default_value = DEVELOPMENT_API_KEY,
        hide_env_values = true
    )]
    pub api_key: String,
    /// Secrets that verify the provider's webhooks: whsec_…, comma-separated; a webhook may be signed with any of them
    #[arg(
        long = "nexusbank-webhook-secrets",
        env = "NEXUSBANK_WEBHOOK_SECRETS",
        default_value = DEVELOPMENT_WEBHOOK_SECRET,
        hide_env_values = true
    )]
    pub webhook_secrets: String,
}

/// How to call `NexusBank`, and how to verify its webhooks.
#[derive(Clone, Debug)]
pub struct NexusBankSettings {
    /// Without a trailing slash.
    pub base_url: String,
    /// The bearer key.
    pub api_key: SecretString,
    /// A webhook may be signed with any of them.
    pub webhook_secrets: Vec<WebhookSecret>,
    /// Maximum difference between a webhook's signed time and the service's clock.
    pub tolerance: TimeDelta,
}

impl RawNexusBank {
    pub(crate) fn check(&self, check: &mut Checker, tolerance: TimeDelta) -> NexusBankSettings {
        let secrets = |text: &str| list_of(text, WebhookSecret::parse);
        NexusBankSettings {
            base_url: check.url("NEXUSBANK_BASE_URL", &self.base_url),
            api_key: check.secret("NEXUSBANK_API_KEY", &self.api_key, BEARER, header_text).into(),
            webhook_secrets: check.secret("NEXUSBANK_WEBHOOK_SECRETS", &self.webhook_secrets, WEBHOOK_SECRETS, secrets),
            tolerance,
        }
    }

    /// Production accepts no public secrets.
    pub(crate) fn check_production(&self, check: &mut Checker) {
        check.own_value("NEXUSBANK_API_KEY", &self.api_key, DEVELOPMENT_API_KEY);
        check.own_value("NEXUSBANK_WEBHOOK_SECRETS", &self.webhook_secrets, DEVELOPMENT_WEBHOOK_SECRET);
    }
}
