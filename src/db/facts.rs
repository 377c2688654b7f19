//! A fact of an opening, whole: its bytes, its outcome, and the changes that it caused.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::inbox::Pending;
use crate::clock::Time;
use crate::domain::{Opening, ProviderRef};

#[derive(Clone, Debug)]
pub struct Whole {
    /// As a worker reads it.
    pub row: Pending,
    pub event_id: String,
    pub status: String,
    pub outcome: Option<String>,
    pub duplicates: i32,
    pub last_duplicate_at: Option<Time>,
    pub settled_at: Option<Time>,
    pub erased_at: Option<Time>,
}

/// A fact about an opening, from the inbox or the archive. None: there is none, or it is about another opening.
pub async fn get(connection: &mut PgConnection, opening: &Opening, id: Uuid) -> sqlx::Result<Option<Whole>> {
    let row = sqlx::query!(
        r#"-- facts::get
        with facts as (
            select id, source, provider, part, body, headers, opening_id, provider_ref, received_at, retry_from, attempts,
                   event_id, status, outcome, duplicates, last_duplicate_at, settled_at, erased_at
              from inbox where id = $1 and archived_at is null
             union all
            select id, source, provider, part, body, headers, opening_id, provider_ref, received_at, received_at, attempts,
                   event_id, status, outcome, duplicates, last_duplicate_at, settled_at, erased_at
              from inbox_archive where id = $1
        )
        select id as "id!", source as "source!", provider as "provider!", part as "part!", body as "body!",
               headers as "headers!", opening_id, provider_ref, received_at as "received_at!", retry_from as "retry_from!",
               attempts as "attempts!", event_id as "event_id!", status as "status!", outcome, duplicates as "duplicates!",
               last_duplicate_at, settled_at, erased_at
          from facts
         where opening_id = $2 or (provider = $3 and provider_ref = $4)"#,
        id,
        opening.id.0,
        opening.request.provider,
        opening.state.reference().map(ProviderRef::as_str),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|it| Whole {
        row: Pending {
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
        },
        event_id: it.event_id,
        status: it.status,
        outcome: it.outcome,
        duplicates: it.duplicates,
        last_duplicate_at: it.last_duplicate_at,
        settled_at: it.settled_at,
        erased_at: it.erased_at,
    }))
}

/// A change that a fact made.
#[derive(Clone, Debug)]
pub struct Change {
    /// `transition`: a step of the history; `case`: a disagreement.
    pub kind: String,
    pub at: Time,
    /// The version after the step; none for a case.
    pub version: Option<i64>,
    pub from_state: Option<String>,
    /// The state after the step, or the kind of the case.
    pub what: String,
    /// Of a case.
    pub case_id: Option<Uuid>,
}

/// The changes that a fact caused, in order.
pub async fn changes(connection: &mut PgConnection, opening: Uuid, fact: Uuid) -> sqlx::Result<Vec<Change>> {
    sqlx::query_as!(
        Change,
        r#"-- facts::changes
        select kind as "kind!", at as "at!", version, from_state, what as "what!", case_id
          from (select 'transition' as kind, at, version, from_state, to_state as what, null::uuid as case_id
                  from opening_history where opening_id = $1 and inbox_id = $2
                 union all
                select 'case', created_at, null, null, kind, id from cases where opening_id = $1 and $2 = any(evidence)) as changes
         order by at, version"#,
        opening,
        fact,
    )
    .fetch_all(connection)
    .await
}

/// The headers of a fact as text.
#[must_use]
pub fn headers(whole: &Whole) -> Option<&Value> {
    Some(&whole.row.headers).filter(|it| it.as_object().is_some_and(|it| !it.is_empty()))
}
