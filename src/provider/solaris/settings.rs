//! Solaris' settings.

use std::sync::Arc;

use clap::Args;
use secrecy::SecretString;

use super::{NAME, Solaris};
use crate::provider::adapter::{Needed, check_host};
use crate::provider::signature::RawKey;
use crate::provider::{Adapter, BicsByMarket, Limits, Parts, Provider, RawAdapter, Situation, raw_limits};
use crate::settings::{Checker, URL, given, header_text, list_of};

/// A part of the sandbox's hosts.
const SANDBOX: &[&str] = &["solaris-sandbox"];
const CREDENTIAL: &str = "the partner's credential: visible ASCII characters";
const BICS: &str = "the BIC of each market that is opened, such as DE=SOBKDEB2XXX,FR=SOBKFRP2XXX";
const SECRETS: &str = "the secrets that the subscriptions gave, comma-separated";

/// The settings as text.
#[derive(Args, Clone, Default)]
pub struct RawSolaris {
    /// Base URL of Solaris' API, without /v1
    #[arg(id = "SOLARIS_BASE_URL", long = "solaris-base-url", env = "SOLARIS_BASE_URL")]
    pub base_url: Option<String>,
    /// URL of Solaris' access tokens, on a host of its own
    #[arg(id = "SOLARIS_TOKEN_URL", long = "solaris-token-url", env = "SOLARIS_TOKEN_URL")]
    pub token_url: Option<String>,
    /// Client id of the partner at Solaris
    #[arg(id = "SOLARIS_CLIENT_ID", long = "solaris-client-id", env = "SOLARIS_CLIENT_ID", hide_env_values = true)]
    pub client_id: Option<String>,
    /// Client secret of the partner at Solaris
    #[arg(
        id = "SOLARIS_CLIENT_SECRET",
        long = "solaris-client-secret",
        env = "SOLARIS_CLIENT_SECRET",
        hide_env_values = true
    )]
    pub client_secret: Option<String>,
    /// BIC of each market at Solaris: DE, FR, IT, ES
    #[arg(id = "SOLARIS_BICS", long = "solaris-bics", env = "SOLARIS_BICS")]
    pub bics: Option<String>,
    /// Secrets that verify Solaris' webhooks, comma-separated; empty until the subscription's answer gives one
    #[arg(
        id = "SOLARIS_WEBHOOK_SECRETS",
        long = "solaris-webhook-secrets",
        env = "SOLARIS_WEBHOOK_SECRETS",
        hide_env_values = true
    )]
    pub webhook_secrets: Option<String>,
    /// The limits of this provider alone.
    #[command(flatten)]
    pub limits: RawSolarisLimits,
}

raw_limits!(RawSolarisLimits, "solaris", "SOLARIS");

/// How to call Solaris, and how to verify its webhooks.
#[derive(Clone, Debug)]
pub struct SolarisSettings {
    /// Without a trailing slash.
    pub base_url: String,
    /// The endpoint of access tokens.
    pub token_url: String,
    /// The partner's client id.
    pub client_id: String,
    /// The partner's client secret.
    pub client_secret: SecretString,
    /// The BIC that accounts of a market get.
    pub bics: BicsByMarket,
    /// A webhook may be signed with any of them.
    pub webhook_secrets: Vec<RawKey>,
    /// How much it is asked.
    pub limits: Limits,
    warnings: Vec<String>,
}

impl RawAdapter for RawSolaris {
    fn name(&self) -> &'static str {
        NAME
    }

    fn check(&self, check: &mut Checker, situation: Situation<'_>) -> Option<Arc<dyn Adapter>> {
        let settings = [
            ("SOLARIS_BASE_URL", self.base_url.as_ref(), URL),
            ("SOLARIS_TOKEN_URL", self.token_url.as_ref(), URL),
            ("SOLARIS_CLIENT_ID", self.client_id.as_ref(), CREDENTIAL),
            ("SOLARIS_CLIENT_SECRET", self.client_secret.as_ref(), CREDENTIAL),
            ("SOLARIS_BICS", self.bics.as_ref(), BICS),
        ];
        let others = given(self.webhook_secrets.as_ref()).is_some() || self.limits.raw().are_given();
        let are_there = Needed { settings: &settings, others }.are_there(check, situation.is_routed);
        let [base_url, token_url, client_id, client_secret, bics] =
            settings.map(|(_, text, _)| given(text).unwrap_or_default());
        if !are_there {
            return None;
        }
        let secrets = check.optional_secret("SOLARIS_WEBHOOK_SECRETS", self.webhook_secrets.as_ref(), SECRETS, keys);
        let mut warnings: Vec<String> = [("SOLARIS_BASE_URL", base_url), ("SOLARIS_TOKEN_URL", token_url)]
            .into_iter()
            .filter_map(|(name, url)| check_host(check, situation, name, url, SANDBOX))
            .collect();
        if secrets.is_none() {
            warnings.push(
                "SOLARIS_WEBHOOK_SECRETS is not set: events are refused, and polls alone find answers".to_owned(),
            );
        }
        Some(Arc::new(SolarisSettings {
            base_url: check.url("SOLARIS_BASE_URL", base_url),
            token_url: check.whole_url("SOLARIS_TOKEN_URL", token_url),
            client_id: check.secret("SOLARIS_CLIENT_ID", client_id, CREDENTIAL, header_text),
            client_secret: check.secret("SOLARIS_CLIENT_SECRET", client_secret, CREDENTIAL, header_text).into(),
            bics: BicsByMarket::check(check, "SOLARIS_BICS", bics, |it| super::message::country(it).is_some()),
            webhook_secrets: secrets.unwrap_or_default(),
            limits: self.limits.raw().check(check, situation.defaults),
            warnings,
        }))
    }
}

fn keys(text: &str) -> Result<Vec<RawKey>, String> {
    list_of(text, RawKey::of_text)
}

impl Adapter for SolarisSettings {
    fn name(&self) -> &'static str {
        NAME
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn serves(&self, market: &str) -> bool {
        self.bics.of(market).is_some()
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    fn build(&self, parts: &Parts<'_>) -> Arc<dyn Provider> {
        Arc::new(Solaris::new(self.clone(), parts.client.clone(), parts.gates))
    }
}
