//! `NexusBank`'s settings.

use std::sync::Arc;

use clap::Args;
use secrecy::SecretString;

use super::{NAME, NexusBank};
use crate::provider::signature::WebhookSecret;
use crate::provider::{Adapter, Limits, Parts, Provider, RawAdapter, Situation, raw_limits};
use crate::settings::{BEARER, Checker, header_text, list_of};

/// The default base URL: the simulator's.
const DEVELOPMENT_BASE_URL: &str = "http://127.0.0.1:8090";

/// The default API key. Refused in production.
pub const DEVELOPMENT_API_KEY: &str = "nexusbank-development-key";
/// The default webhook secret of service and simulator. Refused in production.
pub const DEVELOPMENT_WEBHOOK_SECRET: &str = "whsec_YWNjb3VudC1vcGVuaW5nLWRldmVsb3BtZW50";

/// The expected form of [`RawNexusBank::webhook_secrets`].
pub const WEBHOOK_SECRETS: &str = "whsec_ followed by base64, comma-separated";

/// The settings as text.
#[derive(Args, Clone)]
pub struct RawNexusBank {
    /// Base URL of NexusBank's API
    #[arg(long = "nexusbank-base-url", env = "NEXUSBANK_BASE_URL", default_value = DEVELOPMENT_BASE_URL)]
    pub base_url: String,
    /// Bearer key for NexusBank's API
    #[arg(
        long = "nexusbank-api-key",
        env = "NEXUSBANK_API_KEY",
        default_value = DEVELOPMENT_API_KEY,
        hide_env_values = true
    )]
    pub api_key: String,
    /// Secrets that verify NexusBank's webhooks: whsec_…, comma-separated; a webhook may be signed with any of them
    #[arg(
        long = "nexusbank-webhook-secrets",
        env = "NEXUSBANK_WEBHOOK_SECRETS",
        default_value = DEVELOPMENT_WEBHOOK_SECRET,
        hide_env_values = true
    )]
    pub webhook_secrets: String,
    /// The limits of this provider alone.
    #[command(flatten)]
    pub limits: RawNexusBankLimits,
}

raw_limits!(RawNexusBankLimits, "nexusbank", "NEXUSBANK");

/// How to call `NexusBank`, and how to verify its webhooks.
#[derive(Clone, Debug)]
pub struct NexusBankSettings {
    /// Without a trailing slash.
    pub base_url: String,
    /// The bearer key.
    pub api_key: SecretString,
    /// A webhook may be signed with any of them.
    pub webhook_secrets: Vec<WebhookSecret>,
    /// How much it is asked, and the tolerance of webhooks' times.
    pub limits: Limits,
}

impl RawNexusBank {
    /// Whether any setting differs from its default.
    fn is_given(&self) -> bool {
        let own = [
            (&self.base_url, DEVELOPMENT_BASE_URL),
            (&self.api_key, DEVELOPMENT_API_KEY),
            (&self.webhook_secrets, DEVELOPMENT_WEBHOOK_SECRET),
        ];
        own.iter().any(|(text, default)| !text.trim().is_empty() && text != default) || self.limits.raw().are_given()
    }

    /// Checks the settings themselves.
    pub fn checked(&self, check: &mut Checker, defaults: &Limits) -> NexusBankSettings {
        let secrets = |text: &str| list_of(text, WebhookSecret::parse);
        NexusBankSettings {
            base_url: check.url("NEXUSBANK_BASE_URL", &self.base_url),
            api_key: check.secret("NEXUSBANK_API_KEY", &self.api_key, BEARER, header_text).into(),
            webhook_secrets: check.secret("NEXUSBANK_WEBHOOK_SECRETS", &self.webhook_secrets, WEBHOOK_SECRETS, secrets),
            limits: self.limits.raw().check(check, defaults),
        }
    }
}

impl RawAdapter for RawNexusBank {
    fn name(&self) -> &'static str {
        NAME
    }

    /// The defaults suffice for development. Production accepts no public secrets, and needs none of them where nothing leads
    /// to this bank.
    fn check(&self, check: &mut Checker, situation: Situation<'_>) -> Option<Arc<dyn Adapter>> {
        if situation.is_production && !situation.is_routed && !self.is_given() {
            return None;
        }
        let settings = self.checked(check, situation.defaults);
        if situation.is_production {
            if settings.base_url == DEVELOPMENT_BASE_URL {
                check.wrong(
                    "NEXUSBANK_BASE_URL",
                    None,
                    "the bank's URL (required in production; the default is the simulator's)",
                );
            }
            check.own_value("NEXUSBANK_API_KEY", &self.api_key, DEVELOPMENT_API_KEY);
            check.own_value("NEXUSBANK_WEBHOOK_SECRETS", &self.webhook_secrets, DEVELOPMENT_WEBHOOK_SECRET);
        }
        Some(Arc::new(settings))
    }
}

impl Adapter for NexusBankSettings {
    fn name(&self) -> &'static str {
        NAME
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn serves(&self, _market: &str) -> bool {
        true
    }

    fn lists(&self) -> bool {
        true
    }

    fn build(&self, parts: &Parts<'_>) -> Arc<dyn Provider> {
        Arc::new(NexusBank::new(self, parts.client.clone(), parts.blocking, parts.gates))
    }
}
