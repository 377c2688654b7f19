//! The facts about an opening, from inbox and archive.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::db::Page;

/// A fact as it came.
#[derive(Clone, Debug)]
pub struct OpeningFact {
    pub id: Uuid,
    /// Source, provider, times, and what became of it.
    pub about: Value,
    /// Without credentials, which are never kept.
    pub headers: Value,
    /// Empty: erased.
    pub body: Vec<u8>,
}

/// A page of the facts about an opening, in the order of their ids. A fact without an opening belongs to it by its tracking id.
pub async fn facts_of_opening(
    connection: &mut PgConnection,
    opening: Uuid,
    page: Page<Uuid>,
) -> sqlx::Result<Vec<OpeningFact>> {
    sqlx::query_as!(
        OpeningFact,
        r#"-- evidence::facts_of_opening
        with opening as (select id, provider, provider_ref from account_openings where id = $1),
        found as (
            select i.id, i.event_id, i.source, i.provider, i.part, i.provider_ref, i.received_at, i.status, i.outcome,
                   i.settled_at, i.duplicates, i.headers, i.body
              from opening o join inbox i
                on i.opening_id = o.id or (i.opening_id is null and i.provider = o.provider and i.provider_ref = o.provider_ref)
             where i.archived_at is null and i.id > $2
             union all
            select a.id, a.event_id, a.source, a.provider, a.part, a.provider_ref, a.received_at, a.status, a.outcome,
                   a.settled_at, a.duplicates, a.headers, a.body
              from opening o join inbox_archive a
                on a.opening_id = o.id or (a.opening_id is null and a.provider = o.provider and a.provider_ref = o.provider_ref)
             where a.id > $2
        )
        select id as "id!", headers as "headers!", body as "body!",
               jsonb_build_object('id', id, 'event_id', event_id, 'source', source, 'provider', provider, 'part', part,
                   'provider_reference', provider_ref, 'received_at', received_at, 'status', status, 'outcome', outcome,
                   'settled_at', settled_at, 'duplicates', duplicates) as "about!"
          from found
         order by id
         limit $3"#,
        opening,
        page.after.unwrap_or_default(),
        page.limit,
    )
    .fetch_all(connection)
    .await
}
