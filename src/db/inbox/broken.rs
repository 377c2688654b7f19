//! An inbox without its unique key; only in builds for the chaos run's controls.

use std::collections::HashSet;

use sqlx::PgConnection;
use uuid::Uuid;

use super::NewFact;
use crate::domain::Source;
use crate::faults::broken::{Defence, lacks, mattered};

/// Stores facts without a unique key.
pub async fn insert(connection: &mut PgConnection, facts: &[&NewFact]) -> sqlx::Result<HashSet<Uuid>> {
    let mut fresh = Vec::new();
    for fact in facts {
        let known: bool =
            sqlx::query_scalar("select exists (select 1 from inbox where consumer_group = $1 and event_id = $2)")
                .bind(&fact.group)
                .bind(&fact.event_id)
                .fetch_one(&mut *connection)
                .await?;
        // Our own facts have no defence but the key; the control is about the bank's facts.
        let looks = lacks(Defence::UniqueKey) || fact.source == Source::Command;
        if known && !looks {
            mattered(Defence::DurableDedup);
        }
        if !known || !looks {
            fresh.push(*fact);
        }
    }
    // Between lookup and insert, another replica may have looked, too.
    for fact in &fresh {
        insert_one(connection, fact).await?;
    }
    Ok(fresh.into_iter().map(|fact| fact.id).collect())
}

async fn insert_one(connection: &mut PgConnection, fact: &NewFact) -> sqlx::Result<()> {
    let (status, outcome) = fact.arrival.columns();
    sqlx::query(
        "insert into inbox (id, consumer_group, event_id, source, provider, part, body, body_digest, headers, opening_id,
                            provider_ref, received_at, retry_from, status, outcome, due_at, settled_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10, $11, $12, $12, $13, $14, case when $13 = 'pending' then $12 end,
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
