//! The timeline of an opening: facts, transitions, commands, tickets, cases and operators' acts, from tables and
//! archive.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Page;
use super::inbox::Pending;
use crate::clock::Time;
use crate::domain::{Opening, Source};

#[derive(Clone, Debug)]
pub struct Item {
    pub at: Time,
    /// Sorts items of the same time: acts and facts first, then their consequences.
    pub rank: i32,
    /// The id of the row.
    pub id: String,
    /// `webhook`, `poll`, `transition`, `create_profile`, `ticket`, `case`, …
    pub kind: String,
    /// The row's own columns.
    pub detail: Value,
}

/// The rank of inbox facts.
pub const FACT: i32 = 1;

/// Later than every item.
const END: Time = Time::MAX_UTC;

/// Longer bodies are not read, so that a page takes bounded memory.
const MAX_BODY: i32 = 16 * 1024;

/// Items after a place, in an order. Without bodies, which may contain personal data; dead letters show theirs.
macro_rules! items {
    ($connection:expr, $opening:expr, $place:expr, $limit:expr, $name:literal, $where:literal) => {{
        let (at, rank, id) = $place;
        sqlx::query_as!(
            Item,
            $name
                + r#"
            with facts as (
                select id, source, event_id, status, outcome, duplicates, last_duplicate_at, settled_at, received_at, headers,
                       attempt_log
                  from inbox where opening_id = $1 and archived_at is null
                 union all
                select id, source, event_id, status, outcome, duplicates, last_duplicate_at, settled_at, received_at, headers,
                       attempt_log
                  from inbox where status in ('pending', 'dead') and provider = $2 and provider_ref = $3
                               and opening_id is distinct from $1
                 union all
                -- Repeats, settled at their receipt, before their opening was known.
                select id, source, event_id, status, outcome, duplicates, last_duplicate_at, settled_at, received_at, headers,
                       attempt_log
                  from inbox where status = 'ignored' and opening_id is null and archived_at is null
                               and provider = $2 and provider_ref = $3
                 union all
                -- Copies are counted in the inbox as long as it has the key.
                select a.id, a.source, a.event_id, a.status, a.outcome, coalesce(i.duplicates, a.duplicates),
                       coalesce(i.last_duplicate_at, a.last_duplicate_at), a.settled_at, a.received_at, a.headers, a.attempt_log
                  from inbox_archive a left join inbox i on i.id = a.id
                 where a.opening_id = $1 or (a.opening_id is null and a.provider = $2 and a.provider_ref = $3)
            ), work as (
                select id, topic, status, outcome, claims, created_at, delivered_at, attempt_log
                  from outbox where opening_id = $1
                 union all
                select id, topic, status, outcome, claims, created_at, delivered_at, attempt_log
                  from outbox_archive where opening_id = $1
            ), items as (
                -- An act that is also a fact is one item, with what came of the fact.
                select a.at, 0 as rank, a.id::text as id, 'operator' as kind, jsonb_build_object('who', who, 'action', action,
                           'subject', subject, 'reason', reason, 'detail', detail, 'outcome', f.outcome) as detail
                  from operator_actions a left join facts f on f.source = 'operator' and right(f.event_id, 36) = a.id::text
                 where a.opening_id = $1
                 union all
                -- A fact has the rank FACT.
                select received_at, 1, id::text, source,
                       jsonb_build_object('event_id', event_id, 'status', status, 'outcome', outcome,
                           'duplicates', duplicates, 'last_duplicate_at', last_duplicate_at, 'settled_at', settled_at,
                           'by', headers ->> 'by', 'attempts', attempt_log)
                  from facts
                 where source <> 'operator' or right(event_id, 36) not in
                           (select id::text from operator_actions where opening_id = $1)
                 union all
                select at, 2, to_char(version, 'FM0000000000'), 'transition',
                       jsonb_build_object('version', version, 'from', from_state, 'to', to_state, 'event', event,
                           'source', source, 'inbox_id', inbox_id, 'detail', detail)
                  from opening_history where opening_id = $1
                 union all
                select created_at, 3, id::text, topic,
                       jsonb_build_object('status', status, 'outcome', outcome, 'claims', claims, 'delivered_at', delivered_at,
                           'attempts', attempt_log)
                  from work
                 union all
                select created_at, 4, id::text, 'ticket',
                       jsonb_build_object('kind', kind, 'status', status, 'summary', summary, 'reason', reason, 'link', link,
                           'updated_at', updated_at)
                  from tickets where opening_id = $1
                 union all
                select created_at, 5, id::text, 'case', jsonb_build_object('kind', kind, 'status', status, 'ours', ours,
                           'theirs', theirs, 'evidence', evidence, 'reason', reason)
                  from cases where opening_id = $1
            )
            select at as "at!", rank as "rank!", id as "id!", kind as "kind!", detail as "detail!"
              from items"#
                + $where,
            $opening.id.0,
            $opening.request.provider,
            $opening.state.reference().map(crate::domain::ProviderRef::as_str),
            at,
            rank,
            id,
            $limit,
        )
        .fetch_all($connection)
        .await
    }};
}

/// A page of the timeline, oldest first.
pub async fn list(
    connection: &mut PgConnection,
    opening: &Opening,
    page: Page<(Time, i32, String)>,
) -> sqlx::Result<Vec<Item>> {
    let place =
        page.after.map_or((Time::UNIX_EPOCH, 0, String::new()), |(at, rank, id)| (at.max(Time::UNIX_EPOCH), rank, id));
    items!(
        connection,
        opening,
        place,
        page.limit,
        "-- timeline::list",
        " where (at, rank, id) > ($4, $5, $6) order by at, rank, id limit $7"
    )
}

/// A page of the timeline, newest first.
pub async fn list_newest(
    connection: &mut PgConnection,
    opening: &Opening,
    page: Page<(Time, i32, String)>,
) -> sqlx::Result<Vec<Item>> {
    let place = page.after.unwrap_or((END, 0, String::new()));
    items!(
        connection,
        opening,
        place,
        page.limit,
        "-- timeline::list_newest",
        " where (at, rank, id) < ($4, $5, $6) order by at desc, rank desc, id desc limit $7"
    )
}

/// Our own calls whose last results are read: of all calls of an opening few have results, and the submission's is among them.
const MAX_RESULTS: i64 = 10;

/// The inbox facts of some items, with their bodies, also from the archive, to show the provider's status word. Long
/// and erased bodies are left out.
pub async fn facts(connection: &mut PgConnection, items: &[Item]) -> sqlx::Result<Vec<Pending>> {
    Ok(bodies(connection, items, Uuid::nil(), &[]).await?.into_iter().map(|(fact, _)| fact).collect())
}

/// The same, and the last fact of each of these sources about the opening (of commands the last `MAX_RESULTS`), each with
/// whether it is one of the last: that does not depend on the items.
pub async fn facts_and_last(
    connection: &mut PgConnection,
    items: &[Item],
    opening: &Opening,
    sources: &[Source],
) -> sqlx::Result<Vec<(Pending, bool)>> {
    bodies(connection, items, opening.id.0, sources).await
}

async fn bodies(
    connection: &mut PgConnection,
    items: &[Item],
    opening: Uuid,
    sources: &[Source],
) -> sqlx::Result<Vec<(Pending, bool)>> {
    let ids: Vec<Uuid> =
        items.iter().filter(|it| it.rank == FACT).filter_map(|it| Uuid::try_parse(&it.id).ok()).collect();
    let sources: Vec<&str> = sources.iter().map(|it| it.as_str()).collect();
    let rows = sqlx::query!(
        r#"-- timeline::facts
        with last as (
            select last.id
              from unnest($4::text[]) as asked(source)
             cross join lateral (select case when asked.source = 'command' then $5::bigint else 1 end as n) as most
             cross join lateral (
                 select id
                   from ((select id from inbox
                           where opening_id = $3 and source = asked.source and archived_at is null
                           order by id desc limit most.n)
                          union all
                         (select id from inbox_archive
                           where opening_id = $3 and source = asked.source order by id desc limit most.n)) as either
                  order by id desc limit most.n) as last
        ), wanted as (
            select unnest($1::uuid[]) as id union select id from last
        )
        select id as "id!", source as "source!", provider as "provider!", part as "part!", body as "body!",
               headers as "headers!", opening_id, provider_ref, received_at as "received_at!", retry_from as "retry_from!",
               attempts as "attempts!", id in (select id from last) as "is_last!"
          from (select id, source, provider, part, body, headers, opening_id, provider_ref, received_at, retry_from, attempts
                  from inbox where id in (select id from wanted)
                 union all
                select id, source, provider, part, body, headers, opening_id, provider_ref, received_at, received_at, attempts
                  from inbox_archive where id in (select id from wanted)) as facts
         where octet_length(body) between 1 and $2"#,
        &ids,
        MAX_BODY,
        opening,
        &sources as &[&str],
        MAX_RESULTS,
    )
    .fetch_all(connection)
    .await?;
    let fact = rows.into_iter().map(|it| {
        let pending = Pending {
            id: it.id,
            source: it.source,
            provider: it.provider,
            part: it.part,
            body: it.body,
            headers: it.headers,
            opening_id: it.opening_id,
            provider_ref: it.provider_ref,
            received_at: it.received_at,
            retry_from: it.retry_from,
            attempts: it.attempts,
        };
        (pending, it.is_last)
    });
    Ok(fact.collect())
}
