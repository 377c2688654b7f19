//! Parked facts, which match nothing yet: retried, and dead in the end.

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;

/// Parks facts until the given times.
pub async fn park(connection: &mut PgConnection, parked: &[(Uuid, Time)]) -> sqlx::Result<()> {
    if parked.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = parked.iter().map(|(id, _)| *id).collect();
    let times: Vec<Time> = parked.iter().map(|(_, at)| *at).collect();
    sqlx::query!(
        r#"-- inbox::park
        update inbox i set outcome = 'parked', due_at = n.at
          from unnest($1::uuid[], $2::timestamptz[]) as n(id, at)
         where i.id = n.id and i.status = 'pending'"#,
        &ids,
        &times,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes parked facts due that may match now, by a newly stored tracking id or a moved opening; returns the number.
/// Call it after the commit; a fact parked concurrently checks for itself ([`unpark_matched`]). Only a speed-up: parked
/// facts are retried anyway.
pub async fn unpark(
    connection: &mut PgConnection,
    openings: &[Uuid],
    references: &[(String, String)],
    now: Time,
) -> sqlx::Result<u64> {
    if openings.is_empty() && references.is_empty() {
        return Ok(0);
    }
    let (providers, references): (Vec<String>, Vec<String>) = references.iter().cloned().unzip();
    let done = sqlx::query!(
        r#"-- inbox::unpark
        -- A look at an index for each opening and each reference, whatever the planner believes of the queue's length.
        with waiting as materialized (
            select i.id from unnest($1::uuid[]) as n(opening_id)
             cross join lateral (select id from inbox
                                  where opening_id = n.opening_id and outcome = 'parked' and (due_at > $4) is true
                                 offset 0) i
             union
            select i.id from unnest($2::text[], $3::text[]) as n(provider, reference)
             cross join lateral (select id from inbox
                                  where provider = n.provider and provider_ref = n.reference
                                    and status = 'pending' and outcome = 'parked' and (due_at > $4) is true
                                 offset 0) i
             order by 1
        ), free as materialized (
            -- One that a worker holds is being looked at this moment.
            select i.id from waiting
             cross join lateral (select id from inbox
                                  where id = waiting.id and outcome = 'parked' and (due_at > $4) is true
                                    for update skip locked) i
        )
        update inbox i
           set due_at = $4,
               -- It is known by now whose it is: it need not wait among those of nobody.
               lane = case when lane <> '' then lane
                           else coalesce((select market from account_openings o
                                           where (o.provider, o.provider_ref) = (i.provider, i.provider_ref)),
                                         (select market from account_openings o where o.id = i.opening_id), '') end
         where id in (select id from free)"#,
        openings,
        &providers,
        &references,
        now,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Makes facts due that the caller's last commit parked although their match was stored meanwhile.
pub async fn unpark_matched(connection: &mut PgConnection, parked: &[Uuid], now: Time) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        r#"-- inbox::unpark_matched
        update inbox i set due_at = $2, lane = case when i.lane <> '' then i.lane else o.market end
          from account_openings o
         where i.id = any($1) and i.outcome = 'parked' and (i.due_at > $2) is true
           and o.provider = i.provider and o.provider_ref = i.provider_ref"#,
        parked,
        now,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// The query for an older unread fact.
#[derive(Clone, Debug)]
pub struct Unread {
    /// The fact's id; only older ones count.
    pub than: Uuid,
    pub opening_id: Uuid,
    pub provider: String,
    pub provider_ref: String,
}

/// Which of these have an older unread fact about the same opening. Ignores facts in `hands` (claimed and considered by
/// the caller) and facts parked for later: an unmatched fact holds nothing up.
pub async fn older_unread(
    connection: &mut PgConnection,
    asked: &[Unread],
    hands: &[Uuid],
    now: Time,
) -> sqlx::Result<Vec<Uuid>> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let facts: Vec<Uuid> = asked.iter().map(|it| it.than).collect();
    let openings: Vec<Uuid> = asked.iter().map(|it| it.opening_id).collect();
    let providers: Vec<String> = asked.iter().map(|it| it.provider.clone()).collect();
    let references: Vec<String> = asked.iter().map(|it| it.provider_ref.clone()).collect();
    sqlx::query_scalar!(
        r#"-- inbox::older_unread
        select asked.fact as "fact!"
          from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) as asked(fact, opening_id, provider, reference)
         where exists (select 1 from inbox i
                        where i.opening_id = asked.opening_id and i.status = 'pending'
                          and (i.outcome is distinct from 'parked' or i.due_at <= $6)
                          and i.id < asked.fact and not i.id = any($5))
            or exists (select 1 from inbox i
                        where i.provider = asked.provider and i.provider_ref = asked.reference
                          and i.status = 'pending' and (i.outcome is distinct from 'parked' or i.due_at <= $6)
                          and i.id < asked.fact and not i.id = any($5))"#,
        &facts,
        &openings,
        &providers,
        &references,
        hands,
        now,
    )
    .fetch_all(connection)
    .await
}

/// Makes parked facts received before `cutoff` dead letters, at most `limit`; returns the number.
pub async fn expire_parked(connection: &mut PgConnection, cutoff: Time, now: Time, limit: i64) -> sqlx::Result<u64> {
    let entry = json!([{"at": now, "class": "expired", "cause": "matched no opening within PARKED_TTL"}]);
    let done = sqlx::query!(
        r#"-- inbox::expire_parked
        update inbox set status = 'dead', outcome = 'no_matching_opening', due_at = null, attempt_log = attempt_log || $3
         where id in (select id from inbox
                       where due_at is not null and outcome = 'parked' and retry_from <= $1
                       limit $2 for update skip locked)"#,
        cutoff,
        limit,
        entry,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
