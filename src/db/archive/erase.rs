//! Erases the archived rows of an opening, as inbox and outbox are erased.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::db::mentions::Mentions;
use crate::domain::{Opening, ProviderRef};

/// Erases the archived rows of an opening and of the `emptied` inbox facts; returns the ids of the facts. Call it after
/// erasing inbox and outbox: those statements wait for a move in progress, and only rows moved before are visible here.
pub async fn erase(
    connection: &mut PgConnection,
    opening: &Opening,
    mentions: &Mentions,
    emptied: &[Uuid],
    now: Time,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query!(
        r#"-- archive::erase
        update outbox_archive
           set payload = case when topic <> 'deliver_event' then '{}'::jsonb else payload end,
               attempt_log = (select coalesce(jsonb_agg(case when entry ? 'by' then entry || '{"cause": ""}' else entry end
                                                        order by n), '[]')
                                from jsonb_array_elements(attempt_log) with ordinality as log(entry, n))
         where opening_id = $1"#,
        opening.id.0,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query_scalar!(
        r#"-- archive::erase
        with about as materialized (
            select id from inbox_archive where opening_id = $1 or id = any($2)
             union
            select id from inbox_archive where opening_id is null and provider = $3 and provider_ref = $4
             union
            select id from inbox_archive
             where opening_id is null and provider_ref is null
               and (encode(body, 'escape') || headers::text ~ $5 or encode(body, 'escape') || headers::text ~* $7)
             union
            -- With the tracking id of nobody.
            select a.id from inbox_archive a
             where a.opening_id is null and a.provider_ref is not null
               and encode(a.body, 'escape') || a.headers::text ~* $7
               and not exists (select from account_openings o where o.provider = a.provider and o.provider_ref = a.provider_ref)
        )
        update inbox_archive
           set body = '', headers = '{}', erased_at = coalesce(erased_at, $6),
               attempt_log = (select coalesce(jsonb_agg(case when entry ? 'by' then entry || '{"cause": ""}' else entry end
                                                        order by n), '[]')
                                from jsonb_array_elements(attempt_log) with ordinality as log(entry, n))
         where id in (select id from about)
        returning id"#,
        opening.id.0,
        emptied,
        opening.request.provider,
        opening.state.reference().map(ProviderRef::as_str),
        mentions.ids,
        now,
        mentions.customer,
    )
    .fetch_all(connection)
    .await
}
