//! Adyen: business account numbers of the balance platform.
//!
//! Adyen answers with the account number at once; an event repairs a lost answer. A repeat whose key is not honoured is refused
//! with 422, since a balance account has one number only. So a 422 and a 409 lead to a look, and never to a rejection. The BIC
//! is not part of an answer: a setting gives it by country.
//!
//! Sources: Adyen's OpenAPI of the balance platform (v2), and docs.adyen.com, "Business accounts" and "Webhooks".
//! docs/INTEGRATING.md names what is not confirmed.

mod message;
mod settings;

use async_trait::async_trait;
use axum::http::StatusCode;
use reqwest::RequestBuilder;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use self::message::{Instrument, List, error_code};
pub use self::settings::{AdyenSettings, Mode, RawAdyen, RawAdyenLimits};
use super::signature::{Encoding, Fingerprint, RawHmac, RawKey};
use super::wire::url;
use super::{
    BicSource, Capabilities, Headers, Idempotency, Incoming, LOOKUP, Parsed, Provider, SUBMIT, Submission, Verified,
    VerifyError,
};
use crate::domain::{ProviderRef, Report};
use crate::outbound::{Answer, CallError, Client, Gate, Gates};

/// The provider's name.
pub const NAME: &str = "adyen";

/// The base64 of the HMAC-SHA256 of the body, by a key in hexadecimal.
const SIGNATURE: RawHmac = RawHmac { header: "hmacsignature", prefix: "", encoding: Encoding::Base64 };

/// Items of a page of the list, the documented maximum.
const PAGE: usize = 100;
/// Pages of one balance account's instruments that are read. Cards are among them.
const MAX_PAGES: usize = 100;

/// The adapter.
#[derive(Clone, Debug)]
pub struct Adyen {
    client: Client,
    submit: Gate,
    lookup: Gate,
    settings: AdyenSettings,
}

/// The meaning of an answer to a submission.
enum Submitted {
    /// The instrument.
    Made(Answer),
    /// Perhaps the balance account has its number already: from this or another submission. Else the call failed like this.
    Perhaps(CallError),
}

impl Adyen {
    /// Makes the adapter.
    #[must_use]
    pub fn new(settings: AdyenSettings, client: Client, gates: &Gates) -> Self {
        Self { client, submit: gates.gate(NAME, SUBMIT), lookup: gates.gate(NAME, LOOKUP), settings }
    }

    async fn call<T>(
        &self,
        gate: &Gate,
        request: RequestBuilder,
        judge: impl FnOnce(Answer) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let key = self.settings.api_key.expose_secret();
        self.client.call_judged(gate, request.header("X-API-Key", key), judge).await
    }

    fn url(&self, segments: &[&str]) -> Result<reqwest::Url, CallError> {
        url(&self.settings.base_url, segments)
    }

    fn report(&self, instrument: Instrument) -> Result<Report, CallError> {
        instrument.into_report(&self.settings.bics).map_err(CallError::unusable)
    }
}

/// A business account number in a country. Local numbers of these two are virtual.
fn body(submission: &Submission) -> Value {
    let mut body = json!({
        "type": "bankAccount",
        "balanceAccountId": submission.profile,
        "issuingCountryCode": submission.request.market,
        "reference": submission.opening_id,
    });
    if ["DE", "FR"].contains(&submission.request.market.as_str()) {
        body["bankAccount"] = json!({"formFactor": "virtual"});
    }
    body
}

/// A refusal in the bank's own form is our mistake and had no effect. It says nothing about the customer.
fn judge_look(answer: Answer) -> Result<Answer, CallError> {
    answer.judge(|status, body| error_code(body).map(|code| CallError::ours(format!("HTTP {status}: {code}"))))
}

fn judge_submission(answer: Answer) -> Result<Submitted, CallError> {
    let may_exist = [StatusCode::CONFLICT, StatusCode::UNPROCESSABLE_ENTITY].contains(&answer.status);
    match judge_look(answer) {
        Err(error) if may_exist => Ok(Submitted::Perhaps(error)),
        judged => judged.map(Submitted::Made),
    }
}

#[async_trait]
impl Provider for Adyen {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            idempotency: Idempotency::Keyed,
            fat_events: true,
            bic: BicSource::Fixed,
            list_lookup: true,
            list_since: false,
            signed_time: false,
            blocking: false,
        }
    }

    async fn submit(&self, submission: &Submission) -> Result<Report, CallError> {
        let key = submission.idempotency_key.to_string();
        let request = self.client.post(self.url(&["paymentInstruments"])?.as_str()).header("Idempotency-Key", key);
        match self.call(&self.submit, request.json(&body(submission)), judge_submission).await? {
            Submitted::Made(answer) => self.report(answer.json()?),
            Submitted::Perhaps(error) => self.recover(submission).await?.into_iter().next().ok_or(error),
        }
    }

    async fn lookup(&self, reference: &ProviderRef) -> Result<Report, CallError> {
        let url = self.url(&["paymentInstruments", reference.as_str()])?;
        let answer = self.call(&self.lookup, self.client.get(url.as_str()), judge_look).await?;
        self.report(answer.json()?)
    }

    async fn recover(&self, submission: &Submission) -> Result<Vec<Report>, CallError> {
        let url = self.url(&["balanceAccounts", submission.profile.as_str(), "paymentInstruments"])?;
        let mut found: Vec<Instrument> = Vec::new();
        for page in 0..MAX_PAGES {
            let query = [("offset", page * PAGE), ("limit", PAGE)];
            // Recovery precedes a repeated submission, so it uses the same gate.
            let request = self.client.get(url.as_str()).query(&query);
            let List { instruments, has_next } = self.call(&self.submit, request, judge_look).await?.json()?;
            let readable = instruments.iter().filter_map(|it| Instrument::read(it));
            found.extend(readable.filter(|it| it.is_of(submission.opening_id)));
            if !has_next {
                found.sort_by_key(Instrument::rank);
                return found.into_iter().map(|it| self.report(it)).collect();
            }
        }
        Err(CallError::unusable("the balance account has more instruments than are read"))
    }

    fn verify(&self, incoming: &Incoming<'_>) -> Result<Verified, VerifyError> {
        let secret = SIGNATURE.verify(&self.settings.hmac_keys, incoming.headers, &[incoming.body])?;
        Ok(Verified { event_id: None, secret })
    }

    fn secrets(&self) -> Vec<Fingerprint> {
        self.settings.hmac_keys.iter().map(RawKey::fingerprint).collect()
    }

    fn signed_headers(&self) -> &'static [&'static str] {
        &[SIGNATURE.header]
    }

    fn serves(&self, market: &str) -> bool {
        self.settings.bics.of(market).is_some()
    }

    fn parse(&self, _headers: &Headers, body: &[u8]) -> Parsed {
        message::parse(body, self.settings.mode, &self.settings.bics)
    }

    fn simulate(&self, report: &Report) -> Vec<u8> {
        message::simulate(report, self.settings.mode)
    }
}

#[cfg(test)]
mod tests;
