//! The provider port: what the service needs from a bank that opens accounts later, and how banks differ.
//!
//! Providers differ: some report everything, some only that something changed; some accept repeated submissions safely,
//! some do not; some send several events per request, some require a handshake. Each adapter hides these differences in
//! its folder; all other code uses [`Report`] and [`CallError`].

#![warn(missing_docs)]

mod adapter;
pub mod adyen;
pub mod airwallex;
mod headers;
mod limits;
pub mod nexusbank;
mod routes;
mod secret_uses;
pub mod signature;
pub mod solaris;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use axum::http::{HeaderMap, Method, StatusCode};
use chrono::TimeDelta;
use serde_json::Value;

pub use self::adapter::{Adapter, BicsByMarket, Parts, RawAdapter, Situation};
pub use self::headers::Headers;
pub use self::limits::Limits;
pub(crate) use self::limits::raw_limits;
pub use self::routes::Routes;
pub use self::secret_uses::SecretUses;
use self::signature::Fingerprint;
use crate::clock::Time;
use crate::domain::{OpeningId, Policy, ProfileId, ProviderRef, Report, Request};
use crate::outbound::{CallError, Gate, PollBudget};

/// Whether a submission can be repeated safely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// Yes: a repeated key has one effect (header or body field, as the adapter knows).
    Keyed,
    /// No: after an unknown outcome only [`Provider::recover`] can tell whether it took effect.
    None,
}

/// The source of an account's BIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BicSource {
    /// The provider reports it.
    Reported,
    /// The provider names none: the adapter adds the one of its settings.
    Fixed,
}

/// The features of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "five facts that do not depend on each other")]
pub struct Capabilities {
    /// Whether a submission can be repeated safely.
    pub idempotency: Idempotency,
    /// Whether events contain the account; otherwise a completion is looked up.
    pub fat_events: bool,
    /// The source of an account's BIC.
    pub bic: BicSource,
    /// Whether requests can be found by our reference.
    pub list_lookup: bool,
    /// Whether requests changed since a given time can be listed.
    pub list_since: bool,
    /// Whether an event's time is signed; otherwise only the inbox key prevents a replay.
    pub signed_time: bool,
    /// Whether [`Provider::open`], the blocking call, exists.
    pub blocking: bool,
}

/// The operation names, the same in every adapter: gates and metrics are found by them.
pub const SUBMIT: &str = "submit";
/// See [`SUBMIT`].
pub const LOOKUP: &str = "lookup";
/// See [`SUBMIT`]: the blocking call.
pub const OPEN: &str = "open";
/// See [`SUBMIT`]: the list of changes.
pub const LIST: &str = "list";
/// See [`SUBMIT`]: the fetch of an access token, which every other call of the provider needs.
pub const TOKEN: &str = "token";

/// A page of requests that changed at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPage {
    /// The items, in the provider's order.
    pub items: Vec<ListItem>,
    /// The cursor of the next page. None: this was the last one.
    pub next: Option<String>,
}

/// A request in a provider's list; [`Provider::parse_item`] interprets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListItem {
    /// The item byte for byte.
    pub body: Vec<u8>,
    /// The time of the last change, as the provider writes it; only compared for equality.
    pub updated_at: Option<String>,
}

/// A request for an account, as submitted.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The same for every repeat.
    pub idempotency_key: uuid::Uuid,
    /// Sent as our reference.
    pub opening_id: OpeningId,
    /// The caller's request.
    pub request: Request,
    /// The customer's profile at the profile service.
    pub profile: ProfileId,
    /// The customer's data from the caller.
    pub customer: Value,
}

/// A raw webhook request, before any parsing.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The request's HTTP method.
    pub method: &'a Method,
    /// The request's path, as sent.
    pub path: &'a str,
    /// The request's HTTP headers.
    pub headers: &'a HeaderMap,
    /// The raw body.
    pub body: &'a [u8],
    /// The time of receipt.
    pub received_at: Time,
}

/// A request with a valid signature of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The provider's event id. None: the provider has none, and the body's hash replaces it.
    pub event_id: Option<String>,
    /// The index, from 0, of the active secret that verified it.
    pub secret: usize,
}

/// Why a request's signature was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The signature or a part of it is missing.
    #[error("signature is missing")]
    Missing,
    /// No active secret matches.
    #[error("signature does not match")]
    Wrong,
    /// The signed time differs too much from ours.
    #[error("signed time is out of tolerance")]
    Stale,
}

/// The content of a verified body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// One or more reports.
    Reports(Vec<Report>),
    /// A handshake, which only needs its acknowledgement.
    Handshake,
    /// An irrelevant or unknown kind of message, or an account that the service did not ask for: stored, never guessed at.
    Ignored(&'static str),
    /// Violates the provider's documentation: stored as a dead letter.
    Unreadable(String),
}

/// The exact answer after which a provider stops resending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The HTTP status.
    pub status: StatusCode,
    /// The response headers.
    pub headers: HeaderMap,
    /// The response body.
    pub body: Vec<u8>,
}

impl Default for Ack {
    /// An empty 200; some providers accept no other 2xx.
    fn default() -> Self {
        Self { status: StatusCode::OK, headers: HeaderMap::new(), body: Vec::new() }
    }
}

/// A bank that opens accounts later.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The name in webhook paths, rows and metrics.
    fn name(&self) -> &'static str;

    /// The provider's features.
    fn capabilities(&self) -> Capabilities;

    /// Submits a request for an account. The report contains the tracking id; some providers decide at once.
    ///
    /// # Errors
    /// By meaning: see [`CallError`].
    async fn submit(&self, submission: &Submission) -> Result<Report, CallError>;

    /// Requests an account with the legacy call, which blocks until the provider decides; the report is final. Repeated
    /// with the same key if [`Capabilities::idempotency`] allows it. Not called if [`Capabilities::blocking`] is false.
    ///
    /// # Errors
    /// By meaning: see [`CallError`]; an answer without a complete account is unusable.
    async fn open(&self, _submission: &Submission) -> Result<Report, CallError> {
        Err(CallError::ours("this provider has no blocking call"))
    }

    /// Asks for the status of a request.
    ///
    /// # Errors
    /// By meaning: see [`CallError`].
    async fn lookup(&self, reference: &ProviderRef) -> Result<Report, CallError>;

    /// Finds the requests that a submission with unknown outcome made. Several reports: the provider accepted it more than
    /// once; the first is the one to go on with. The relay asks before every repeat of a submission, so the call passes the gate of
    /// [`SUBMIT`]; the relay takes its errors as without effect.
    ///
    /// # Errors
    /// By meaning: see [`CallError`].
    async fn recover(&self, submission: &Submission) -> Result<Vec<Report>, CallError>;

    /// A page of the requests changed at or after `since`, for a backfill after an outage. Not called if
    /// [`Capabilities::list_since`] is false.
    ///
    /// # Errors
    /// By meaning: see [`CallError`].
    async fn list_since(&self, _since: Time, _cursor: Option<&str>) -> Result<ListPage, CallError> {
        Err(CallError::unusable("this provider has no list"))
    }

    /// Interprets a list item, on receipt and again when the fact is decided, like [`Provider::parse`].
    fn parse_item(&self, _body: &[u8]) -> Parsed {
        Parsed::Unreadable("this provider has no list".to_owned())
    }

    /// Verifies the signature of a raw request against every active secret, before anything is parsed.
    ///
    /// # Errors
    /// Why the signature was refused.
    fn verify(&self, incoming: &Incoming<'_>) -> Result<Verified, VerifyError>;

    /// The fingerprints of the active secrets, in the order of [`Verified::secret`]. Empty: the provider has no
    /// secrets.
    fn secrets(&self) -> Vec<Fingerprint> {
        Vec::new()
    }

    /// The maximum difference between signed time and time of receipt, if the time is signed.
    fn tolerance(&self) -> Option<TimeDelta> {
        None
    }

    /// The headers that [`Provider::verify`] reads. They are kept completely for refused requests, which can then be
    /// verified again.
    fn signed_headers(&self) -> &'static [&'static str] {
        signature::HEADERS
    }

    /// Whether a request only asks whether the service listens, before a secret exists: it is acknowledged, and nothing is
    /// verified, stored or counted as a secret's use. It must carry nothing that could be believed.
    fn is_handshake(&self, _incoming: &Incoming<'_>) -> bool {
        false
    }

    /// The provider's own headers with credentials, in lower case: they are never kept.
    fn credentials(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether it can open an account in this market.
    fn serves(&self, _market: &str) -> bool {
        true
    }

    /// The gates that every call passes before the gate of its operation, such as that of an access token.
    fn needs(&self) -> Vec<Gate> {
        Vec::new()
    }

    /// Interprets a message, on receipt and again when the fact is decided, possibly days later. It therefore gets only
    /// what the inbox stores.
    fn parse(&self, headers: &Headers, body: &[u8]) -> Parsed;

    /// The answer to a verified request.
    fn ack(&self, _incoming: &Incoming<'_>) -> Ack {
        Ack::default()
    }

    /// The body of a simulated event in the provider's format; [`Provider::parse`] reads it as the same report, except for a BIC
    /// that the adapter adds itself.
    fn simulate(&self, report: &Report) -> Vec<u8>;
}

/// The configured providers by name, each with its limits.
#[derive(Clone, Default)]
pub struct Providers(BTreeMap<&'static str, (Arc<dyn Provider>, Arc<Limits>)>);

impl Providers {
    /// Registers these providers by their names.
    pub fn new(providers: impl IntoIterator<Item = (Arc<dyn Provider>, Limits)>) -> Self {
        Self(providers.into_iter().map(|(it, limits)| (it.name(), (it, Arc::new(limits)))).collect())
    }

    /// The names of all providers.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// The provider with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Provider>> {
        self.0.get(name).map(|(it, _)| it)
    }

    /// The provider with this name, if what changed there can be listed.
    #[must_use]
    pub fn with_list(&self, name: &str) -> Option<&Arc<dyn Provider>> {
        self.get(name).filter(|it| it.capabilities().list_since)
    }

    /// The names of the providers that list their changes, in their order.
    pub fn names_with_list(&self) -> impl Iterator<Item = &'static str> {
        self.names().filter(|name| self.with_list(name).is_some())
    }

    /// All providers, in the order of their names.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn Provider>> {
        self.0.values().map(|(it, _)| it)
    }

    /// The rules of waiting for a provider. `otherwise`: those for a provider that only another version knows.
    #[must_use]
    pub fn policy<'a>(&'a self, name: &str, otherwise: &'a Policy) -> &'a Policy {
        self.0.get(name).map_or(otherwise, |(_, limits)| &limits.policy)
    }

    /// The polls a minute that each provider takes.
    #[must_use]
    pub fn poll_budget(&self) -> PollBudget {
        PollBudget::new(self.0.iter().map(|(name, (_, limits))| (*name, limits.polls_a_minute)))
    }
}
