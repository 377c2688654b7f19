//! The bank of a demo: how the service reaches it in the simulated world, and where it opens accounts.

use crate::config::RawSettings;
use world::{Bank, CLIENT_ID, CLIENT_SECRET, HMAC_KEY, WEBHOOK_SECRET};

/// Suffix of a customer's name, market, and currency.
pub(super) type Market = (&'static str, &'static str, &'static str);

const DE: Market = ("GmbH", "DE", "EUR");
const FR: Market = ("SARL", "FR", "EUR");
const ES: Market = ("SL", "ES", "EUR");
const NL: Market = ("B.V.", "NL", "EUR");

/// The names that `--provider` takes.
pub(super) const NAMES: [&str; 4] = ["nexusbank", "solaris", "airwallex", "adyen"];

pub(super) fn of(name: &str) -> Bank {
    let all = [Bank::NexusBank, Bank::Solaris, Bank::Airwallex, Bank::Adyen];
    all.into_iter().find(|it| it.name() == name).unwrap_or_default()
}

/// Where it opens accounts, in turn.
pub(super) const fn markets(bank: Bank) -> &'static [Market] {
    match bank {
        Bank::NexusBank => &[("BV", "BE", "EUR"), NL, DE, FR, ES, ("AB", "SE", "SEK")],
        Bank::Solaris => &[DE, FR, ("S.r.l.", "IT", "EUR"), ES],
        Bank::Airwallex => &[DE, NL, ("Ltd", "GB", "GBP"), ("OÜ", "EE", "EUR")],
        Bank::Adyen => &[NL, DE, FR],
    }
}

/// The settings by which the service reaches this bank of the world, and gives it every opening.
pub(super) fn configure(raw: &mut RawSettings, bank: Bank, base: &str) {
    let some = |text: &str| Some(text.to_owned());
    raw.provider_routes = format!("*={}", bank.name());
    match bank {
        Bank::NexusBank => {}
        Bank::Solaris => {
            raw.solaris.base_url = some(base);
            raw.solaris.token_url = Some(format!("{base}/oauth2/token"));
            raw.solaris.client_id = some(CLIENT_ID);
            raw.solaris.client_secret = some(CLIENT_SECRET);
            raw.solaris.bics = some("DE=SOBKDEB2XXX,FR=SOBKFRP2XXX,IT=SOBKITM2XXX,ES=SOBKESM2XXX");
            raw.solaris.webhook_secrets = some(WEBHOOK_SECRET);
        }
        Bank::Airwallex => {
            raw.airwallex.base_url = some(base);
            raw.airwallex.client_id = some(CLIENT_ID);
            raw.airwallex.api_key = some(CLIENT_SECRET);
            raw.airwallex.webhook_secrets = some(WEBHOOK_SECRET);
            raw.airwallex.limits.concurrency = some("64");
            raw.airwallex.limits.poll_budget = some("60000");
        }
        Bank::Adyen => {
            raw.adyen.base_url = Some(format!("{base}/bcl/v2"));
            raw.adyen.api_key = some(CLIENT_SECRET);
            raw.adyen.hmac_keys = some(HMAC_KEY);
            raw.adyen.bics = some("NL=ADYBNL2A,DE=ADYBDEB2,FR=ADYBFRPP");
            raw.adyen.environment = some("test");
        }
    }
}
