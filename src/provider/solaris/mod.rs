//! Solaris: account opening requests.
//!
//! Solaris accepts a request with a tracking id, decides later, and sends thin events: the account comes with a look-up. It has
//! no field for our reference and documents no idempotency key. So a submission with a lost answer is never repeated by a
//! machine: it is looked for in the list, by customer, product and time.
//!
//! Sources: docs.solarisgroup.com, "Account opening" and "Webhooks" of the API reference. docs/INTEGRATING.md names what is not
//! confirmed.

mod message;
mod settings;

use async_trait::async_trait;
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use reqwest::RequestBuilder;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use self::message::{List, OpeningRequest, product};
pub use self::message::{parse, simulate};
pub use self::settings::{RawSolaris, RawSolarisLimits, SolarisSettings};
use super::signature::{Encoding, Fingerprint, RawHmac, RawKey};
use super::wire::{not_before, url};
use super::{
    BicSource, Capabilities, Headers, Idempotency, Incoming, LOOKUP, Parsed, Provider, SUBMIT, Submission, TOKEN,
    Verified, VerifyError,
};
use crate::domain::{ProviderRef, Report};
use crate::outbound::{Answer, Bearer, CallError, Client, Gate, Gates};

/// The provider's name.
pub const NAME: &str = "solaris";

/// The header with an event's type. It is not signed.
const EVENT_TYPE: &str = "solaris-webhook-event-type";
/// The type of the request that a subscription begins with.
const SUBSCRIPTION: &str = "WEBHOOK-SUBSCRIPTION";
/// `sha256=` and the hexadecimal HMAC-SHA256 of the body.
const SIGNATURE: RawHmac = RawHmac { header: "solaris-webhook-signature", prefix: "sha256=", encoding: Encoding::Hex };

/// Items of a page of the list: half of the documented maximum, so that a page stays below the largest answer.
const PAGE: usize = 500;
/// Pages that are read in search of one request. Beyond them a person searches.
const MAX_PAGES: usize = 200;

/// The adapter.
#[derive(Clone, Debug)]
pub struct Solaris {
    client: Client,
    submit: Gate,
    lookup: Gate,
    token: Gate,
    bearer: Bearer,
    settings: SolarisSettings,
}

impl Solaris {
    /// Makes the adapter.
    #[must_use]
    pub fn new(settings: SolarisSettings, client: Client, gates: &Gates) -> Self {
        let token = gates.gate(NAME, TOKEN);
        let SolarisSettings { token_url, client_id, client_secret, .. } = settings.clone();
        let ask = move |client: &Client| {
            let secret = Some(client_secret.expose_secret().to_owned());
            let form = (CONTENT_TYPE, "application/x-www-form-urlencoded");
            let request = client.post(&token_url).basic_auth(&client_id, secret).header(form.0, form.1);
            request.body("grant_type=client_credentials&scope=partners")
        };
        let bearer = Bearer::new(client.clone(), token.clone(), ask, message::token);
        Self { submit: gates.gate(NAME, SUBMIT), lookup: gates.gate(NAME, LOOKUP), client, token, bearer, settings }
    }

    async fn call(&self, gate: &Gate, make: impl Fn() -> RequestBuilder + Send) -> Result<Answer, CallError> {
        self.client.authorized(gate, &self.bearer, make, judge).await
    }

    fn requests(&self, segments: &[&str]) -> Result<reqwest::Url, CallError> {
        url(&self.settings.base_url, &[&["v1", "accounts", "opening_requests"], segments].concat())
    }

    /// A page of the list of all customers' requests, from 1.
    async fn page(&self, number: usize) -> Result<List, CallError> {
        let url = self.requests(&[])?;
        let query = [("page[number]", number), ("page[size]", PAGE)];
        // Recovery precedes a repeated submission, so it uses the same gate.
        let answer = self.call(&self.submit, || self.client.get(url.as_str()).query(&query)).await?;
        serde_json::from_slice(&answer.body).map_err(|error| answer.of_another_shape(&error))
    }

    fn body(&self, submission: &Submission) -> Result<Value, CallError> {
        let Submission { request, profile, .. } = submission;
        let product = product(&request.market, request.customer_type);
        let product = product.ok_or_else(|| CallError::ours("no product of this market"))?;
        let bic = self.settings.bics.of(&request.market).ok_or_else(|| CallError::ours("no BIC of this market"))?;
        Ok(json!({
            "customer_id": profile,
            "customer_type": product.customer_type,
            "product_name": product.name,
            "account_type": product.account_type,
            "account_purpose": "primary",
            "account_bic": bic,
            "account_currency": request.currency,
        }))
    }
}

/// A 400 or 422 in the bank's own form refuses our mapping, our product or our customer id, and had no effect. It says nothing
/// about the customer: the bank's no is a status.
fn judge(answer: Answer) -> Result<Answer, CallError> {
    answer.judge(|status, body| message::error_code(body).map(|code| CallError::ours(format!("HTTP {status}: {code}"))))
}

#[async_trait]
impl Provider for Solaris {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            idempotency: Idempotency::None,
            fat_events: false,
            bic: BicSource::Reported,
            list_lookup: false,
            list_since: false,
            signed_time: false,
            blocking: false,
        }
    }

    async fn submit(&self, submission: &Submission) -> Result<Report, CallError> {
        let (url, body) = (self.requests(&[])?, self.body(submission)?);
        let answer = self.call(&self.submit, || self.client.post(url.as_str()).json(&body)).await?;
        answer.json::<OpeningRequest>()?.into_report()
    }

    async fn lookup(&self, reference: &ProviderRef) -> Result<Report, CallError> {
        let url = self.requests(&[reference.as_str()])?;
        let answer = self.call(&self.lookup, || self.client.get(url.as_str())).await?;
        answer.json::<OpeningRequest>()?.into_report()
    }

    /// Of several, the one to go on with is the one that was completed: a request that was made twice is rejected by the bank's
    /// limit of accounts while the first completes.
    async fn recover(&self, submission: &Submission) -> Result<Vec<Report>, CallError> {
        let born = not_before(submission.opening_id);
        let mut found: Vec<OpeningRequest> = Vec::new();
        for number in 1..=MAX_PAGES {
            let items = self.page(number).await?.0;
            let is_last = items.len() < PAGE;
            let readable = items.into_iter().filter_map(|it| OpeningRequest::read(&it));
            found.extend(readable.filter(|it| it.is_of(submission, born)));
            if is_last {
                found.sort_by_key(OpeningRequest::rank);
                return found.into_iter().map(OpeningRequest::into_report).collect();
            }
        }
        Err(CallError::unusable("the list of opening requests has more pages than are read"))
    }

    fn verify(&self, incoming: &Incoming<'_>) -> Result<Verified, VerifyError> {
        let secret = SIGNATURE.verify(&self.settings.webhook_secrets, incoming.headers, &[incoming.body])?;
        // The id in the header is not signed: a replay could bring another. The body's hash stands for it.
        Ok(Verified { event_id: None, secret })
    }

    fn is_handshake(&self, incoming: &Incoming<'_>) -> bool {
        let kind = incoming.headers.get(EVENT_TYPE).map(axum::http::HeaderValue::as_bytes);
        incoming.method == Method::POST && incoming.body.is_empty() && kind == Some(SUBSCRIPTION.as_bytes())
    }

    fn secrets(&self) -> Vec<Fingerprint> {
        self.settings.webhook_secrets.iter().map(RawKey::fingerprint).collect()
    }

    fn signed_headers(&self) -> &'static [&'static str] {
        &[SIGNATURE.header]
    }

    fn serves(&self, market: &str) -> bool {
        self.settings.bics.of(market).is_some()
    }

    fn needs(&self) -> Vec<Gate> {
        vec![self.token.clone()]
    }

    fn parse(&self, headers: &Headers, body: &[u8]) -> Parsed {
        parse(headers.get(EVENT_TYPE), body)
    }

    fn simulate(&self, report: &Report) -> Vec<u8> {
        simulate(report)
    }
}
