//! `inbox`: every fact, stored before it is decided.
//!
//! ```text
//! insert.rs   stored once per key, byte for byte     claim.rs      locked for deciding, a share of every lane
//! work.rs     settled, failed, unreadable            parked.rs     facts that match nothing yet
//! erase.rs    emptied with their opening             unmatched.rs  facts without an opening, for operators
//! ```

#[cfg(feature = "broken")]
mod broken;
mod claim;
mod erase;
mod insert;
mod parked;
mod unmatched;
mod work;

pub use self::claim::{Claim, claim, claim_these, due, webhooks_after};
pub use self::erase::{empty, erase, erase_evidence, erase_late};
pub use self::insert::{Arrival, Digest, NewFact, Stored, insert};
pub use self::parked::{Unread, expire_parked, older_unread, park, unpark, unpark_matched};
pub use self::unmatched::{Unmatched, unmatched, unmatched_in_time};
pub use self::work::{Pending, Settlement, attempts, fail, last_polls, mark_unreadable, settle};
