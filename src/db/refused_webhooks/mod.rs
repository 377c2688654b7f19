//! `rejected_requests`: what the webhook listener refused, kept within a bound.
//!
//! ```text
//! insert.rs   kept, and the oldest let go        read.rs     listed and shown
//! verify.rs   looked at again, and marked         erase.rs   gone, with the opening that they speak of
//! ```
//!
//! Triggers keep what is held of each source and in all (`0011_rejected_requests.sql`): whoever deletes rows, an erasure too,
//! leaves the counters right.

mod erase;
mod insert;
mod read;
mod verify;

pub use self::erase::erase;
pub use self::insert::{NewRefusedWebhook, insert, trim};
pub use self::read::{Row, Whole, get, list};
pub use self::verify::{Believed, Candidate, ReverifyFilter, StillRefused, candidates, mark, remaining};
use crate::domain::text::string_enum;

string_enum!(
    /// Why a request was refused.
    Cause {
        /// No signature, or not all that it needs.
        SignatureMissing = "signature_missing",
        /// None of the active secrets made it.
        SignatureWrong = "signature_wrong",
        /// Signed at a time too far from ours.
        SignatureStale = "signature_stale",
        /// Longer than `WEBHOOK_MAX_BYTES`.
        TooLarge = "too_large",
        /// Its path is no provider's.
        UnknownProvider = "unknown_provider",
        /// It says that it is not JSON.
        ContentType = "content_type",
    }
);
