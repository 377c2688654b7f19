//! Adyen's settings.

use std::sync::Arc;

use clap::Args;
use secrecy::SecretString;

use super::{Adyen, NAME};
use crate::domain::bank::has_ibans;
use crate::domain::text::string_enum;
use crate::provider::adapter::{Needed, check_host};
use crate::provider::signature::RawKey;
use crate::provider::{Adapter, BicsByMarket, Limits, Parts, Provider, RawAdapter, Situation, raw_limits};
use crate::settings::{Checker, given, header_text, list_of};

/// A part of the test platform's hosts.
const SANDBOX: &[&str] = &["-test.adyen"];
const URL: &str = "an http:// or https:// URL with /bcl/v2";
const CREDENTIAL: &str = "an API key: visible ASCII characters";
const KEYS: &str = "the HMAC keys of the webhooks in hexadecimal, comma-separated";
const BICS: &str = "the BIC of each market that is opened, such as NL=ADYBNL2A";
const ENVIRONMENT: &str = "test or live";

string_enum!(
    /// The platform, as events name it.
    Mode {
        /// The test platform.
        Test = "test",
        /// The live platform.
        Live = "live",
    }
);

/// The settings as text.
#[derive(Args, Clone, Default)]
pub struct RawAdyen {
    /// Base URL of Adyen's balance platform, with /bcl/v2
    #[arg(id = "ADYEN_BASE_URL", long = "adyen-base-url", env = "ADYEN_BASE_URL")]
    pub base_url: Option<String>,
    /// API key at Adyen
    #[arg(id = "ADYEN_API_KEY", long = "adyen-api-key", env = "ADYEN_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,
    /// HMAC keys that verify Adyen's webhooks, in hexadecimal, comma-separated
    #[arg(id = "ADYEN_HMAC_KEYS", long = "adyen-hmac-keys", env = "ADYEN_HMAC_KEYS", hide_env_values = true)]
    pub hmac_keys: Option<String>,
    /// BIC of each market at Adyen
    #[arg(id = "ADYEN_BICS", long = "adyen-bics", env = "ADYEN_BICS")]
    pub bics: Option<String>,
    /// Adyen's platform: test or live; events of the other one are ignored
    #[arg(id = "ADYEN_ENVIRONMENT", long = "adyen-environment", env = "ADYEN_ENVIRONMENT")]
    pub environment: Option<String>,
    /// The limits of this provider alone.
    #[command(flatten)]
    pub limits: RawAdyenLimits,
}

raw_limits!(RawAdyenLimits, "adyen", "ADYEN");

/// How to call Adyen, and how to verify its webhooks.
#[derive(Clone, Debug)]
pub struct AdyenSettings {
    /// Without a trailing slash.
    pub base_url: String,
    /// The API key.
    pub api_key: SecretString,
    /// A webhook may be signed with any of them.
    pub hmac_keys: Vec<RawKey>,
    /// The BIC of accounts in a market.
    pub bics: BicsByMarket,
    /// The platform.
    pub mode: Mode,
    /// How much it is asked.
    pub limits: Limits,
    warnings: Vec<String>,
}

impl RawAdapter for RawAdyen {
    fn name(&self) -> &'static str {
        NAME
    }

    fn check(&self, check: &mut Checker, situation: Situation<'_>) -> Option<Arc<dyn Adapter>> {
        let settings = [
            ("ADYEN_BASE_URL", self.base_url.as_ref(), URL),
            ("ADYEN_API_KEY", self.api_key.as_ref(), CREDENTIAL),
            ("ADYEN_HMAC_KEYS", self.hmac_keys.as_ref(), KEYS),
            ("ADYEN_BICS", self.bics.as_ref(), BICS),
            ("ADYEN_ENVIRONMENT", self.environment.as_ref(), ENVIRONMENT),
        ];
        let others = self.limits.raw().are_given();
        if !(Needed { settings: &settings, others }).are_there(check, situation.is_routed) {
            return None;
        }
        let [base_url, api_key, hmac_keys, bics, mode] = settings.map(|(_, text, _)| given(text).unwrap_or_default());
        let mode = check.word("ADYEN_ENVIRONMENT", mode.trim()).unwrap_or(Mode::Test);
        if situation.is_production && mode == Mode::Test {
            check.wrong("ADYEN_ENVIRONMENT", Some(mode.as_str()), "live in production");
        }
        Some(Arc::new(AdyenSettings {
            warnings: check_host(check, situation, "ADYEN_BASE_URL", base_url, SANDBOX).into_iter().collect(),
            base_url: check.url("ADYEN_BASE_URL", base_url),
            api_key: check.secret("ADYEN_API_KEY", api_key, CREDENTIAL, header_text).into(),
            hmac_keys: check.secret("ADYEN_HMAC_KEYS", hmac_keys, KEYS, |it| list_of(it, RawKey::of_hex)),
            bics: BicsByMarket::check(check, "ADYEN_BICS", bics, has_ibans),
            mode,
            limits: self.limits.raw().check(check, situation.defaults),
        }))
    }
}

impl Adapter for AdyenSettings {
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
        Arc::new(Adyen::new(self.clone(), parts.client.clone(), parts.gates))
    }
}
