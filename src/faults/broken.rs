//! The service with one of its defences taken out, for the positive controls of the chaos run: a checker that does not catch
//! these proves nothing.
//!
//! It is compiled only with the feature `broken`, which in turn compiles only where `ACCOUNT_OPENING_BROKEN` is set for the
//! build; the defence is chosen by the variable `BROKEN` of the process, and production refuses to start. In any other
//! build none of this exists. What a defence is replaced by stands here, or beside it in a file of this name.

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
    /// What is missing.
    Defence {
        /// A webhook is answered when it is in memory.
        AckAfterCommit = "ack-before-commit",
        /// Whoever comes settles, whatever stands there.
        LeaseToken = "no-lease-token",
        /// An event's key is looked for before it is inserted, and two may look at once; a duplicate acts again.
        UniqueKey = "no-unique-key",
        /// Only the burst cache knows what was there.
        DurableDedup = "dedup-only-in-memory",
        /// Effects are written once the state is.
        OutboxInside = "outbox-outside-the-transaction",
        /// Who did not hear of his COMMIT does it all again.
        ReadAfterUnknown = "blind-repeat-after-unknown-commit",
        /// A connection is taken as it is, and whoever hangs up drops the work.
        PoolGuard = "no-pool-guard",
        /// The id of an effect is drawn, and another one when it is decided once more.
        EffectKeys = "random-effect-keys",
        /// Events are read in the order of the transactions that wrote them.
        EventOrder = "events-by-transaction",
        /// A session is trusted to have what it asked for when it began.
        SessionSettings = "trusted-startup-options",
    }
);

static POOL: OnceLock<PgPool> = OnceLock::new();

/// Whether this defence is out.
#[must_use]
pub fn lacks(defence: Defence) -> bool {
    static LACKS: OnceLock<Option<Defence>> = OnceLock::new();
    *LACKS.get_or_init(|| std::env::var("BROKEN").ok()?.parse().ok()) == Some(defence)
}

/// Says that the missing defence mattered just now: a run deals its faults until it has, and counts these lines.
pub fn mattered(defence: Defence) {
    tracing::warn!(broken = defence.as_str(), "the missing defence mattered");
}

/// What work outside its transaction runs on.
pub fn keep(pool: &PgPool) {
    let _ = POOL.set(pool.clone());
}

fn pool() -> sqlx::Result<&'static PgPool> {
    POOL.get().ok_or(sqlx::Error::PoolClosed)
}

/// Stores a message in the task of whoever waits for it: looks in one transaction, inserts without one.
///
/// # Errors
/// When the database is away.
pub async fn store(facts: &[NewFact]) -> Result<Stored, Unavailable> {
    let storing = async {
        let looking = pool()?.begin().await?;
        looking.commit().await?;
        let mut connection = pool()?.acquire().await?;
        // A statement by itself begins its transaction microseconds before it is executed; one that was left open began a round
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

/// Writes work a moment after the commit that it belongs to, if this process lives so long.
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

/// Acts on a duplicate as on a first one, where nothing but its key would tell.
#[must_use]
pub fn acted_again(mut decision: Decision) -> Decision {
    let twice = decision.outcome == Outcome::Duplicate && decision.opening.state_name() == StateName::IssuingCard;
    if twice && lacks(Defence::UniqueKey) {
        mattered(Defence::UniqueKey);
        decision.effects.push(Effect::Send(Command(Topic::IssueCard)));
    }
    decision
}
