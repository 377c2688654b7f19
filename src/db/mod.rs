//! The only place with SQL: one file per table, free functions on a connection. A function fails if the database is
//! unavailable; further errors are documented.
//!
//! Functions on the hot path take slices and sort them by key before they write, so that two batches lock rows in the
//! same order. The first line of every query names its function, so that `pg_stat_activity` shows the caller.
//!
//! A row of inbox or outbox that waits has `due_at`; the indexes of the queues are partial on it. Queries by id or opening
//! name the status instead. Where they need the time, they write `(due_at <= $1) is true`. The bare comparison would imply
//! `due_at is not null`, and the planner could scan the whole queue's index, if its statistics saw the queue empty.

pub mod advance;
pub mod archive;
pub mod backfills;
pub mod bank_statements;
pub mod bank_words;
pub mod breakers;
pub mod bulk_runs;
pub mod cases;
pub mod charge_lines;
pub mod database_starts;
pub mod dead_letters;
pub mod erasure;
mod error;
pub mod events;
pub mod evidence;
pub mod facts;
pub mod feature_flags;
pub mod fee_ledger;
pub mod gauges;
pub mod heartbeats;
pub mod history;
pub mod idempotency;
pub mod inbox;
pub mod live;
mod mentions;
pub mod migrations;
pub mod mismatches;
pub mod opening_counts;
pub mod openings;
pub mod operator_actions;
pub mod outbox;
pub mod overview;
mod pool;
pub mod price_lists;
pub mod refused_webhooks;
pub mod report_profiles;
pub mod report_rows;
pub mod reports;
mod retries;
pub mod roles;
pub mod search;
mod session;
pub mod sessions;
pub mod settlements;
pub mod tickets;
pub mod timeline;
pub mod timers;
pub mod today;
mod url;
pub mod webhook_marks;
pub mod webhook_secrets;

pub use error::{Fault, classify, describe};
pub use pool::{
    PoolOptions, WITHIN, acquire, conclude, conclude_slice, connect, connect_alone, connect_for_migrations, refusal,
};
pub use retries::{
    PATIENCE, WorkError, begin_repeatable_slice, begin_slice, in_one_commit, in_one_long_commit, once, with_retries,
};
pub use session::Unfit;
pub use url::{WrongUrl, read_url};

/// A page of a list: at most `limit` rows after the key `after`.
#[derive(Clone, Copy, Debug)]
pub struct Page<Key> {
    pub limit: i64,
    /// The key of the last row of the previous page.
    pub after: Option<Key>,
}
