//! The provider port: what the service needs of a bank that opens accounts later, and how banks differ.
//!
//! Shaped by real providers: some report with everything, some only that something changed; some repeat a submission
//! safely, some do not; some put several events into one request, some shake hands first. What is particular to one of
//! them stays in its folder; everything else speaks of [`Report`]s and [`CallError`]s.

#![warn(missing_docs)]

pub mod nexusbank;
mod secret_uses;
pub mod signature;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::secret_uses::SecretUses;
use self::signature::Fingerprint;
use crate::clock::Time;
use crate::domain::{OpeningId, ProfileId, ProviderRef, Report, Request};
use crate::outbound::CallError;

/// How a submission may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// Safely: the same key has the effect once (header or body field, the adapter knows).
    Keyed,
    /// Not at all: after an unknown outcome only [`Provider::recover`] may say what became of it.
    None,
}

/// Where the BIC of an account comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BicSource {
    /// The provider sends it.
    Reported,
    /// It is the provider's own, and the adapter adds it.
    Fixed,
}

/// What a provider can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "four facts that do not depend on each other")]
pub struct Capabilities {
    /// How a submission may be repeated.
    pub idempotency: Idempotency,
    /// Whether its events carry the account; where not, a completion is looked up.
    pub fat_events: bool,
    /// Where the BIC comes from.
    pub bic: BicSource,
    /// Whether requests can be found by our reference.
    pub list_lookup: bool,
    /// Whether what changed since a time can be listed.
    pub list_since: bool,
    /// Whether the time of an event is signed; where not, only the inbox key defends against a replay.
    pub signed_time: bool,
}

/// What the calls to a provider's list are called: each adapter's gate before them has this name.
pub const LIST: &str = "list";

/// A page of what changed at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPage {
    /// In the provider's order.
    pub items: Vec<ListItem>,
    /// Where the next page begins. None: this was the last.
    pub next: Option<String>,
}

/// One request as a provider lists it; [`Provider::parse_item`] says what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListItem {
    /// As it came, byte for byte.
    pub body: Vec<u8>,
    /// When it last changed, in the provider's own writing: forms differ, and only whether two are the same matters.
    pub updated_at: Option<String>,
}

/// What is submitted.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The same on every repeat.
    pub idempotency_key: uuid::Uuid,
    /// Sent as our reference.
    pub opening_id: OpeningId,
    /// What was asked for.
    pub request: Request,
    /// The user's profile.
    pub profile: ProfileId,
    /// The customer, as the caller gave it.
    pub customer: Value,
}

/// A webhook request as it came: nothing parsed, every byte there.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// Its path, as it was sent.
    pub path: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body.
    pub body: &'a [u8],
    /// When it came.
    pub received_at: Time,
}

/// The most lines of headers that are kept.
const MAX_HEADERS: usize = 64;
/// The most characters of one of them.
const MAX_HEADER: usize = 1_024;
/// The most bytes of all lines of one that a signature needs: five times what 16 signatures of the longest known kind take.
const MAX_SIGNATURE: usize = 8 * 1_024;
/// The most bytes of all others together, in a request that was refused.
const MAX_OTHER_HEADERS: usize = 16 * 1_024;

/// Headers as the inbox keeps them, by their names in small letters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Headers(BTreeMap<String, Lines>);

/// The lines of one header, in JSON a text where it is one, as nearly always, and else a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Lines {
    One(String),
    Several(Vec<String>),
}

impl Lines {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(line) => std::slice::from_ref(line),
            Self::Several(lines) => lines,
        }
    }

    fn push(&mut self, line: String) {
        match self {
            Self::One(first) => *self = Self::Several(vec![std::mem::take(first), line]),
            Self::Several(lines) => lines.push(line),
        }
    }
}

impl Headers {
    /// At most 64 lines, each of at most 1 KiB, without what authenticates whoever sent them.
    #[must_use]
    pub fn kept(headers: &HeaderMap) -> Self {
        let kept = headers.iter().filter(|(name, _)| !is_credential(name.as_str())).take(MAX_HEADERS);
        let mut all = Self::default();
        for (name, value) in kept {
            all.push(name.as_str(), text(value).chars().take(MAX_HEADER).collect());
        }
        all
    }

    /// The same for a request that is to be verified again some day: what its signature needs is kept whole, as far as
    /// anybody sends it, and of the others no more than 16 KiB.
    #[must_use]
    pub fn kept_with(headers: &HeaderMap, signed: &[&str]) -> Self {
        let mut all = Self::default();
        let mut room = MAX_OTHER_HEADERS;
        for (name, lines) in Self::kept(headers).0 {
            let size = name.len() + lines.as_slice().iter().map(String::len).sum::<usize>();
            if size <= room && !signed.contains(&name.as_str()) {
                room -= size;
                all.0.insert(name, lines);
            }
        }
        for name in signed {
            let mut room = MAX_SIGNATURE;
            for value in headers.get_all(*name).iter().take(MAX_HEADERS) {
                let text = text(value);
                let line = &text[..text.floor_char_boundary(room)];
                room -= line.len();
                all.push(name, line.to_owned());
            }
        }
        all
    }

    fn push(&mut self, name: &str, line: String) {
        match self.0.get_mut(name) {
            Some(lines) => lines.push(line),
            None => _ = self.0.insert(name.to_owned(), Lines::One(line)),
        }
    }

    /// As they came, line by line, as far as they were kept.
    #[must_use]
    pub fn to_map(&self) -> HeaderMap {
        let lines = self.0.iter().flat_map(|(name, lines)| lines.as_slice().iter().map(move |line| (name, line)));
        let header = |(name, line): (&String, &String)| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(line.as_bytes()).ok()?))
        };
        lines.filter_map(header).collect()
    }

    /// These headers.
    #[must_use]
    pub fn of<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut all = Self::default();
        for (name, line) in headers {
            all.push(name, line.to_owned());
        }
        all
    }

    /// The value of a header: its first line.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_slice().first().map(String::as_str)
    }
}

fn text(value: &HeaderValue) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

/// What authenticates whoever sent a request, and could be used by who reads it.
fn is_credential(name: &str) -> bool {
    ["authorization", "cookie", "proxy-authorization", "x-api-key", "x-auth-token"].contains(&name)
}

/// A request that the provider did send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The provider's id of the event; none where it has none: then the body's hash stands for it.
    pub event_id: Option<String>,
    /// Which of the active secrets it was signed with, counted from 0.
    pub secret: usize,
}

/// Why a request is not believed to be the provider's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// No signature, or not all that it needs.
    #[error("signature is missing")]
    Missing,
    /// None of the active secrets made it.
    #[error("signature does not match")]
    Wrong,
    /// Signed at a time too far from ours.
    #[error("signed time is out of tolerance")]
    Stale,
}

/// What a verified body says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// One or more reports.
    Reports(Vec<Report>),
    /// A greeting that wants its acknowledgement and nothing else.
    Handshake,
    /// Something of no concern, or of a kind that is not known: kept, never guessed at.
    Ignored(&'static str),
    /// Not what the provider's documentation says it would send: kept for a person.
    Unreadable(String),
}

/// The exact answer that makes a provider stop sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

impl Default for Ack {
    /// An empty 200: only 200 counts with some.
    fn default() -> Self {
        Self { status: StatusCode::OK, headers: HeaderMap::new(), body: Vec::new() }
    }
}

/// A bank that opens accounts later.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Its name: in webhook paths, in rows, in metrics.
    fn name(&self) -> &'static str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Asks for an account. The report has the tracking id; some decide at once.
    ///
    /// # Errors
    /// By meaning: see [`CallError`].
    async fn submit(&self, submission: &Submission) -> Result<Report, CallError>;

    /// Asks for an account with the legacy call, which blocks until it is decided: the report is final. Repeated under the
    /// same key where [`Capabilities::idempotency`] allows it.
    ///
    /// # Errors
    /// By meaning: see [`CallError`]; an answer without a whole account is unusable.
    async fn open(&self, submission: &Submission) -> Result<Report, CallError>;

    /// Asks what became of a request.
    ///
    /// # Errors
    /// By meaning: see [`CallError`].
    async fn lookup(&self, reference: &ProviderRef) -> Result<Report, CallError>;

    /// Finds requests by our reference, after a submission whose outcome is unknown. Several: it was taken twice.
    ///
    /// # Errors
    /// By meaning: see [`CallError`].
    async fn recover(&self, opening: OpeningId) -> Result<Vec<Report>, CallError>;

    /// A page of the requests that changed at or after `since`, to catch up after an outage. Where
    /// [`Capabilities::list_since`] is false it is never asked.
    ///
    /// # Errors
    /// By meaning: see [`CallError`].
    async fn list_since(&self, _since: Time, _cursor: Option<&str>) -> Result<ListPage, CallError> {
        Err(CallError::unusable("this provider has no list"))
    }

    /// What an item of that list says. Asked when it comes and again when it is decided, like [`Provider::parse`].
    fn parse_item(&self, _body: &[u8]) -> Parsed {
        Parsed::Unreadable("this provider has no list".to_owned())
    }

    /// Whether the provider sent this, judged by the raw request before anything of it is parsed; every active secret is
    /// tried.
    ///
    /// # Errors
    /// Why it is not believed.
    fn verify(&self, incoming: &Incoming<'_>) -> Result<Verified, VerifyError>;

    /// The active secrets, in the order in which they are counted by [`Verified::secret`]. Empty where it has none.
    fn secrets(&self) -> Vec<Fingerprint> {
        Vec::new()
    }

    /// How far a signed time may be from the time of receipt, where it is signed.
    fn tolerance(&self) -> Option<TimeDelta> {
        None
    }

    /// The headers that [`Provider::verify`] reads: those of a refused request are kept whole, so that it can be verified
    /// again.
    fn signed_headers(&self) -> &'static [&'static str] {
        signature::HEADERS
    }

    /// What a message says. It is asked when the message comes and again when it is decided, perhaps days later: so it sees
    /// what the inbox keeps.
    fn parse(&self, headers: &Headers, body: &[u8]) -> Parsed;

    /// The answer to a verified request.
    fn ack(&self, _incoming: &Incoming<'_>) -> Ack {
        Ack::default()
    }

    /// The body of a simulated event, in the provider's own language: what [`Provider::parse`] understands.
    fn simulate(&self, report: &Report) -> Vec<u8>;
}

/// The providers by name.
#[derive(Clone, Default)]
pub struct Providers(HashMap<&'static str, Arc<dyn Provider>>);

impl Providers {
    /// These providers.
    pub fn new(providers: impl IntoIterator<Item = Arc<dyn Provider>>) -> Self {
        Self(providers.into_iter().map(|it| (it.name(), it)).collect())
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// The provider of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Provider>> {
        self.0.get(name)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn Provider>> {
        self.0.values()
    }
}
