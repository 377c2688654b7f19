//! Verifies a refused webhook again with the current secrets, judging its signed time as of receipt, and stores it like
//! any webhook.
//!
//! The webhook is stored first and marked afterwards. A crash in between leaves it unmarked, and the next verification finds it
//! in the inbox.

use axum::http::Method;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::db::inbox::Stored;
use crate::db::refused_webhooks::{Believed, Candidate, StillRefused};
use crate::inbox::{Ingest, Message, Receipt, Unavailable};
use crate::provider::{Headers, Incoming, Provider, Providers, SecretUses, VerifyError};

/// The result of another verification.
pub enum Again<'a> {
    /// The signature is the provider's.
    Believed(Believable<'a>),
    Refused(VerifyError, StillRefused),
    UnknownProvider,
}

/// A refused webhook that verifies now, but is not in the inbox yet.
pub struct Believable<'a> {
    id: Uuid,
    provider: &'a dyn Provider,
    secret: usize,
    message: Message,
}

/// A short text per provider that identifies its verification (secrets, tolerance): while it is unchanged, so are the
/// results.
#[must_use]
pub fn checks(providers: &Providers) -> Vec<(String, String)> {
    providers.all().map(|it| (it.name().to_owned(), check(it.as_ref()))).collect()
}

fn check(provider: &dyn Provider) -> String {
    let secrets: Vec<String> = provider.secrets().iter().map(ToString::to_string).collect();
    let words = format!("{} {:?}", secrets.join(" "), provider.tolerance());
    hex::encode(&Sha256::digest(words.as_bytes())[..6])
}

/// Verifies a refused webhook again without changing anything.
#[must_use]
pub fn look_again<'a>(candidate: &Candidate, providers: &'a Providers) -> Again<'a> {
    let Some(provider) = providers.get(&candidate.provider).map(AsRef::as_ref) else { return Again::UnknownProvider };
    let headers = Headers::stored(&candidate.headers).to_map();
    let incoming = Incoming {
        method: &Method::from_bytes(candidate.method.as_bytes()).unwrap_or_default(),
        path: &candidate.path,
        headers: &headers,
        body: &candidate.body,
        received_at: candidate.received_at,
    };
    match provider.verify(&incoming) {
        Ok(verified) => {
            let secret = verified.secret;
            let message = Message::read(provider, &incoming, verified);
            Again::Believed(Believable { id: candidate.id, provider, secret, message })
        }
        Err(error) => Again::Refused(error, StillRefused { id: candidate.id, by: check(provider) }),
    }
}

impl Believable<'_> {
    /// Stores it like any webhook.
    ///
    /// # Errors
    /// If it could not be stored.
    pub async fn take_in(self, ingest: &Ingest, uses: &SecretUses) -> Result<Believed, Unavailable> {
        let Self { id, provider, secret, message } = self;
        let (event_id, received_at) = (message.key(), message.received_at);
        let receipt = ingest.receive(message).await?;
        uses.count(provider, secret, received_at);
        Ok(Believed { id, event_id, outcome: outcome(receipt) })
    }
}

const fn outcome(receipt: Receipt) -> &'static str {
    match receipt {
        Receipt::Stored(Stored::New) => "stored",
        Receipt::Stored(Stored::Duplicate | Stored::Repeat) => "duplicate",
        Receipt::Stored(Stored::Conflict) => "conflict",
        Receipt::BurstDuplicate => "burst_duplicate",
        Receipt::Nothing => "nothing",
    }
}
