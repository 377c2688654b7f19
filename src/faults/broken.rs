//! The service with one of its defences taken out, for the positive controls of the chaos run: a checker that does not catch
//! these proves nothing.
//!
//! It is compiled only with the feature `broken`, which in turn compiles only where `ACCOUNT_OPENING_BROKEN` is set for the
//! build; the defence is chosen by the variable `BROKEN` of the process, and production refuses to start. In any other
//! build none of this exists.

use std::collections::HashSet;
use std::sync::OnceLock;
use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::clock::Time;
use crate::db::inbox::{NewFact, Stored};
use crate::db::outbox;
use crate::domain::text::words;
use crate::domain::{Command, Decision, Effect, Outcome, StateName, Topic};
use crate::ingest::Unavailable;

const _: () = assert!(
    option_env!("ACCOUNT_OPENING_BROKEN").is_some(),
    "the feature `broken` takes the service's defences out, and is for `chaos --controls` alone"
);

words!(
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
    }
);

static POOL: OnceLock<PgPool> = OnceLock::new();

/// Whether this defence is out.
#[must_use]
pub fn lacks(defence: Defence) -> bool {
    static LACKS: OnceLock<Option<Defence>> = OnceLock::new();
    *LACKS.get_or_init(|| std::env::var("BROKEN").ok()?.parse().ok()) == Some(defence)
}

/// What work outside its transaction runs on.
pub fn keep(pool: &PgPool) {
    let _ = POOL.set(pool.clone());
}

fn pool() -> sqlx::Result<&'static PgPool> {
    POOL.get().ok_or(sqlx::Error::PoolClosed)
}

/// Stores facts without a key that would be unique.
///
/// # Errors
/// When the database is away.
pub async fn insert(connection: &mut PgConnection, facts: &[&NewFact]) -> sqlx::Result<HashSet<Uuid>> {
    let mut new = HashSet::new();
    for fact in facts {
        let known: bool =
            sqlx::query_scalar("select exists (select 1 from inbox where consumer_group = $1 and event_id = $2)")
                .bind(&fact.group)
                .bind(&fact.event_id)
                .fetch_one(&mut *connection)
                .await?;
        // Our own facts have no other defence than the key; what is to be shown is that of the bank's.
        let looks = lacks(Defence::UniqueKey) || fact.source == crate::domain::Source::Command;
        if known && looks {
            continue;
        }
        insert_one(connection, fact).await?;
        new.insert(fact.id);
    }
    Ok(new)
}

async fn insert_one(connection: &mut PgConnection, fact: &NewFact) -> sqlx::Result<()> {
    let (status, outcome) = fact.arrival.columns();
    sqlx::query(
        "insert into inbox (id, consumer_group, event_id, source, provider, part, body, body_digest, headers, opening_id,
                            provider_ref, received_at, retry_from, status, outcome, next_attempt_at, settled_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $13, $14, $12,
                 case when $13 = 'ignored' then $12 end)",
    )
    .bind(fact.id)
    .bind(&fact.group)
    .bind(&fact.event_id)
    .bind(fact.source.as_str())
    .bind(&fact.provider)
    .bind(fact.part)
    .bind(&fact.body)
    .bind(fact.digest.as_slice())
    .bind(&fact.headers)
    .bind(fact.opening_id)
    .bind(&fact.provider_ref)
    .bind(fact.received_at)
    .bind(status)
    .bind(outcome)
    .execute(connection)
    .await?;
    Ok(())
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
        let known = crate::db::inbox::insert(&mut connection, facts).await?;
        Ok::<_, sqlx::Error>(known.first().copied().unwrap_or(Stored::New))
    };
    storing.await.map_err(|_| Unavailable("the database is away"))
}

/// Ids, statuses, outcomes, times of the next try, counted attempts, entries of the log.
type Columns<'a> =
    (&'a [Uuid], &'a [&'static str], &'a [Option<&'a str>], &'a [Option<Time>], &'a [i32], &'a [serde_json::Value]);

/// Settles whatever stands there.
///
/// # Errors
/// When the database is away.
pub async fn settle(
    connection: &mut PgConnection,
    (ids, statuses, outcomes, next, attempts, logs): Columns<'_>,
    now: Time,
) -> sqlx::Result<HashSet<Uuid>> {
    sqlx::query(
        "update outbox o
            set status = n.status, outcome = n.outcome, next_attempt_at = coalesce(n.next, o.next_attempt_at),
                attempts = o.attempts + n.attempts, attempt_log = o.attempt_log || n.log,
                lease_token = null, lease_until = null,
                delivered_at = case when n.status = 'delivered' then $7::timestamptz end
           from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::int[], $6::jsonb[])
             as n(id, status, outcome, next, attempts, log)
          where o.id = n.id",
    )
    .bind(ids)
    .bind(statuses)
    .bind(outcomes)
    .bind(next)
    .bind(attempts)
    .bind(logs)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(ids.iter().copied().collect())
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
        decision.effects.push(Effect::Send(Command(Topic::IssueCard)));
    }
    decision
}
