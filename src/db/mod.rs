//! The only place with SQL: one file per table, free functions on a connection.
//!
//! Functions on the hot path take and return slices, sorted by key before they write, so that two batches lock rows in
//! the same order. Every query opens with a comment that names its function: `pg_stat_activity` shows who is calling.
//!
//! What is sought by its id and must still be pending is asked whether its `status is not distinct from 'pending'`: the planner
//! cannot take that for the predicate of a queue's index. With an equality it can, and does whenever its statistics were made while
//! the queue was empty: it then reads the whole queue for each batch of ids.

pub mod advance;
pub mod archive;
pub mod backfills;
pub mod breakers;
pub mod cases;
pub mod database_starts;
pub mod dead_letters;
pub mod erasure;
mod error;
pub mod events;
pub mod feature_flags;
pub mod gauges;
pub mod heartbeats;
pub mod history;
pub mod idempotency;
pub mod inbox;
mod mentions;
pub mod migrations;
pub mod opening_counts;
pub mod openings;
pub mod operator_actions;
pub mod outbox;
mod pool;
pub mod refused_webhooks;
pub mod roles;
mod session;
pub mod tickets;
pub mod timeline;
pub mod timers;
mod url;
pub mod webhook_marks;
pub mod webhook_secrets;

pub use error::{Fault, classify, describe};
pub use pool::{PoolOptions, WITHIN, acquire, conclude, connect, connect_alone, connect_for_migrations, refusal};
pub use session::Unfit;
pub use url::{WrongUrl, read_url};

/// One page of a list: at most `limit` rows beyond `after`, which is the last row of the page before.
#[derive(Clone, Copy, Debug)]
pub struct Page<Key> {
    /// At most so many rows.
    pub limit: i64,
    /// The key of the last row that the reader has.
    pub after: Option<Key>,
}
