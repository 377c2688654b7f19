//! Inserts facts into the inbox, and decides them.
//!
//! ```text
//! ingest.rs    stores a provider's message, then acknowledges it worker.rs     the worker that decides facts
//! fact.rs      the one maker of inbox rows                       batch.rs      one transaction of it
//! burst.rs     copies that come within moments                   correlate.rs  which opening a fact is about
//! capacity.rs  how much may wait                                 pace.rs       how many facts a batch takes
//! queue.rs     one commit for many messages                      read.rs       what a row says
//! hot.rs       lanes for openings with very many facts           timeline.rs   an opening's timeline, with these words
//! ```

mod batch;
mod burst;
mod capacity;
mod correlate;
pub mod fact;
mod hot;
mod ingest;
mod pace;
mod queue;
mod read;
pub mod timeline;
mod worker;

pub use self::capacity::{Backlog, Bounds};
pub use self::ingest::{Ingest, Message, Receipt};
pub use self::worker::{Decided, InboxWorker};
pub use crate::group_commit::Unavailable;
