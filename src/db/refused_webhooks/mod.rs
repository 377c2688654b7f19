//! `rejected_requests`: requests that the webhook listener refused, within a bound of bytes.
//!
//! ```text
//! insert.rs   stored, and the oldest deleted     read.rs    listed and shown
//! verify.rs   verified again, and marked         erase.rs   deleted with an erased opening
//! ```
//!
//! Triggers count the bytes per source and in total (`0007_refused_webhooks.sql`), so any delete, even by an erasure,
//! keeps the counters right.

mod erase;
mod insert;
mod read;
mod verify;

pub use self::erase::erase;
pub use self::insert::{NewRefusedWebhook, insert, trim};
pub use self::read::{Filter, Group, Row, Whole, get, groups, list};
pub use self::verify::{Believed, Candidate, ReverifyFilter, StillRefused, candidates, mark, remaining};
use crate::domain::text::string_enum;

string_enum!(
    /// Why a request was refused.
    Cause {
        /// The signature or a part of it is missing.
        SignatureMissing = "signature_missing",
        /// No active secret matches.
        SignatureWrong = "signature_wrong",
        /// The signed time differs too much from ours.
        SignatureStale = "signature_stale",
        /// Longer than `WEBHOOK_MAX_BYTES`.
        TooLarge = "too_large",
        /// The path names no provider.
        UnknownProvider = "unknown_provider",
        /// The content type is not JSON.
        ContentType = "content_type",
    }
);
