//! Airwallex' settings.

use std::sync::Arc;

use chrono::TimeDelta;
use clap::Args;
use secrecy::SecretString;

use super::{Airwallex, NAME};
use crate::domain::bank::has_ibans;
use crate::domain::text::string_enum;
use crate::provider::adapter::{Needed, check_host};
use crate::provider::signature::RawKey;
use crate::provider::{Adapter, Limits, Parts, Provider, RawAdapter, Situation, raw_limits};
use crate::settings::{Checker, URL, given, header_text, list_of};

/// Parts of the sandbox's hosts.
const SANDBOX: &[&str] = &["api-demo.", "sandbox.airwallex"];
const CREDENTIAL: &str = "a credential: visible ASCII characters";
const SECRETS: &str = "the secrets of the webhooks, each as a whole, comma-separated";

/// Polls a minute and calls at once that fit the bank's limits, also those of its sandbox.
const POLLS_A_MINUTE: u32 = 600;
const CALLS_AT_ONCE: usize = 10;
/// Whether a repeated event is signed anew is not documented, and repeats come for three days.
const TOLERANCE: TimeDelta = TimeDelta::days(4);

string_enum!(
    /// The owner of the accounts.
    OnBehalfOf {
        /// The account of the credentials.
        None = "none",
        /// For the customer's connected account: the profile's id.
        Profile = "profile",
    }
);

impl OnBehalfOf {
    /// The tracking id of an account: a look-up gets nothing else, and needs its owner too.
    #[must_use]
    pub fn tracking_id(owner: Option<&str>, id: &str) -> String {
        owner.map_or_else(|| id.to_owned(), |owner| format!("{owner}:{id}"))
    }

    /// Owner and id of a tracking id.
    #[must_use]
    pub fn split(self, tracking_id: &str) -> (Option<&str>, &str) {
        let both = tracking_id.split_once(':').filter(|_| self == Self::Profile);
        both.map_or((None, tracking_id), |(owner, id)| (Some(owner), id))
    }
}

/// The settings as text.
#[derive(Args, Clone, Default)]
pub struct RawAirwallex {
    /// Base URL of Airwallex' API, without /api
    #[arg(id = "AIRWALLEX_BASE_URL", long = "airwallex-base-url", env = "AIRWALLEX_BASE_URL")]
    pub base_url: Option<String>,
    /// Client id at Airwallex
    #[arg(
        id = "AIRWALLEX_CLIENT_ID",
        long = "airwallex-client-id",
        env = "AIRWALLEX_CLIENT_ID",
        hide_env_values = true
    )]
    pub client_id: Option<String>,
    /// API key at Airwallex
    #[arg(id = "AIRWALLEX_API_KEY", long = "airwallex-api-key", env = "AIRWALLEX_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,
    /// Secrets that verify Airwallex' webhooks, each as a whole, comma-separated
    #[arg(
        id = "AIRWALLEX_WEBHOOK_SECRETS",
        long = "airwallex-webhook-secrets",
        env = "AIRWALLEX_WEBHOOK_SECRETS",
        hide_env_values = true
    )]
    pub webhook_secrets: Option<String>,
    /// The owner of the accounts: none (the credentials' own account) or profile (the customer's connected account)
    /// [default: none]
    #[arg(id = "AIRWALLEX_ON_BEHALF_OF", long = "airwallex-on-behalf-of", env = "AIRWALLEX_ON_BEHALF_OF")]
    pub on_behalf_of: Option<String>,
    /// The limits of this provider alone.
    #[command(flatten)]
    pub limits: RawAirwallexLimits,
}

raw_limits!(RawAirwallexLimits, "airwallex", "AIRWALLEX");

/// How to call Airwallex, and how to verify its webhooks.
#[derive(Clone, Debug)]
pub struct AirwallexSettings {
    /// Without a trailing slash.
    pub base_url: String,
    /// The client id.
    pub client_id: String,
    /// The API key.
    pub api_key: SecretString,
    /// A webhook may be signed with any of them.
    pub webhook_secrets: Vec<RawKey>,
    /// The owner of the accounts.
    pub on_behalf_of: OnBehalfOf,
    /// How much it is asked, and the tolerance of webhooks' times.
    pub limits: Limits,
    warnings: Vec<String>,
}

impl RawAdapter for RawAirwallex {
    fn name(&self) -> &'static str {
        NAME
    }

    fn check(&self, check: &mut Checker, situation: Situation<'_>) -> Option<Arc<dyn Adapter>> {
        let settings = [
            ("AIRWALLEX_BASE_URL", self.base_url.as_ref(), URL),
            ("AIRWALLEX_CLIENT_ID", self.client_id.as_ref(), CREDENTIAL),
            ("AIRWALLEX_API_KEY", self.api_key.as_ref(), CREDENTIAL),
            ("AIRWALLEX_WEBHOOK_SECRETS", self.webhook_secrets.as_ref(), SECRETS),
        ];
        let others = given(self.on_behalf_of.as_ref()).is_some() || self.limits.raw().are_given();
        if !(Needed { settings: &settings, others }).are_there(check, situation.is_routed) {
            return None;
        }
        let [base_url, client_id, api_key, secrets] = settings.map(|(_, text, _)| given(text).unwrap_or_default());
        let defaults = Limits {
            polls_a_minute: situation.defaults.polls_a_minute.min(POLLS_A_MINUTE),
            calls_at_once: Some(CALLS_AT_ONCE),
            tolerance: TOLERANCE,
            ..situation.defaults.clone()
        };
        let owner = given(self.on_behalf_of.as_ref()).unwrap_or(OnBehalfOf::None.as_str());
        Some(Arc::new(AirwallexSettings {
            warnings: check_host(check, situation, "AIRWALLEX_BASE_URL", base_url, SANDBOX).into_iter().collect(),
            base_url: check.url("AIRWALLEX_BASE_URL", base_url),
            client_id: check.secret("AIRWALLEX_CLIENT_ID", client_id, CREDENTIAL, header_text),
            api_key: check.secret("AIRWALLEX_API_KEY", api_key, CREDENTIAL, header_text).into(),
            webhook_secrets: check
                .secret("AIRWALLEX_WEBHOOK_SECRETS", secrets, SECRETS, |it| list_of(it, RawKey::of_text)),
            on_behalf_of: check.word("AIRWALLEX_ON_BEHALF_OF", owner).unwrap_or(OnBehalfOf::None),
            limits: self.limits.raw().check(check, &defaults),
        }))
    }
}

impl Adapter for AirwallexSettings {
    fn name(&self) -> &'static str {
        NAME
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn serves(&self, market: &str) -> bool {
        has_ibans(market)
    }

    /// On behalf of customers there is a list for each of them, and none of all.
    fn lists(&self) -> bool {
        self.on_behalf_of == OnBehalfOf::None
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    fn build(&self, parts: &Parts<'_>) -> Arc<dyn Provider> {
        Arc::new(Airwallex::new(self.clone(), parts.client.clone(), parts.gates))
    }
}
