//! Other banks: those of the world, and one in the place of the first.

use std::sync::Arc;
use std::time::Duration;

use account_opening::config::RawSettings;
use account_opening::domain::{CustomerType, Flow, OpeningId, ProfileId, Request};
use account_opening::outbound::Client;
use account_opening::provider::nexusbank::NexusBank;
use account_opening::provider::{Limits, Provider, Providers, Submission};
use account_opening::settings::Checker;
use serde_json::Value;
use world::{Bank, CLIENT_ID, CLIENT_SECRET, HMAC_KEY, WEBHOOK_SECRET};

use super::TestApp;

/// The settings that reach a bank of the world, as far as a test has not set its own.
pub fn configure(raw: &mut RawSettings, bank: Bank, base: &str) {
    let set = |setting: &mut Option<String>, value: &str| {
        setting.get_or_insert_with(|| value.to_owned());
    };
    match bank {
        Bank::NexusBank => {}
        Bank::Solaris => {
            set(&mut raw.solaris.base_url, base);
            set(&mut raw.solaris.token_url, &format!("{base}/oauth2/token"));
            set(&mut raw.solaris.client_id, CLIENT_ID);
            set(&mut raw.solaris.client_secret, CLIENT_SECRET);
            set(&mut raw.solaris.bics, "DE=SOBKDEB2XXX,FR=SOBKFRP2XXX");
            set(&mut raw.solaris.webhook_secrets, &format!("an-older-secret,{WEBHOOK_SECRET}"));
        }
        Bank::Airwallex => {
            set(&mut raw.airwallex.base_url, base);
            set(&mut raw.airwallex.client_id, CLIENT_ID);
            set(&mut raw.airwallex.api_key, CLIENT_SECRET);
            set(&mut raw.airwallex.webhook_secrets, &format!("an-older-secret,{WEBHOOK_SECRET}"));
        }
        Bank::Adyen => {
            set(&mut raw.adyen.base_url, &format!("{base}/bcl/v2"));
            set(&mut raw.adyen.api_key, CLIENT_SECRET);
            set(&mut raw.adyen.hmac_keys, &format!("00ff,{HMAC_KEY}"));
            set(&mut raw.adyen.bics, "NL=ADYBNL2A,DE=ADYBDEB2");
            set(&mut raw.adyen.environment, "test");
        }
    }
}

impl TestApp {
    /// These providers, under the app's own rules of waiting.
    pub fn providers(&self, all: impl IntoIterator<Item = Arc<dyn Provider>>) -> Providers {
        let limits = Limits { policy: self.context.policies.policy.clone(), ..Limits::default() };
        Providers::new(all.into_iter().map(|it| (it, limits.clone())))
    }

    /// A submission of an opening that no bank knows.
    pub fn submission(&self) -> Submission {
        let request = Request {
            market: "BE".to_owned(),
            customer_type: CustomerType::Company,
            currency: "EUR".to_owned(),
            flow: Flow::Async,
            provider: "nexusbank".to_owned(),
            customer_reference: "cus_1".to_owned(),
        };
        Submission {
            idempotency_key: self.state.shell.ids.next(),
            opening_id: OpeningId(self.state.shell.ids.next()),
            request,
            profile: ProfileId::new("prf_1").unwrap(),
            customer: Value::Null,
        }
    }

    /// The workers ask the bank at this address.
    pub fn ask_bank_at(&mut self, base_url: String) {
        let mut raw = super::builder::DEFAULTS.nexusbank.clone();
        raw.base_url = base_url;
        let settings = raw.checked(&mut Checker::default(), &Limits::default());
        let client = Client::new(self.state.settings.provider_timeout).unwrap();
        let bank = NexusBank::new(&settings, client, Duration::from_mins(1), &self.context.outside.gates);
        let bank: Arc<dyn Provider> = Arc::new(bank);
        self.context.outside.providers = self.providers([bank]);
    }
}
