//! When an operator erases an opening's personal data, its facts lose their content and keep the record of their arrival.
//!
//! The body's digest stays, so that the same event is still recognised as a duplicate (P4).

use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::clock::Time;
use crate::db::mentions::Mentions;
use crate::domain::{Opening, ProviderRef};

/// Empties every fact about an opening, and settles waiting ones, which have no meaning any more. Skips facts locked by
/// a worker: the worker waits for the anchor, which the caller has locked, and empties the fact when it settles it.
/// Returns the ids of emptied facts.
pub async fn erase(
    connection: &mut PgConnection,
    opening: &Opening,
    mentions: &Mentions,
    now: Time,
) -> sqlx::Result<Vec<Uuid>> {
    let ids = found(connection, opening, mentions).await?;
    sqlx::query!(
        r#"-- inbox::erase
        with free as materialized (
            select id from inbox
             where id = any($1) and status = 'pending'
             order by consumer_group, event_id
               for update skip locked
        )
        update inbox set status = 'ignored', outcome = 'superseded', due_at = null, opening_id = $2, settled_at = $3
         where id in (select id from free)"#,
        &ids,
        opening.id.0,
        now,
    )
    .execute(&mut *connection)
    .await?;
    // Lock order: by key, as inserts that count duplicates.
    sqlx::query_scalar!(
        r#"-- inbox::erase
        select id from inbox
         where id = any($1) and status <> 'pending'
         order by consumer_group, event_id
           for no key update"#,
        &ids,
    )
    .fetch_all(&mut *connection)
    .await?;
    // Ingest stores a repeat beside its original under the original's lock. With these facts locked, all stored repeats
    // are visible and no further one is stored.
    let ids = found(connection, opening, mentions).await?;
    empty(connection, &ids, now).await?;
    Ok(ids)
}

async fn found(connection: &mut PgConnection, opening: &Opening, mentions: &Mentions) -> sqlx::Result<Vec<Uuid>> {
    let mut ids = about(connection, opening, mentions).await?;
    if let Some(customer) = &mentions.customer {
        ids.extend(about_customer(connection, customer).await?);
    }
    Ok(ids)
}

/// Facts linked to the opening, or that name its tracking id. Not facts that name it by our id but another one by
/// tracking id: those are about the other. A fact discarded before the tracking id was known names no opening. Also
/// unreadable and ignored facts that contain one of the opening's ids.
async fn about(connection: &mut PgConnection, opening: &Opening, mentions: &Mentions) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"-- inbox::about
        select i.id as "id!" from inbox i
         where i.opening_id = $1
           and (i.status in ('applied', 'ignored') or i.provider_ref is null
                or not exists (select from account_openings o
                                where o.provider = i.provider and o.provider_ref = i.provider_ref and o.id <> $1))
         union
        select id from inbox
         where status in ('pending', 'dead') and provider = $2 and provider_ref = $3
         union
        select id from inbox
         where status = 'ignored' and opening_id is null and provider = $2 and provider_ref = $3
         union
        select id from inbox
         where opening_id is null and provider_ref is null and encode(body, 'escape') || headers::text ~ $4"#,
        opening.id.0,
        opening.request.provider,
        opening.state.reference().map(ProviderRef::as_str),
        mentions.ids,
    )
    .fetch_all(connection)
    .await
}

/// Facts that mention a customer but no existing opening: unknown types, unreadable facts, foreign ids. Plan: partial
/// indexes of unlinked, dead and discarded facts, so the rest of the inbox is not read. A waiting fact with an unknown
/// tracking id is skipped: it may be another opening's answer.
async fn about_customer(connection: &mut PgConnection, customer: &str) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"-- inbox::about_customer
        select id as "id!" from inbox
         where opening_id is null and provider_ref is null and encode(body, 'escape') || headers::text ~* $1
         union
        select i.id from inbox i
         where i.status = 'dead' and encode(i.body, 'escape') || i.headers::text ~* $1
           and not exists (select from account_openings o where o.id = i.opening_id)
           and not exists (select from account_openings o where o.provider = i.provider and o.provider_ref = i.provider_ref)
         union
        select i.id from inbox i
         where i.status = 'ignored' and i.opening_id is null and i.provider_ref is not null
           and encode(i.body, 'escape') || i.headers::text ~* $1
           and not exists (select from account_openings o where o.provider = i.provider and o.provider_ref = i.provider_ref)"#,
        customer,
    )
    .fetch_all(connection)
    .await
}

/// Empties facts that told other openings about this one's account: the evidence of `cases`, and repeats of it. Returns
/// the ids of emptied facts.
pub async fn erase_evidence(
    connection: &mut PgConnection,
    opening: &Opening,
    cases: &[Uuid],
    now: Time,
) -> sqlx::Result<Vec<Uuid>> {
    let ids = sqlx::query_scalar!(
        r#"-- inbox::erase_evidence
        select i.id from inbox i
         where i.status <> 'pending'
           and (i.id in (select unnest(c.evidence) from cases c where c.id = any($1))
                or (i.opening_id in (select c.opening_id from cases c where c.id = any($1)) and i.outcome = 'conflict'
                    and position(lower($2) in lower(replace(encode(i.body, 'escape'), ' ', ''))) > 0))
         order by i.consumer_group, i.event_id
           for no key update of i"#,
        cases,
        opening.state.account().map(|it| it.iban.as_str()),
    )
    .fetch_all(&mut *connection)
    .await?;
    empty(connection, &ids, now).await?;
    Ok(ids)
}

/// Empties settled or dead facts, including operators' texts about them.
pub async fn empty(connection: &mut PgConnection, ids: &[Uuid], now: Time) -> sqlx::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"-- inbox::empty
        update inbox
           set body = '', headers = '{}', erased_at = coalesce(erased_at, $2),
               attempt_log = (select coalesce(jsonb_agg(case when entry ? 'by' then entry || '{"cause": ""}' else entry end
                                                        order by n), '[]')
                                from jsonb_array_elements(attempt_log) with ordinality as log(entry, n))
         where id = any($1) and status <> 'pending'"#,
        ids,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Empties dead letters that arrived or died after their opening was erased, at most `limit`; returns the number. Runs
/// in its own transaction, so that no letter is redriven between lookup and update.
pub async fn erase_late(connection: &mut PgConnection, now: Time, limit: i64) -> sqlx::Result<u64> {
    // Usually nothing was erased, or nothing is dead.
    let may_be = sqlx::query_scalar!(
        r#"-- inbox::may_be_late
        select exists (select from account_openings where erased_at is not null)
           and exists (select from inbox where status = 'dead') as "may_be!""#,
    )
    .fetch_one(&mut *connection)
    .await?;
    if !may_be {
        return Ok(0);
    }
    let mut transaction = connection.begin().await?;
    let late = sqlx::query_scalar!(
        r#"-- inbox::erase_late
        select i.id as "id!"
          from inbox i
          left join account_openings r on r.provider = i.provider and r.provider_ref = i.provider_ref
          left join account_openings n on n.id = i.opening_id
         where i.status = 'dead' and i.erased_at is null
           and coalesce(r.erased_at, case when r.id is null then n.erased_at end) is not null
         order by i.consumer_group, i.event_id
         limit $1
           for no key update of i skip locked"#,
        limit,
    )
    .fetch_all(&mut *transaction)
    .await?;
    empty(&mut transaction, &late, now).await?;
    transaction.commit().await?;
    Ok(late.len() as u64)
}
