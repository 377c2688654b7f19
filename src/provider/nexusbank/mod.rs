//! `NexusBank`: the default provider, also spoken by the simulator.
//!
//! The bank accepts a request with a tracking id, decides minutes to hours later and sends fat webhooks signed with Standard
//! Webhooks. It echoes our reference, honours an Idempotency-Key, and answers lookups by tracking id and by reference.
//! A legacy call that blocks until the decision also exists.

mod account;
mod message;
mod reports;
mod settings;

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{SecondsFormat, TimeDelta};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

pub use self::account::read_account;
use self::message::Words;
pub use self::message::{list_page, parse, parse_item, simulate, verdict};
pub use self::reports::REPORTS;
pub use self::settings::{
    DEVELOPMENT_API_KEY, DEVELOPMENT_WEBHOOK_SECRET, NexusBankSettings, RawNexusBank, RawNexusBankLimits,
    WEBHOOK_SECRETS,
};
use super::signature::{self, Fingerprint, WebhookSecret};
use super::{
    BicSource, Capabilities, Headers, Idempotency, Incoming, LIST, LOOKUP, ListPage, OPEN, Parsed, Provider, SUBMIT,
    Submission, Verified, VerifyError,
};
use crate::clock::Time;
use crate::domain::{ProviderRef, Report};
use crate::outbound::{Answer, CallError, Client, Gate, Gates};

/// The provider's name.
pub const NAME: &str = "nexusbank";

/// A limit above any legitimate number of pages for one reference.
const MAX_PAGES: usize = 10;

/// The adapter.
#[derive(Clone, Debug)]
pub struct NexusBank {
    client: Client,
    gates: Operations,
    base_url: String,
    api_key: SecretString,
    secrets: Vec<WebhookSecret>,
    tolerance: TimeDelta,
    /// The deadline of the legacy call.
    blocking: Duration,
}

/// The gates of its operations.
#[derive(Clone, Debug)]
struct Operations {
    submit: Gate,
    lookup: Gate,
    open: Gate,
    list: Gate,
}

#[derive(Deserialize)]
struct Listing {
    items: Vec<Words>,
    next_cursor: Option<String>,
}

impl NexusBank {
    /// Makes the adapter; `blocking` is the deadline of the legacy call.
    #[must_use]
    pub fn new(settings: &NexusBankSettings, client: Client, blocking: Duration, gates: &Gates) -> Self {
        Self {
            client,
            blocking,
            gates: Operations {
                submit: gates.gate(NAME, SUBMIT),
                lookup: gates.gate(NAME, LOOKUP),
                open: gates.gate(NAME, OPEN),
                list: gates.gate(NAME, LIST),
            },
            base_url: settings.base_url.clone(),
            api_key: settings.api_key.clone(),
            secrets: settings.webhook_secrets.clone(),
            tolerance: settings.limits.tolerance,
        }
    }

    fn requests(&self) -> String {
        format!("{}/v1/account-opening-requests", self.base_url)
    }

    /// The request of both calls that ask for an account.
    fn asking(&self, url: &str, submission: &Submission) -> reqwest::RequestBuilder {
        let key = submission.idempotency_key.to_string();
        self.client.post(url).header("Idempotency-Key", key).json(&words_of(submission))
    }

    async fn call(&self, gate: &Gate, request: reqwest::RequestBuilder) -> Result<Answer, CallError> {
        self.client.call(gate, request.bearer_auth(self.api_key.expose_secret())).await
    }
}

fn words_of(submission: &Submission) -> Value {
    let request = &submission.request;
    json!({
        "reference": submission.opening_id,
        "market": request.market,
        "customer_type": request.customer_type,
        "currency": request.currency,
        "profile_id": submission.profile,
        "customer": submission.customer,
    })
}

/// Parses an answer about one request.
///
/// # Errors
/// By meaning: see [`CallError`].
pub fn read_one(answer: &Answer) -> Result<Report, CallError> {
    report(answer.json()?)
}

/// Parses a page of requests with the cursor of the next page.
///
/// # Errors
/// By meaning: see [`CallError`].
pub fn read_page(answer: &Answer) -> Result<(Vec<Report>, Option<String>), CallError> {
    let Listing { items, next_cursor } = answer.json()?;
    let reports = items.into_iter().map(report).collect::<Result<_, _>>()?;
    Ok((reports, next_cursor.filter(|cursor| !cursor.is_empty())))
}

fn report(words: Words) -> Result<Report, CallError> {
    let report = words.into_report().map_err(CallError::unusable)?;
    if report.reference.is_none() {
        return Err(CallError::unusable("answer without account_opening_request_id"));
    }
    Ok(report)
}

#[async_trait]
impl Provider for NexusBank {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            idempotency: Idempotency::Keyed,
            fat_events: true,
            bic: BicSource::Reported,
            list_lookup: true,
            list_since: true,
            signed_time: true,
            blocking: true,
        }
    }

    async fn submit(&self, submission: &Submission) -> Result<Report, CallError> {
        let call = self.asking(&self.requests(), submission);
        read_one(&self.call(&self.gates.submit, call).await?)
    }

    async fn open(&self, submission: &Submission) -> Result<Report, CallError> {
        let url = format!("{}/v1/accounts", self.base_url);
        let call = self.asking(&url, submission).timeout(self.blocking);
        read_account(&self.call(&self.gates.open, call).await?)
    }

    async fn lookup(&self, reference: &ProviderRef) -> Result<Report, CallError> {
        let mut url =
            reqwest::Url::parse(&self.requests()).map_err(|_| CallError::unusable("NEXUSBANK_BASE_URL is no base"))?;
        // As one path segment; the provider's id may contain any character.
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(reference.as_str());
        }
        read_one(&self.call(&self.gates.lookup, self.client.get(url.as_str())).await?)
    }

    async fn recover(&self, submission: &Submission) -> Result<Vec<Report>, CallError> {
        let opening = submission.opening_id;
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        let mut cursor: Option<String> = None;
        for page in 1..=MAX_PAGES {
            let mut query = vec![("reference", opening.to_string())];
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            // Recovery precedes a repeated submission, so it uses the same gate.
            let request = self.client.get(&self.requests()).query(&query);
            let answer = self.call(&self.gates.submit, request).await?;
            let (reports, next) = read_page(&answer)?;
            found.extend(reports);
            let Some(next) = next else { break };
            if !seen.insert(next.clone()) {
                tracing::warn!(opening.id = %opening, page, "a cursor repeated in the list for our reference; stopped reading");
                break;
            }
            cursor = Some(next);
        }
        // Keep only reports with our reference: a list that ignores its filter must not attach another customer's
        // account.
        found.retain(|report| report.opening() == Some(opening));
        Ok(found)
    }

    async fn list_since(&self, since: Time, cursor: Option<&str>) -> Result<ListPage, CallError> {
        let mut query = vec![("updated_since", since.to_rfc3339_opts(SecondsFormat::Micros, true))];
        query.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
        let request = self.client.get(&self.requests()).query(&query);
        list_page(&self.call(&self.gates.list, request).await?)
    }

    fn parse_item(&self, body: &[u8]) -> Parsed {
        parse_item(body)
    }

    fn verify(&self, incoming: &Incoming<'_>) -> Result<Verified, VerifyError> {
        let Incoming { headers, body, received_at, .. } = incoming;
        let (event_id, secret) = signature::verify(&self.secrets, headers, body, *received_at, self.tolerance)?;
        Ok(Verified { event_id: Some(event_id), secret })
    }

    fn secrets(&self) -> Vec<Fingerprint> {
        self.secrets.iter().map(WebhookSecret::fingerprint).collect()
    }

    fn tolerance(&self) -> Option<TimeDelta> {
        Some(self.tolerance)
    }

    fn parse(&self, _headers: &Headers, body: &[u8]) -> Parsed {
        parse(body)
    }

    fn simulate(&self, report: &Report) -> Vec<u8> {
        simulate(report)
    }
}
