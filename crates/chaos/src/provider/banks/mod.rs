//! The banks that a run can play, each in its own language over the one state and ledger.
//!
//! `bank.rs` beside this folder has the calls of NexusBank. What the others differ in: how they are asked, what makes a repeat harmless, how
//! they word and sign a message, and which settings the services need. Nothing here is the service's code.

mod adyen;
mod airwallex;
mod solaris;
mod tokens;

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Json, Router};
use clap::ValueEnum;
use serde_json::Value;

use super::signature::{ID, SIGNATURE, Secret, TIMESTAMP};
use super::world::{Answer, Owner, Request, Word, World};
use super::{calls, wire};
use crate::files::now;

pub use self::tokens::Tokens;

/// A bank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
#[expect(clippy::enum_variant_names, reason = "the bank's name")]
pub enum Bank {
    #[default]
    NexusBank,
    Solaris,
    Airwallex,
    Adyen,
}

/// The credentials and keys, which protect nothing.
const CLIENT: &str = "chaos-client";
const KEY: &str = "chaos-bank-key";
const WEBHOOK_KEY: &str = "chaos-webhook-key";
const HMAC_KEY: &str = "6368616f732d686d61632d6b6579";

/// The key under which the ledger has a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmissionKey {
    /// The id of its row of the outbox, as of every effect elsewhere.
    Row,
    /// The opening's id.
    Opening,
    /// No key: Solaris takes none.
    None,
}

impl Bank {
    /// The run writes report files of this bank.
    pub const REPORTING: Self = Self::NexusBank;

    /// The bank of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::value_variants().iter().copied().find(|it| it.name() == name)
    }

    pub const fn submission_key(self) -> SubmissionKey {
        match self {
            Self::NexusBank => SubmissionKey::Row,
            Self::Airwallex | Self::Adyen => SubmissionKey::Opening,
            Self::Solaris => SubmissionKey::None,
        }
    }

    /// Whether a service that has lost messages can list the decisions of a time.
    pub const fn lists_decisions(self) -> bool {
        matches!(self, Self::NexusBank | Self::Airwallex)
    }

    /// Its name in settings, paths and rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NexusBank => "nexusbank",
            Self::Solaris => "solaris",
            Self::Airwallex => "airwallex",
            Self::Adyen => "adyen",
        }
    }

    /// Where the load opens accounts.
    pub const fn markets(self) -> &'static [&'static str] {
        match self {
            Self::NexusBank | Self::Airwallex => &["BE", "NL", "DE"],
            Self::Solaris => &["DE"],
            Self::Adyen => &["NL", "DE"],
        }
    }

    /// Whether it writes the files that reconciliation reads.
    pub const fn has_files(self) -> bool {
        matches!(self, Self::REPORTING)
    }

    /// Whether its signature's header may stand several times, as a proxy makes it.
    pub const fn may_repeat_its_header(self) -> bool {
        matches!(self, Self::NexusBank)
    }

    pub fn router(self) -> Router<Arc<World>> {
        match self {
            Self::NexusBank => super::bank::router(),
            Self::Solaris => solaris::router(),
            Self::Airwallex => airwallex::router(),
            Self::Adyen => adyen::router(),
        }
    }

    /// The services' settings for it, at this URL. `secret` signs NexusBank's messages.
    pub fn environment(self, url: &str, secret: &str) -> Vec<(&'static str, String)> {
        let set = |it: &[(&'static str, &str)]| it.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let mut all: Vec<(&'static str, String)> = match self {
            Self::NexusBank => {
                set(&[("NEXUSBANK_BASE_URL", url), ("NEXUSBANK_API_KEY", KEY), ("NEXUSBANK_WEBHOOK_SECRETS", secret)])
            }
            Self::Solaris => set(&[
                ("SOLARIS_BASE_URL", url),
                ("SOLARIS_TOKEN_URL", &format!("{url}/oauth2/token")),
                ("SOLARIS_CLIENT_ID", CLIENT),
                ("SOLARIS_CLIENT_SECRET", KEY),
                ("SOLARIS_BICS", "DE=NEXUDEBB"),
                ("SOLARIS_WEBHOOK_SECRETS", WEBHOOK_KEY),
            ]),
            Self::Airwallex => set(&[
                ("AIRWALLEX_BASE_URL", url),
                ("AIRWALLEX_CLIENT_ID", CLIENT),
                ("AIRWALLEX_API_KEY", KEY),
                ("AIRWALLEX_WEBHOOK_SECRETS", WEBHOOK_KEY),
                ("AIRWALLEX_CONCURRENCY", "64"),
                ("AIRWALLEX_POLL_BUDGET", "60000"),
            ]),
            Self::Adyen => set(&[
                ("ADYEN_BASE_URL", &format!("{url}/bcl/v2")),
                ("ADYEN_API_KEY", KEY),
                ("ADYEN_HMAC_KEYS", HMAC_KEY),
                ("ADYEN_BICS", "NL=NEXUNLBB,DE=NEXUDEBB"),
                ("ADYEN_ENVIRONMENT", "test"),
            ]),
        };
        all.push(("PROVIDER_ROUTES", format!("*={}", self.name())));
        all
    }

    /// The key of its messages. `secret`: NexusBank's.
    pub fn key(self, secret: &str) -> anyhow::Result<Secret> {
        match self {
            Self::NexusBank => Secret::parse(secret),
            Self::Solaris | Self::Airwallex => Secret::of(WEBHOOK_KEY.as_bytes()),
            Self::Adyen => Secret::of(&hex::decode(HMAC_KEY)?),
        }
    }

    /// The id under which the service keeps a message: its own, or the hash of its body where it has none.
    pub fn id_of(self, id: String, sha256: &str) -> String {
        match self {
            Self::NexusBank | Self::Airwallex => id,
            Self::Solaris | Self::Adyen => sha256.to_owned(),
        }
    }

    /// The body of a message.
    pub fn body(self, id: &str, word: &Word) -> Bytes {
        let body = match self {
            Self::NexusBank => super::bank::message(word),
            Self::Solaris => solaris::message(word),
            Self::Airwallex => airwallex::message(id, word),
            Self::Adyen => adyen::message(word),
        };
        Bytes::from(wire::sent(&body.to_string()))
    }

    /// The headers that sign a body now, in microseconds. A proxy can rewrite NexusBank's alone (`fold`): it may stand several times.
    pub fn headers(
        self,
        (key, id, body): (&Secret, &str, &[u8]),
        now: i64,
        fold: impl Fn(String) -> Vec<String>,
    ) -> Vec<(&'static str, String)> {
        match self {
            Self::NexusBank => {
                let seconds = now / 1_000_000;
                let lines = fold(key.sign(id, seconds, body)).into_iter().map(|line| (SIGNATURE, line));
                [(ID, id.to_owned()), (TIMESTAMP, seconds.to_string())].into_iter().chain(lines).collect()
            }
            Self::Solaris => vec![
                ("solaris-webhook-signature", format!("sha256={}", hex::encode(key.raw(&[body])))),
                ("solaris-webhook-event-type", "ACCOUNT_OPENING_REQUEST".to_owned()),
            ],
            Self::Airwallex => {
                let stamp = (now / 1_000).to_string();
                let signature = hex::encode(key.raw(&[stamp.as_bytes(), body]));
                vec![("x-timestamp", stamp), ("x-signature", signature)]
            }
            Self::Adyen => {
                use base64::Engine as _;
                let signature = base64::engine::general_purpose::STANDARD.encode(key.raw(&[body]));
                vec![("hmacsignature", signature), ("protocol", "HmacSHA256".to_owned())]
            }
        }
    }
}

/// A text of a body.
fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// The body of a call, and the opening of the profile that it names in this field.
fn asked(world: &World, body: &[u8], profile: &str) -> Option<(Value, Owner)> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let owner = world.state().owners.get(text(&body, profile)).cloned()?;
    Some((body, owner))
}

/// Answers a submission. Calls with the same key come one after the other, and the second finds what the first has made.
async fn submitted<F>(world: Arc<World>, submit: impl FnOnce(Arc<World>) -> F + Send + 'static) -> Response
where
    F: Future<Output = std::io::Result<Answer>> + Send + 'static,
{
    calls::take(Arc::clone(&world), "submit", async move {
        let one_at_a_time = Arc::clone(&world);
        let _turn = one_at_a_time.submitting.lock().await;
        let answer = submit(world).await;
        answer.unwrap_or((StatusCode::INTERNAL_SERVER_ERROR, Value::Null))
    })
    .await
}

/// The requests of one opening.
fn of_opening<'a>(requests: &'a [Request], reference: &'a str) -> impl Iterator<Item = &'a Request> {
    requests.iter().filter(move |it| it.word.reference == reference)
}

fn refused(status: StatusCode, body: Value) -> Response {
    use axum::response::IntoResponse as _;
    (status, Json(body)).into_response()
}

/// A time of the record as banks write it.
fn written(micros: i64) -> String {
    let time = chrono::DateTime::from_timestamp_micros(micros).unwrap_or_default();
    time.format("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}

/// A time that no other message has, so that two with the same words differ.
fn stamp() -> String {
    written(now())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word() -> Word {
        Word {
            reference: "01990000-0000-7000-8000-000000000001".to_owned(),
            tracking_id: "x_1".to_owned(),
            market: "DE".to_owned(),
            status: "COMPLETED",
            iban: Some("DE20100190002300001206".to_owned()),
            bic: Some("NEXUDEBB".to_owned()),
            rejection_reason: None,
        }
    }

    #[test]
    fn each_bank_words_and_signs_a_message_in_its_own_way() {
        for (bank, says, signs) in [
            (Bank::NexusBank, "account_opening_request.status_changed", "webhook-signature"),
            (Bank::Solaris, "account_opening_request_id", "solaris-webhook-signature"),
            (Bank::Airwallex, "global_account.active", "x-signature"),
            (Bank::Adyen, "balancePlatform.paymentInstrument", "hmacsignature"),
        ] {
            let key = bank.key("whsec_Y2hhb3Mtd2ViaG9vay1zZWNyZXQ=").unwrap();
            let body = bank.body("msg-1", &word());
            assert!(std::str::from_utf8(&body).unwrap().contains(says), "{bank:?}");
            let headers = bank.headers((&key, "msg-1", &body), 1_700_000_000_000_000, |it| vec![it]);
            assert!(headers.iter().any(|(name, _)| *name == signs), "{bank:?}: {headers:?}");
            let thin = !String::from_utf8_lossy(&body).contains("DE20100190002300001206");
            assert_eq!(thin, bank == Bank::Solaris, "{bank:?}");
        }
    }

    /// The known answer of the documentation, by Adyen's own library.
    #[test]
    fn a_raw_signature_is_the_documented_one() {
        use base64::Engine as _;
        let key = hex::decode("11223344D785FBAE710E7F943F307971BB61B21281C98C9129B3D4018A57B2EB").unwrap();
        let mac = Secret::of(&key).unwrap().raw(&[br#"{"a":1}"#]);
        assert_eq!(
            base64::engine::general_purpose::STANDARD.encode(mac),
            "LJxBur1jJ978PYPKY6GuIW+NQ23y1QlrMC5R4V+zMl0="
        );
    }
}
