//! Airwallex: global accounts.
//!
//! The submission carries our id twice: as `request_id`, which makes it idempotent, and as `nick_name`, by which it is found
//! again. A used `request_id` is answered with an error although the account exists, so errors that say so lead to a look and
//! never to a rejection. Events are fat; the no to a customer is the status `FAILED`.
//!
//! Sources: airwallex.com/docs, "Global accounts" and "Webhooks", and the official SDK for Node. docs/INTEGRATING.md names what
//! is not confirmed.

mod message;
mod settings;

use async_trait::async_trait;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use chrono::{SecondsFormat, TimeDelta};
use reqwest::RequestBuilder;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use self::message::{Account, Refusal};
pub use self::message::{parse, parse_item, simulate};
pub use self::settings::{AirwallexSettings, OnBehalfOf, RawAirwallex, RawAirwallexLimits};
use super::signature::{Encoding, Fingerprint, RawHmac, RawKey};
use super::wire::{not_before, url};
use super::{
    Adapter, BicSource, Capabilities, Headers, Idempotency, Incoming, LIST, LOOKUP, ListPage, Parsed, Provider, SUBMIT,
    Submission, TOKEN, Verified, VerifyError,
};
use crate::clock::Time;
use crate::domain::bank::has_ibans;
use crate::domain::{ProviderRef, Report, Verdict};
use crate::outbound::{Answer, Bearer, CallError, Client, Gate, Gates};

/// The provider's name.
pub const NAME: &str = "airwallex";

/// The version of the API. Events about global accounts exist from 2025-04-25 on.
const VERSION: (&str, &str) = ("x-api-version", "2025-06-30");
/// The header that names the connected account that a platform acts for.
const ON_BEHALF_OF: &str = "x-on-behalf-of";
/// The header with the signed time, in milliseconds since the epoch.
const TIMESTAMP: &str = "x-timestamp";
/// The hexadecimal HMAC-SHA256 of the time followed by the body.
const SIGNATURE: RawHmac = RawHmac { header: "x-signature", prefix: "", encoding: Encoding::Hex };
/// The header in which test events bring the very key that signs them.
const CLIENT_SECRET_KEY: &str = "client-secret-key";

/// Items of a page of the list.
const PAGE: usize = 100;
/// Pages that are read in search of one account: more than one name can have.
const MAX_PAGES: usize = 10;

/// The adapter.
#[derive(Clone, Debug)]
pub struct Airwallex {
    client: Client,
    submit: Gate,
    lookup: Gate,
    list: Gate,
    token: Gate,
    bearer: Bearer,
    settings: AirwallexSettings,
    /// How long an account may take: the list cannot be asked for changes, only for accounts made since.
    longest_wait: TimeDelta,
}

impl Airwallex {
    /// Makes the adapter.
    #[must_use]
    pub fn new(settings: AirwallexSettings, client: Client, gates: &Gates) -> Self {
        let token = gates.gate(NAME, TOKEN);
        let AirwallexSettings { base_url, client_id, api_key, .. } = settings.clone();
        let ask = move |client: &Client| {
            let request = client.post(&format!("{base_url}/api/v1/authentication/login"));
            let request = request.header("x-client-id", &client_id).header("x-api-key", api_key.expose_secret());
            request.header(CONTENT_TYPE, "application/json").body("{}")
        };
        Self {
            submit: gates.gate(NAME, SUBMIT),
            lookup: gates.gate(NAME, LOOKUP),
            list: gates.gate(NAME, LIST),
            bearer: Bearer::new(client.clone(), token.clone(), ask, message::token),
            longest_wait: settings.limits.policy.escalate_after,
            client,
            token,
            settings,
        }
    }

    async fn call<T>(
        &self,
        gate: &Gate,
        make: impl Fn() -> RequestBuilder + Send,
        judge: impl Fn(Answer) -> Result<T, CallError> + Send + Sync,
    ) -> Result<T, CallError> {
        self.client.authorized(gate, &self.bearer, || make().header(VERSION.0, VERSION.1), judge).await
    }

    fn accounts(&self, segments: &[&str]) -> Result<reqwest::Url, CallError> {
        url(&self.settings.base_url, &[&["api", "v1", "global_accounts"], segments].concat())
    }

    /// The connected account of a submission, where accounts are opened on behalf of the customer's.
    fn owner<'a>(&self, submission: &'a Submission) -> Option<&'a str> {
        (self.settings.on_behalf_of == OnBehalfOf::Profile).then(|| submission.profile.as_str())
    }

    /// A page of the list of the accounts made since a time, with this further query.
    async fn page(&self, ask: Page<'_>) -> Result<ListPage, CallError> {
        let Page { gate, since, name, owner, cursor } = ask;
        let url = self.accounts(&[])?;
        let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
        let mut query = vec![("from_created_at", since), ("page_size", PAGE.to_string())];
        query.extend(name.map(|it| ("nick_name", it)));
        query.extend(cursor.map(message::query_of));
        let make = || behalf(self.client.get(url.as_str()).query(&query), owner);
        message::list_page(&self.call(gate, make, judge_look).await?, cursor)
    }
}

/// The parameters of a request for a page of the list.
struct Page<'a> {
    gate: &'a Gate,
    since: Time,
    /// Only accounts of this name.
    name: Option<String>,
    owner: Option<&'a str>,
    cursor: Option<&'a str>,
}

fn behalf(request: RequestBuilder, owner: Option<&str>) -> RequestBuilder {
    owner.into_iter().fold(request, |request, owner| request.header(ON_BEHALF_OF, owner))
}

fn body(submission: &Submission) -> Value {
    let Submission { opening_id, request, .. } = submission;
    json!({
        "request_id": opening_id,
        "country_code": request.market,
        "nick_name": opening_id,
        "required_features": [{"currency": request.currency, "transfer_method": "LOCAL"}],
    })
}

/// The meaning of an answer to a submission.
enum Submitted {
    /// The account.
    Made(Answer),
    /// Its `request_id` is known: it may exist.
    Known,
}

/// An error that says that the request is known is no error: the account is looked for. Any other refusal in the bank's own form
/// is our mistake and had no effect. Neither says anything about the customer.
fn judge_submission(answer: Answer) -> Result<Submitted, CallError> {
    let refusal = Refusal::of(&answer);
    let is_known = answer.status == StatusCode::CONFLICT || refusal.as_ref().is_some_and(Refusal::is_known_request);
    if is_known && answer.status.is_client_error() {
        Ok(Submitted::Known)
    } else {
        judge_look(answer).map(Submitted::Made)
    }
}

fn judge_look(answer: Answer) -> Result<Answer, CallError> {
    answer.judge(|status, body| Refusal::read(body).map(|it| CallError::ours(format!("HTTP {status}: {}", it.code))))
}

#[async_trait]
impl Provider for Airwallex {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            idempotency: Idempotency::Keyed,
            fat_events: true,
            bic: BicSource::Reported,
            list_lookup: true,
            list_since: self.settings.lists(),
            signed_time: true,
            blocking: false,
        }
    }

    async fn submit(&self, submission: &Submission) -> Result<Report, CallError> {
        let (url, body, owner) = (self.accounts(&["create"])?, body(submission), self.owner(submission));
        let make = || behalf(self.client.post(url.as_str()).json(&body), owner);
        match self.call(&self.submit, make, judge_submission).await? {
            Submitted::Made(answer) => answer.json::<Account>()?.into_report(owner).map_err(CallError::unusable),
            Submitted::Known => {
                let found = self.recover(submission).await?;
                found
                    .into_iter()
                    .next()
                    .ok_or_else(|| CallError::unusable("the request is known, and no account is found"))
            }
        }
    }

    async fn lookup(&self, reference: &ProviderRef) -> Result<Report, CallError> {
        let (owner, id) = self.settings.on_behalf_of.split(reference.as_str());
        let url = self.accounts(&[id])?;
        let answer = self.call(&self.lookup, || behalf(self.client.get(url.as_str()), owner), judge_look).await?;
        answer.json::<Account>()?.into_report(owner).map_err(CallError::unusable)
    }

    async fn recover(&self, submission: &Submission) -> Result<Vec<Report>, CallError> {
        let (opening, owner) = (submission.opening_id, self.owner(submission));
        let mut found = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_PAGES {
            // Recovery precedes a repeated submission, so it uses the same gate.
            let page = self.page(Page {
                gate: &self.submit,
                since: not_before(opening),
                name: Some(opening.to_string()),
                owner,
                cursor: cursor.as_deref(),
            });
            let ListPage { items, next } = page.await?;
            // Whether the filter compares names exactly is not documented.
            let ours = items.iter().filter_map(|it| Account::read(&it.body)).filter(|it| it.opening() == Some(opening));
            found.extend(ours.filter_map(|it| it.into_report(owner).ok()));
            let Some(next) = next else { break };
            cursor = Some(next);
        }
        // P36: an account that is open counts before one that was refused.
        found.sort_by_key(|it: &Report| match it.verdict {
            Verdict::Completed => 0,
            Verdict::Rejected => 2,
            _ => 1,
        });
        Ok(found)
    }

    /// The list has no filter for changes: it is asked for all accounts that were made since the longest wait before.
    async fn list_since(&self, since: Time, cursor: Option<&str>) -> Result<ListPage, CallError> {
        let since = since - self.longest_wait;
        self.page(Page { gate: &self.list, since, name: None, owner: None, cursor }).await
    }

    fn parse_item(&self, body: &[u8]) -> Parsed {
        parse_item(body)
    }

    fn verify(&self, incoming: &Incoming<'_>) -> Result<Verified, VerifyError> {
        let Incoming { headers, body, received_at, .. } = incoming;
        let stamp = headers.get(TIMESTAMP).map(HeaderValue::as_bytes).filter(|it| !it.is_empty());
        let stamp = stamp.ok_or(VerifyError::Missing)?;
        let secret = SIGNATURE.verify(&self.settings.webhook_secrets, headers, &[stamp, body])?;
        // Checked after the signature: an unsigned time proves nothing.
        let digits = std::str::from_utf8(stamp).ok().filter(|it| it.bytes().all(|byte| byte.is_ascii_digit()));
        let signed_at = digits.and_then(|it| it.parse().ok()).and_then(Time::from_timestamp_millis);
        let signed_at = signed_at.ok_or(VerifyError::Stale)?;
        if (*received_at - signed_at).abs() > self.settings.limits.tolerance {
            return Err(VerifyError::Stale);
        }
        Ok(Verified { event_id: message::event_id(body), secret })
    }

    fn secrets(&self) -> Vec<Fingerprint> {
        self.settings.webhook_secrets.iter().map(RawKey::fingerprint).collect()
    }

    fn tolerance(&self) -> Option<TimeDelta> {
        Some(self.settings.limits.tolerance)
    }

    fn signed_headers(&self) -> &'static [&'static str] {
        &[SIGNATURE.header, TIMESTAMP]
    }

    fn credentials(&self) -> &'static [&'static str] {
        &[CLIENT_SECRET_KEY]
    }

    fn serves(&self, market: &str) -> bool {
        has_ibans(market)
    }

    fn needs(&self) -> Vec<Gate> {
        vec![self.token.clone()]
    }

    fn parse(&self, _headers: &Headers, body: &[u8]) -> Parsed {
        parse(body, self.settings.on_behalf_of)
    }

    fn simulate(&self, report: &Report) -> Vec<u8> {
        simulate(report)
    }
}

#[cfg(test)]
mod tests;
