//! The keyed hash chain over an opening's history.
//!
//! `hash(n) = HMAC-SHA256(HISTORY_KEY, hash(n-1) ‖ canonical bytes of row n)`, where `hash(0)` is empty. An attacker
//! with write access to the table but without the key cannot edit, insert or swap a row undetected. The canonical bytes
//! prefix each field with its length, so two different rows never have the same bytes.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use super::effect::Step;
use super::ids::OpeningId;
use crate::clock::Time;

/// A link of the chain: 32 bytes.
pub type Hash = [u8; 32];

/// The HMAC key of the chain.
#[derive(Clone)]
pub struct HistoryKey(Hmac<Sha256>);

/// A row of history as the chain hashes it: built from a [`Step`] when written, from the table when verified.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the columns of opening_history")]
pub struct Row<'a> {
    pub opening: Uuid,
    pub version: i64,
    pub from: Option<&'a str>,
    pub to: &'a str,
    pub event: &'a str,
    pub source: &'a str,
    pub inbox_id: Option<Uuid>,
    pub at: Time,
    pub detail: Option<&'a str>,
}

impl<'a> Row<'a> {
    /// The row that will be written for a step.
    #[must_use]
    pub fn of(opening: OpeningId, step: &'a Step) -> Self {
        Self {
            opening: opening.0,
            version: step.version,
            from: step.from.map(super::StateName::as_str),
            to: step.to.as_str(),
            event: step.event,
            source: step.source.as_str(),
            inbox_id: step.inbox_id.map(|id| id.0),
            at: step.at,
            detail: step.detail.as_deref(),
        }
    }

    /// Length-prefixed fields in the order of the table's columns. An absent field differs from an empty one.
    fn canonical(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(200);
        let mut field = |value: Option<&[u8]>| match value {
            None => bytes.push(0),
            Some(value) => {
                bytes.push(1);
                bytes.extend_from_slice(&(value.len() as u64).to_be_bytes());
                bytes.extend_from_slice(value);
            }
        };
        field(Some(self.opening.as_bytes()));
        field(Some(&self.version.to_be_bytes()));
        field(self.from.map(str::as_bytes));
        field(Some(self.to.as_bytes()));
        field(Some(self.event.as_bytes()));
        field(Some(self.source.as_bytes()));
        field(self.inbox_id.as_ref().map(|it| it.as_bytes().as_slice()));
        field(Some(&self.at.timestamp_micros().to_be_bytes()));
        field(self.detail.map(str::as_bytes));
        bytes
    }
}

impl HistoryKey {
    /// Takes a key of 32 bytes.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        // HMAC pads a short key with zeros to the block size of its hash; this is that block.
        let mut block = [0_u8; 64];
        block[..32].copy_from_slice(key);
        Self(<Hmac<Sha256> as KeyInit>::new(&block.into()))
    }

    /// The hash of `row` after `previous` (None: the first row).
    #[must_use]
    pub fn link(&self, previous: Option<&Hash>, row: &Row<'_>) -> Hash {
        let mut mac = self.0.clone();
        mac.update(previous.map_or(&[][..], |hash| &hash[..]));
        mac.update(&row.canonical());
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for HistoryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HistoryKey(…)")
    }
}
