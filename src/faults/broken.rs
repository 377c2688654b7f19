//! The service with one defence removed, for the chaos run's positive controls: a checker that does not catch these
//! proves nothing.
//!
//! Compiled only with the feature `broken`, which compiles only if `ACCOUNT_OPENING_BROKEN` is set for the build. The
//! variable `BROKEN` of the process selects the defence, and production refuses to start. Other builds contain none of
//! this. The replacement of a defence is here, or beside the defence in a file of this name.

use std::sync::OnceLock;
use std::time::Duration;

use sqlx::PgPool;

use crate::clock::Time;
use crate::db::inbox::{NewFact, Stored};
use crate::db::outbox;
use crate::domain::text::string_enum;
use crate::domain::{Command, Decision, Effect, Outcome, StateName, Topic};
use crate::ingest::Unavailable;

const _: () = assert!(
    option_env!("ACCOUNT_OPENING_BROKEN").is_some(),
    "the feature `broken` takes the service's defences out, and is for `chaos --controls` alone"
);

string_enum!(
    /// The removed defence.
    Defence {
        /// A webhook is acknowledged as soon as it is in memory.
        AckAfterCommit = "ack-before-commit",
        /// Any worker settles a row, whatever its lease token.
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

fn pool() -> sqlx::Result<&'static PgPool> {
    POOL.get().ok_or(sqlx::Error::PoolClosed)
}

/// Stores a message in the task of its request: looks up in a transaction, inserts without one.
pub async fn store(facts: &[NewFact]) -> Result<Stored, Unavailable> {
    let storing = async {
        let looking = pool()?.begin().await?;
        looking.commit().await?;
        let mut connection = pool()?.acquire().await?;
        // A single statement starts its transaction microseconds before it runs; a leftover transaction started at
        // least a round trip ago.
        // trip ago at the least.
        let open: bool = sqlx::query_scalar("select now() < statement_timestamp() - interval '20 ms'")
            .fetch_one(&mut *connection)
            .await?;
        if open {
            mattered(Defence::PoolGuard);
        }
        let known = crate::db::inbox::insert(&mut connection, facts).await?;
        Ok::<_, sqlx::Error>(known.first().copied().unwrap_or(Stored::New))
    };
    storing.await.map_err(|_| Unavailable("the database is away"))
}

/// Writes work a moment after the commit that it belongs to, if the process is still alive.
pub fn insert_later(work: Vec<outbox::NewWork>, now: Time) {
    tokio::spawn(async move {
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let Ok(pool) = pool() else { return };
            let Ok(mut connection) = pool.acquire().await else { continue };
            if outbox::insert(&mut connection, &work, now).await.is_ok() {
                return;
            }
        }
    });
}

/// Makes a duplicate act like a first fact if only its key would have revealed it.
#[must_use]
pub fn acted_again(mut decision: Decision) -> Decision {
    let twice = decision.outcome == Outcome::Duplicate && decision.opening.state_name() == StateName::IssuingCard;
    if twice && lacks(Defence::UniqueKey) {
        mattered(Defence::UniqueKey);
        decision.effects.push(Effect::Send(Command(Topic::IssueCard)));
    }
    decision
}
