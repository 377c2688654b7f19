//! A refused request is verified again with the secrets of today, its time judged as at receipt, and taken in the way that
//! every webhook comes.
//!
//! It is taken in first and marked after: a crash in between leaves it unmarked, and looking again finds it in the inbox.

use axum::http::Method;
use sha2::{Digest, Sha256};

use crate::db::inbox::Stored;
use crate::db::refused_webhooks::{Believed, Candidate, StillRefused};
use crate::ingest::{Ingest, Message, Receipt, Unavailable};
use crate::provider::{Headers, Incoming, Provider, Providers, SecretUses, VerifyError};

/// What came of looking again.
#[derive(Debug)]
pub enum Again {
    /// It was the provider's, and is in the inbox.
    Believed(Believed),
    /// It is still refused.
    Refused(VerifyError, StillRefused),
    /// There is no such provider.
    UnknownProvider,
}

/// What each provider verifies by today, as a short word: as long as it stays the same, so do the answers.
#[must_use]
pub fn checks(providers: &Providers) -> Vec<(String, String)> {
    providers.all().map(|it| (it.name().to_owned(), check(it.as_ref()))).collect()
}

fn check(provider: &dyn Provider) -> String {
    let secrets: Vec<String> = provider.secrets().iter().map(ToString::to_string).collect();
    let words = format!("{} {:?}", secrets.join(" "), provider.tolerance());
    hex::encode(&Sha256::digest(words.as_bytes())[..6])
}

/// Looks at a request again and takes it in if it is the provider's.
///
/// # Errors
/// When it is, and could not be stored.
pub async fn look_again(
    candidate: Candidate,
    providers: &Providers,
    ingest: &Ingest,
    uses: &SecretUses,
) -> Result<Again, Unavailable> {
    let Some(provider) = providers.get(&candidate.provider) else { return Ok(Again::UnknownProvider) };
    let headers: Headers = serde_json::from_value(candidate.headers).unwrap_or_default();
    let headers = headers.to_map();
    let incoming = Incoming {
        method: &Method::from_bytes(candidate.method.as_bytes()).unwrap_or_default(),
        path: &candidate.path,
        headers: &headers,
        body: &candidate.body,
        received_at: candidate.received_at,
    };
    let verified = match provider.verify(&incoming) {
        Ok(verified) => verified,
        Err(error) => {
            let still = StillRefused { id: candidate.id, by: check(provider.as_ref()) };
            return Ok(Again::Refused(error, still));
        }
    };
    let secret = verified.secret;
    let message = Message::read(provider.as_ref(), &incoming, verified);
    let event_id = message.key();
    let receipt = ingest.receive(message).await?;
    uses.count(provider.as_ref(), secret, candidate.received_at);
    Ok(Again::Believed(Believed { id: candidate.id, event_id, outcome: outcome(receipt) }))
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
