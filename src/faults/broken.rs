//! The register of the service's defences, each of which a build for the chaos run's controls can remove.
//!
//! A judge that does not notice a missing defence proves nothing. So the feature `broken` compiles a replacement for each defence,
//! which stands beside the defence: in its file, or in a file `broken.rs` next to it. The variable `BROKEN` of the process chooses
//! one defence to remove. The feature compiles only where `ACCOUNT_OPENING_BROKEN` is set for the build, and such a build refuses
//! to start in production. No other build contains any of this.

use std::sync::OnceLock;

use sqlx::PgPool;

use crate::domain::text::string_enum;

const _: () = assert!(
    option_env!("ACCOUNT_OPENING_BROKEN").is_some(),
    "the feature `broken` takes the service's defences out, and is for `chaos --controls` alone"
);

string_enum!(
    /// The removed defence.
    Defence {
        /// A webhook is acknowledged as soon as it is in memory.
        AckAfterCommit = "ack-before-commit",
        /// Any worker settles a row, without checking the lease token.
        LeaseToken = "no-lease-token",
        /// An event's key is looked up before the insert, without a unique index: two writers may look at once, and a
        /// duplicate acts again.
        UniqueKey = "no-unique-key",
        /// Only the burst cache recognises duplicates.
        DurableDedup = "dedup-only-in-memory",
        /// Effects are written after the commit of the state.
        OutboxInside = "outbox-outside-the-transaction",
        /// After a COMMIT with unknown outcome the work is repeated without a check.
        ReadAfterUnknown = "blind-repeat-after-unknown-commit",
        /// Connections are used without a check, and a client that hangs up cancels the work.
        PoolGuard = "no-pool-guard",
        /// The id of an effect is random, and different if it is decided again.
        EffectKeys = "random-effect-keys",
        /// Events are read in the order of their transactions.
        EventOrder = "events-by-transaction",
        /// A session's startup options are trusted without reading them back.
        SessionSettings = "trusted-startup-options",
    }
);

static POOL: OnceLock<PgPool> = OnceLock::new();

/// Whether this defence is removed.
#[must_use]
pub fn lacks(defence: Defence) -> bool {
    static LACKS: OnceLock<Option<Defence>> = OnceLock::new();
    *LACKS.get_or_init(|| std::env::var("BROKEN").ok()?.parse().ok()) == Some(defence)
}

/// Logs that the missing defence mattered. A run deals its faults until it has, and counts these lines.
pub fn mattered(defence: Defence) {
    tracing::warn!(broken = defence.as_str(), "the missing defence mattered");
}

/// Saves the pool for work outside a transaction.
pub fn keep(pool: &PgPool) {
    let _ = POOL.set(pool.clone());
}

pub fn pool() -> sqlx::Result<&'static PgPool> {
    POOL.get().ok_or(sqlx::Error::PoolClosed)
}
