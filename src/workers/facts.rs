//! Facts of our own making: what a call or a timer came to, on its way into the inbox like everything else.

use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::clock::{Ids, Time};
use crate::db::inbox::{Arrival, NewFact};
use crate::domain::{Fact, Source};

/// A fact about an opening, under the key `event_id`.
#[must_use]
pub fn new(
    ids: &Ids,
    source: Source,
    provider: &str,
    event_id: String,
    opening_id: Uuid,
    fact: &Fact,
    now: Time,
) -> NewFact {
    // Our own types: they always serialise.
    let body = serde_json::to_vec(fact).unwrap_or_default();
    NewFact {
        id: ids.next(),
        group: format!("{source}:{provider}"),
        event_id,
        source,
        provider: provider.to_owned(),
        part: 0,
        digest: Sha256::digest(&body).into(),
        body,
        meaning: None,
        headers: json!({}),
        opening_id: Some(opening_id),
        provider_ref: None,
        received_at: now,
        retry_from: now,
        arrival: Arrival::Pending,
        lane: None,
    }
}
