//! The banks of the simulated world. Each speaks its own language over the one ledger, so that double effects are counted
//! the same way for all.
//!
//! All share the life of a request ([`super::life`]) and the faults of its plan. They differ in how they are asked, what
//! they answer, how they word and sign an event, and whether they bear a repeat.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use clock::Time;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;

use super::calls::{self, Taken, status_of};
use super::endpoint::Endpoint;
use super::ledger::{Answer, Ledger};
use super::plan::Fault;
use super::snapshot::{AccountRequest, Call, Status};
use super::world::World;

mod adyen;
mod airwallex;
mod nexusbank;
mod solaris;
pub(super) mod tokens;

/// A simulated bank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bank {
    #[default]
    NexusBank,
    Solaris,
    Airwallex,
    Adyen,
}

/// The credentials of the other banks, the same in every simulated world.
pub const CLIENT_ID: &str = "world-client";
/// The secret of [`CLIENT_ID`], and every API key.
pub const CLIENT_SECRET: &str = "world-client-secret";
/// Signs the events of Solaris and Airwallex: the key is the whole text.
pub const WEBHOOK_SECRET: &str = "world-webhook-secret";
/// Signs the events of Adyen: the key is in hexadecimal.
pub const HMAC_KEY: &str = "11223344D785FBAE710E7F943F307971BB61B21281C98C9129B3D4018A57B2EB";

/// A request to a bank, beside what every bank's record holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    pub(super) bank: Bank,
    /// The opening's id.
    pub(super) reference: String,
    pub(super) market: String,
    pub(super) currency: String,
    pub(super) customer_type: String,
    pub(super) profile_id: String,
    /// The BIC that the account gets, where the customer chooses it.
    pub(super) bic: Option<String>,
    /// The bank's own terms for what is opened.
    pub(super) terms: Value,
    /// Asked with the call that blocks.
    pub(super) blocking: bool,
}

/// An event in a bank's language, before it is signed.
pub(super) struct News {
    pub(super) body: String,
    /// Headers beside those of the signature.
    pub(super) headers: Vec<(String, String)>,
}

/// The calls of all banks: where a new one is registered.
pub(super) fn router(world: &Arc<World>) -> Router<Arc<World>> {
    nexusbank::router(Arc::clone(world)).merge(solaris::router()).merge(airwallex::router()).merge(adyen::router())
}

/// The prices of [`Bank::REPORTING`].
pub(super) const PRICE_LIST: &str = include_str!("nexusbank/prices.csv");

impl Bank {
    /// The world writes report files of this bank.
    pub const REPORTING: Self = Self::NexusBank;

    pub const ALL: [Self; 4] = [Self::NexusBank, Self::Solaris, Self::Airwallex, Self::Adyen];

    /// The bank of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Where it opens accounts, and the currency of each market.
    #[must_use]
    pub const fn markets(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::NexusBank => {
                &[("BE", "EUR"), ("NL", "EUR"), ("DE", "EUR"), ("FR", "EUR"), ("ES", "EUR"), ("SE", "SEK")]
            }
            Self::Solaris => solaris::MARKETS,
            Self::Airwallex => airwallex::MARKETS,
            Self::Adyen => adyen::MARKETS,
        }
    }

    /// The variables by which a service reaches it in a world at this URL. Those of `NexusBank` have defaults that fit, but for the
    /// URL.
    #[must_use]
    pub fn settings(self, base_url: &str) -> Vec<(&'static str, String)> {
        match self {
            Self::NexusBank => vec![("NEXUSBANK_BASE_URL", base_url.to_owned())],
            Self::Solaris => solaris::settings(base_url),
            Self::Airwallex => airwallex::settings(base_url),
            Self::Adyen => adyen::settings(base_url),
        }
    }

    /// Whether it writes report files.
    #[must_use]
    pub const fn writes_reports(self) -> bool {
        matches!(self, Self::REPORTING)
    }

    /// Whether it signs by Standard Webhooks, with the secret of the world's options.
    pub(super) const fn signs_by_standard(self) -> bool {
        matches!(self, Self::NexusBank)
    }

    /// Its name in webhook paths.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NexusBank => "nexusbank",
            Self::Solaris => "solaris",
            Self::Airwallex => "airwallex",
            Self::Adyen => "adyen",
        }
    }

    /// The prefix of its tracking ids.
    pub(super) const fn id_prefix(self, blocking: bool) -> &'static str {
        match (self, blocking) {
            (Self::NexusBank, true) => "acc",
            (Self::NexusBank, false) => "aor",
            (Self::Solaris, _) => "aorq",
            (Self::Airwallex, _) => "ga",
            (Self::Adyen, _) => "PI",
        }
    }

    /// The event about a request that came into a status at a time. None: the bank sends none.
    pub(super) fn news(self, request: &AccountRequest, order: &Order, (status, since): (Status, Time)) -> Option<News> {
        match self {
            Self::NexusBank => Some(nexusbank::news(request, status, since)),
            Self::Solaris => Some(solaris::news(request, order, status)),
            Self::Airwallex => airwallex::news(request, order, status),
            Self::Adyen => Some(adyen::news(request, order, status)),
        }
    }

    /// The headers that sign a body at a time, by a secret of the bank's form.
    pub(super) fn signature(self, secret: &str, id: &str, millis: i64, body: &[u8]) -> Vec<(String, String)> {
        let header = |name: &str, value: String| (name.to_owned(), value);
        let hex = |parts: &[&[u8]]| hex::encode(mac(secret.as_bytes(), parts));
        match self {
            Self::NexusBank => Vec::new(),
            Self::Solaris => {
                let signature = format!("sha256={}", hex(&[body]));
                vec![header("solaris-webhook-signature", signature), header("solaris-webhook-id", id.to_owned())]
            }
            Self::Airwallex => {
                let stamp = millis.to_string();
                let signature = hex(&[stamp.as_bytes(), body]);
                vec![header("x-timestamp", stamp), header("x-signature", signature)]
            }
            Self::Adyen => {
                use base64::prelude::{BASE64_STANDARD, Engine};
                let key = hex::decode(secret).unwrap_or_else(|_| secret.as_bytes().to_vec());
                let signature = BASE64_STANDARD.encode(mac(&key, &[body]));
                vec![header("hmacsignature", signature), header("protocol", "HmacSHA256".to_owned())]
            }
        }
    }

    /// The secret that signs its events.
    pub(super) const fn secret(self) -> &'static str {
        match self {
            Self::Adyen => HMAC_KEY,
            Self::NexusBank | Self::Solaris | Self::Airwallex => WEBHOOK_SECRET,
        }
    }

    /// An error in the bank's own form.
    pub(super) fn error(self, status: StatusCode, code: &str, message: &str) -> Answer {
        let number = status.as_u16();
        let body = match self {
            Self::NexusBank => json!({"code": code, "message": message}),
            Self::Solaris => {
                json!({"errors": [{"id": "84b6bex", "status": number, "code": code, "title": code, "detail": message}]})
            }
            Self::Airwallex => json!({"code": code, "message": message, "source": ""}),
            Self::Adyen => json!({
                "type": "https://docs.adyen.com/errors/general/invalid-field-value", "title": code, "status": number,
                "detail": message, "requestId": "1W1UI15PLVGC9V8O", "errorCode": code,
            }),
        };
        (status, body)
    }

    /// A fault that answers, as this bank words it; any other stays.
    pub(super) fn worded(self, taken: Taken) -> Taken {
        match taken {
            Taken::Fault(Fault::ErrorBefore { status } | Fault::ErrorAfter { status }) => {
                Taken::Answer(self.error(status_of(status), "simulated_fault", "this is a rehearsal"))
            }
            taken => taken,
        }
    }

    /// Takes a submission about an opening. `make` has the effect, once the faults of the plan let it pass.
    pub(super) fn submitted(
        self,
        world: &World,
        (reference, key): (&str, Option<&str>),
        make: impl FnOnce(&mut Ledger) -> Answer,
    ) -> Taken {
        let key = key.map(str::to_owned);
        let call = Call { at: world.clock.now(), endpoint: Endpoint::Submit, key, fault: None };
        let mut ledger = world.ledger();
        let fault = ledger.arrive(call, reference, None);
        if let Some(fault) = fault.filter(|fault| fault.is_before()) {
            return self.worded(Taken::Fault(fault));
        }
        let answer = make(&mut ledger);
        self.worded(Taken::ended(fault, answer))
    }

    /// Answers a look-up about an opening.
    pub(super) fn looked_up(self, world: &World, reference: &str, answer: Answer) -> Taken {
        let call = Call { at: world.clock.now(), endpoint: Endpoint::Lookup, key: None, fault: None };
        let fault = world.ledger().arrive(call, reference, None);
        self.worded(Taken::ended(fault, answer))
    }

    /// Answers a list, unless the bank is away.
    pub(super) fn listed(self, world: &World, answer: Answer) -> Taken {
        let outage = world.ledger().outages.get(&super::Api::Bank).copied();
        self.worded(Taken::ended(outage, answer))
    }
}

/// The request that the bank shows: without its decision, where the plan keeps that from the status API.
pub(super) fn shown(ledger: &Ledger, request: &AccountRequest) -> AccountRequest {
    let hides = request.status.is_decided() && ledger.is_silent(&request.reference);
    if hides { request.clone().undecided() } else { request.clone() }
}

/// The market that a country's name in a product stands for.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// The body of a call as JSON; 400 in the bank's form if it is none.
pub(super) fn read(bank: Bank, world: &World, body: &[u8]) -> Result<Value, Answer> {
    serde_json::from_slice(body).map_err(|error| {
        world.ledger().counts.calls_refused += 1;
        bank.error(StatusCode::BAD_REQUEST, "invalid_json", &error.to_string())
    })
}

/// Refuses a call for its form.
pub(super) fn refuse(bank: Bank, world: &World, code: &str, message: &str) -> Answer {
    world.ledger().counts.calls_refused += 1;
    bank.error(StatusCode::BAD_REQUEST, code, message)
}

pub(super) use calls::reply;
