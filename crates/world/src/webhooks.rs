//! Sends webhooks as the bank does: signed with Standard Webhooks, and retried until acknowledged.
//!
//! [`super::life`] decides the content; manual webhooks ([`super::Simulator::send_webhook`]) use the same path.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio::sync::Semaphore;

use super::banks::Bank;
use super::plan::Fold;
use clock::Clock;

const AT_ONCE: usize = 64;

/// A signature by an old key that the receiver does not know.
const OLD_SIGNATURE: &str = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A receiver that takes longer counts as not acknowledged.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A custom webhook; omitted fields are filled in correctly.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawWebhook {
    /// The bank that sends it, in its way of signing.
    pub bank: Bank,
    pub body: String,
    /// `webhook-id`; none: a fresh one.
    pub id: Option<String>,
    /// `webhook-timestamp`, in seconds since the epoch; none: now.
    pub timestamp: Option<i64>,
    /// `whsec_…`, or what the bank's keys look like; none: the shared one.
    pub secret: Option<String>,
    pub fold: Fold,
    /// Replace the headers of the same name; an empty value removes the header.
    pub headers: Vec<(String, String)>,
}

/// The receiver's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WebhookAnswer {
    pub status: u16,
    pub retry_after: Option<String>,
    /// The body, as text.
    pub body: String,
}

/// Why a webhook got no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No webhook URL was configured.
    #[error("no webhook URL is set")]
    NoUrl,
    /// Not `whsec_` and base64.
    #[error("the webhook secret must be whsec_ followed by base64")]
    Secret,
    /// Cannot be sent over HTTP.
    #[error("{0:?} is not a header")]
    Header(String),
    /// The receiver is unavailable or too slow.
    #[error("no answer: {0}")]
    Http(#[from] reqwest::Error),
}

pub(super) struct Sender {
    client: reqwest::Client,
    url: Mutex<Option<String>>,
    key: Vec<u8>,
    clock: Clock,
    at_once: Semaphore,
}

impl Sender {
    pub(super) fn new(url: Option<String>, secret: &str, clock: Clock) -> Result<Self, SendError> {
        // Keep an already installed TLS provider; without any, the client could not be built.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // The service is reached by HTTP: reading the machine's certificates would be a tenth of a start.
            .tls_certs_only([])
            .build()?;
        Ok(Self { client, url: Mutex::new(url), key: key(secret)?, clock, at_once: Semaphore::new(AT_ONCE) })
    }

    pub(super) fn deliver_to(&self, url: String) {
        *self.url.lock().unwrap_or_else(PoisonError::into_inner) = Some(url);
    }

    pub(super) fn has_url(&self) -> bool {
        self.url.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(super) async fn send(&self, id: &str, webhook: &RawWebhook) -> Result<WebhookAnswer, SendError> {
        let url = self.url.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(SendError::NoUrl)?;
        let url = url_of(&url, webhook.bank);
        let id = webhook.id.as_deref().unwrap_or(id);
        let headers = match webhook.bank {
            bank if bank.signs_by_standard() => self.standard_headers(id, webhook)?,
            bank => {
                let millis = webhook.timestamp.map_or_else(|| self.clock.now().timestamp_millis(), |it| it * 1_000);
                let secret = webhook.secret.as_deref().unwrap_or(bank.secret());
                let signed = bank.signature(secret, id, millis, webhook.body.as_bytes());
                let own: Vec<_> = signed.into_iter().chain(webhook.headers.clone()).collect();
                with(&[(CONTENT_TYPE.as_str(), "application/json")], &own)?
            }
        };
        let _permit = self.at_once.acquire().await;
        let answer = self.client.post(url).headers(headers).body(webhook.body.clone()).send().await?;
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(WebhookAnswer { status: answer.status().as_u16(), retry_after, body: answer.text().await? })
    }

    fn standard_headers(&self, id: &str, webhook: &RawWebhook) -> Result<HeaderMap, SendError> {
        let own = webhook.secret.as_deref().map(key).transpose()?;
        let timestamp = webhook.timestamp.unwrap_or_else(|| self.clock.now().timestamp());
        let signature = sign(own.as_ref().unwrap_or(&self.key), id, timestamp, webhook.body.as_bytes())?;
        headers(id, timestamp, &folded(webhook.fold, signature), &webhook.headers)
    }

    /// Asks a receiver whether it listens, as a subscription begins: an empty request with one header and no signature.
    pub(super) async fn handshake(&self, url: &str, (name, value): (&str, &str)) -> bool {
        let request = self.client.post(url).header(name, value);
        request.send().await.is_ok_and(|answer| answer.status().is_success())
    }
}

/// The path of another bank's webhooks stands beside that of the first.
fn url_of(url: &str, bank: Bank) -> String {
    match url.rsplit_once('/') {
        Some((before, _)) if bank != Bank::default() => format!("{before}/{}", bank.name()),
        _ => url.to_owned(),
    }
}

/// The lines of the header with the signatures.
fn folded(fold: Fold, signature: String) -> Vec<String> {
    match fold {
        Fold::AsSent => vec![signature],
        Fold::Spaced => vec![signature.replacen(',', ", ", 1)],
        Fold::Lines => vec![OLD_SIGNATURE.to_owned(), signature],
        Fold::Joined => vec![format!("{OLD_SIGNATURE}, {signature}")],
    }
}

fn headers(id: &str, timestamp: i64, signatures: &[String], own: &[(String, String)]) -> Result<HeaderMap, SendError> {
    let timestamp = timestamp.to_string();
    let usual = [(CONTENT_TYPE.as_str(), "application/json"), ("webhook-id", id), ("webhook-timestamp", &*timestamp)];
    let mut signed = HeaderMap::new();
    for line in signatures {
        signed.append("webhook-signature", HeaderValue::try_from(line).map_err(|_| SendError::Header(line.clone()))?);
    }
    let mut headers = with(&usual, own)?;
    for name in signed.keys().filter(|name| !own.iter().any(|(it, _)| it.eq_ignore_ascii_case(name.as_str()))) {
        for line in signed.get_all(name) {
            headers.append(name, line.clone());
        }
    }
    Ok(headers)
}

/// The usual headers. A given header replaces the usual one of its name; an empty one removes it.
fn with(usual: &[(&str, &str)], own: &[(String, String)]) -> Result<HeaderMap, SendError> {
    let mut headers = HeaderMap::new();
    for (name, value) in usual.iter().copied().chain(own.iter().map(|(name, value)| (name.as_str(), value.as_str()))) {
        let bad = || SendError::Header(name.to_owned());
        let key = HeaderName::try_from(name).map_err(|_| bad())?;
        if value.is_empty() {
            headers.remove(&key);
        } else {
            headers.insert(key, HeaderValue::try_from(value).map_err(|_| bad())?);
        }
    }
    Ok(headers)
}

/// The key within a `whsec_…`.
fn key(secret: &str) -> Result<Vec<u8>, SendError> {
    let encoded = secret.strip_prefix("whsec_").ok_or(SendError::Secret)?;
    BASE64_STANDARD.decode(encoded).ok().filter(|key| !key.is_empty()).ok_or(SendError::Secret)
}

/// `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.
fn sign(key: &[u8], id: &str, timestamp: i64, body: &[u8]) -> Result<String, SendError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| SendError::Secret)?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    Ok(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_published_library() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let oracle = standardwebhooks::Webhook::new(secret).unwrap();
        let timestamp = 1_614_265_330;
        for body in ["", "{}", r#"{"test": 2432232314}"#, "not json \u{fffd}"] {
            let ours = sign(&key(secret).unwrap(), "msg_1", timestamp, body.as_bytes()).unwrap();
            assert_eq!(ours, oracle.sign("msg_1", timestamp, body.as_bytes()).unwrap());
        }
    }

    #[test]
    fn a_folded_header_holds_the_same_signature_in_other_lines() {
        let lines = |fold| folded(fold, "v1,abc=".to_owned());
        assert_eq!(lines(Fold::AsSent), ["v1,abc="]);
        assert_eq!(lines(Fold::Spaced), ["v1, abc="]);
        assert_eq!(lines(Fold::Lines), [OLD_SIGNATURE, "v1,abc="]);
        assert_eq!(lines(Fold::Joined), [format!("{OLD_SIGNATURE}, v1,abc=")]);
        let all = headers("msg_1", 1, &lines(Fold::Lines), &[]).unwrap();
        assert_eq!(all.get_all("webhook-signature").iter().count(), 2);
    }

    #[test]
    fn a_secret_that_is_none_is_refused() {
        for secret in ["", "MfKQ", "whsec_", "whsec_%%"] {
            assert!(key(secret).is_err(), "{secret}");
        }
    }
}
