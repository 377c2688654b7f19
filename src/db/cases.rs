//! `cases`: disagreements that an operator judges.

use std::collections::HashMap;

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Page;
use crate::clock::Time;
use crate::domain::{Case, OpeningId};

#[derive(Clone, Debug)]
pub struct Row {
    pub id: Uuid,
    pub opening_id: Uuid,
    pub kind: String,
    pub ours: Value,
    pub theirs: Value,
    pub evidence: Vec<Uuid>,
    pub status: String,
    pub reason: Option<String>,
    pub resolved_by: Option<String>,
    pub resolved_at: Option<Time>,
    pub created_at: Time,
}

/// The result of resolving a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// Closed now; the case's opening.
    Now(Uuid),
    /// The same operator closed it earlier with the same reason.
    Already,
    /// Closed earlier by another operator or with another reason.
    Otherwise,
    NotFound,
}

/// Opens cases; a cause that is known already opens nothing. Returns the ids of the new cases, each with the number of
/// earlier cases of its opening.
pub async fn insert(
    connection: &mut PgConnection,
    cases: &[(Uuid, OpeningId, &Case)],
    now: Time,
) -> sqlx::Result<HashMap<Uuid, i64>> {
    if cases.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<Uuid> = cases.iter().map(|(id, ..)| *id).collect();
    let openings: Vec<Uuid> = cases.iter().map(|(_, opening, _)| opening.0).collect();
    let kinds: Vec<String> = cases.iter().map(|(.., case)| case.kind.to_string()).collect();
    let keys: Vec<String> = cases.iter().map(|(.., case)| case.cause.clone()).collect();
    let ours: Vec<Value> = cases.iter().map(|(.., case)| case.ours.clone()).collect();
    let theirs: Vec<Value> = cases.iter().map(|(.., case)| case.theirs.clone()).collect();
    let evidence: Vec<Uuid> = cases.iter().map(|(.., case)| case.evidence.0).collect();
    let new = sqlx::query!(
        r#"-- cases::insert
        insert into cases as c (id, opening_id, kind, cause, ours, theirs, evidence, status, created_at)
        select id, opening_id, kind, cause, ours, theirs, array[evidence], 'open', $8
          from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::jsonb[], $6::jsonb[], $7::uuid[])
            as n(id, opening_id, kind, cause, ours, theirs, evidence)
        on conflict on constraint one_case_per_cause do nothing
        returning c.id, (select count(*) from cases held where held.opening_id = c.opening_id) as "before!""#,
        &ids,
        &openings,
        &kinds,
        &keys,
        &ours,
        &theirs,
        &evidence,
        now,
    )
    .fetch_all(connection)
    .await?;
    Ok(new.into_iter().map(|row| (row.id, row.before)).collect())
}

pub async fn list(
    connection: &mut PgConnection,
    status: Option<&str>,
    opening: Option<Uuid>,
    page: Page<Uuid>,
) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"-- cases::list
        select id, opening_id, kind, ours, theirs, evidence, status, reason, resolved_by, resolved_at, created_at
          from cases
         where ($1::text is null or status = $1)
           and ($2::uuid is null or opening_id = $2)
           and id < $3
         order by id desc
         limit $4"#,
        status,
        opening,
        page.after.unwrap_or(Uuid::max()),
        page.limit,
    )
    .fetch_all(connection)
    .await
}

/// Closes a case with the operator's reason. Idempotent.
pub async fn resolve(
    connection: &mut PgConnection,
    id: Uuid,
    who: &str,
    why: &str,
    now: Time,
) -> sqlx::Result<Resolved> {
    let opening = sqlx::query_scalar!(
        r#"-- cases::resolve
        update cases set status = 'resolved', reason = $3, resolved_by = $2, resolved_at = $4
         where id = $1 and status = 'open'
        returning opening_id"#,
        id,
        who,
        why,
        now,
    )
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(opening) = opening {
        return Ok(Resolved::Now(opening));
    }
    let same = sqlx::query_scalar!(
        r#"-- cases::resolve
        select coalesce(resolved_by = $2 and reason = $3, false) as "same!" from cases where id = $1"#,
        id,
        who,
        why,
    )
    .fetch_optional(connection)
    .await?;
    Ok(same.map_or(Resolved::NotFound, |same| if same { Resolved::Already } else { Resolved::Otherwise }))
}

/// Erases the cases of an opening. A cause may be an IBAN, and its hash could be found by trial, so the case's own id,
/// which is unique, replaces it.
pub async fn erase(connection: &mut PgConnection, opening: OpeningId) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- cases::erase
        update cases
           set cause = 'erased:' || id, ours = '{}', theirs = '{}',
               reason = case when reason is not null then 'erased' end
         where opening_id = $1"#,
        opening.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Erases this opening's IBAN from the cases of other openings. That this opening held the value stays recorded, and
/// tracking ids stay as in every table. Returns the ids of these cases.
pub async fn erase_held_by(connection: &mut PgConnection, opening: OpeningId) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"-- cases::erase_held_by
        update cases
           set cause = case when kind = 'reference_held_elsewhere' then cause else 'erased:' || id end,
               theirs = jsonb_build_object('held_by', theirs -> 'held_by'),
               reason = case when reason is not null then 'erased' end
         where theirs ->> 'held_by' = $1 and opening_id <> $2
        returning id"#,
        opening.0.to_string(),
        opening.0,
    )
    .fetch_all(connection)
    .await
}
