//! `inbox`: every fact from outside, inserted before anything is made of it.
//!
//! ```text
//! insert.rs   stored once under its key, byte for byte      claim.rs    taken to be decided, a share of every lane
//! work.rs     settled, failed, unreadable                     parked.rs   those that wait for what they are about
//! erase.rs    emptied, when their opening is                unmatched.rs  those that nothing is known of
//! ```

#[cfg(feature = "broken")]
mod broken;
mod claim;
mod erase;
mod insert;
mod parked;
mod unmatched;
mod work;

pub use self::claim::{Claim, claim, claim_these, due};
pub use self::erase::{empty, erase, erase_evidence, erase_late};
pub use self::insert::{Arrival, Digest, NewFact, Stored, event_key, insert, meaning};
pub use self::parked::{Unread, expire_parked, older_unread, park, unpark, unpark_matched};
pub use self::unmatched::{Unmatched, unmatched};
pub use self::work::{Pending, Settlement, attempts, fail, mark_unreadable, settle};
