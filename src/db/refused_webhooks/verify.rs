//! Selects refused webhooks for another verification and marks the result.
//!
//! A webhook that is still refused is marked with the secrets that were tried (`checked_by`): the same secrets would
//! refuse it again, so later runs skip it, and interrupted runs still make progress.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Cause;
use crate::clock::Time;

/// The filter of a verification run.
#[derive(Clone, Debug, Default)]
pub struct ReverifyFilter {
    pub provider: Option<String>,
    pub cause: Option<Cause>,
    /// Received at this time or later.
    pub since: Option<Time>,
    /// Received before this time.
    pub until: Option<Time>,
}

#[derive(Clone, Debug)]
pub struct Candidate {
    pub id: Uuid,
    pub provider: String,
    pub received_at: Time,
    pub method: String,
    pub path: String,
    pub headers: Value,
    pub body: Vec<u8>,
}

/// A webhook that verified and was stored in the inbox.
#[derive(Clone, Debug)]
pub struct Believed {
    pub id: Uuid,
    pub event_id: String,
    /// The inbox's answer.
    pub outcome: &'static str,
}

/// A webhook that is still refused.
#[derive(Clone, Debug)]
pub struct StillRefused {
    pub id: Uuid,
    /// The secrets that were tried.
    pub by: String,
}

/// Webhooks worth another verification, oldest first: with a body, of a provider in `by`, and not yet refused by that
/// provider's current secrets.
pub async fn candidates(
    connection: &mut PgConnection,
    asked: &ReverifyFilter,
    by: &[(String, String)],
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Candidate>> {
    let (providers, checks): (Vec<String>, Vec<String>) = by.iter().cloned().unzip();
    sqlx::query_as!(
        Candidate,
        r#"-- refused_webhooks::candidates
        select r.id, r.provider, r.received_at, r.method, r.path, r.headers, r.body as "body!"
          from rejected_requests r
          join unnest($1::text[], $2::text[]) as p(provider, checked_by) on p.provider = r.provider
         where r.verified_at is null and r.body is not null and r.checked_by is distinct from p.checked_by
           and ($3::text is null or r.provider = $3) and ($4::text is null or r.cause = $4)
           and ($5::timestamptz is null or r.received_at >= $5) and ($6::timestamptz is null or r.received_at < $6)
           and ($7::uuid is null or r.id > $7)
         order by r.id
         limit $8"#,
        &providers,
        &checks,
        asked.provider,
        asked.cause.map(Cause::as_str),
        asked.since,
        asked.until,
        after,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// The number of those left.
pub async fn remaining(
    connection: &mut PgConnection,
    asked: &ReverifyFilter,
    by: &[(String, String)],
) -> sqlx::Result<i64> {
    let (providers, checks): (Vec<String>, Vec<String>) = by.iter().cloned().unzip();
    sqlx::query_scalar!(
        r#"-- refused_webhooks::remaining
        select count(*) as "count!"
          from rejected_requests r
          join unnest($1::text[], $2::text[]) as p(provider, checked_by) on p.provider = r.provider
         where r.verified_at is null and r.body is not null and r.checked_by is distinct from p.checked_by
           and ($3::text is null or r.provider = $3) and ($4::text is null or r.cause = $4)
           and ($5::timestamptz is null or r.received_at >= $5) and ($6::timestamptz is null or r.received_at < $6)"#,
        &providers,
        &checks,
        asked.provider,
        asked.cause.map(Cause::as_str),
        asked.since,
        asked.until,
    )
    .fetch_one(connection)
    .await
}

/// Marks the results. The first success is final.
pub async fn mark(
    connection: &mut PgConnection,
    believed: &[Believed],
    still: &[StillRefused],
    action: Uuid,
    now: Time,
) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = believed.iter().map(|it| it.id).collect();
    let events: Vec<String> = believed.iter().map(|it| it.event_id.clone()).collect();
    let outcomes: Vec<String> = believed.iter().map(|it| it.outcome.to_owned()).collect();
    sqlx::query!(
        r#"-- refused_webhooks::mark_verified
        update rejected_requests r
           set verified_at = $4, event_id = n.event_id, outcome = n.outcome, action_id = $5
          from unnest($1::uuid[], $2::text[], $3::text[]) as n(id, event_id, outcome)
         where r.id = n.id and r.verified_at is null"#,
        &ids,
        &events,
        &outcomes,
        now,
        action,
    )
    .execute(&mut *connection)
    .await?;
    let ids: Vec<Uuid> = still.iter().map(|it| it.id).collect();
    let by: Vec<String> = still.iter().map(|it| it.by.clone()).collect();
    sqlx::query!(
        r#"-- refused_webhooks::mark_checked
        update rejected_requests r
           set checked_by = n.checked_by
          from unnest($1::uuid[], $2::text[]) as n(id, checked_by)
         where r.id = n.id and r.verified_at is null"#,
        &ids,
        &by,
    )
    .execute(connection)
    .await?;
    Ok(())
}
