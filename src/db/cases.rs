//! `cases`: disagreements that a person judges.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Page;
use crate::clock::Time;
use crate::domain::{Case, OpeningId};

/// A case as it is read back.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns of cases")]
pub struct Row {
    pub id: Uuid,
    pub opening_id: Uuid,
    pub kind: String,
    pub ours: Value,
    pub theirs: Value,
    pub evidence: Vec<Uuid>,
    pub status: String,
    pub reason: Option<String>,
    pub created_at: Time,
}

/// Opens cases. The same cause again opens nothing: returned are the ids of those that are new.
///
/// # Errors
/// When the database is away.
pub async fn insert(
    connection: &mut PgConnection,
    cases: &[(Uuid, OpeningId, &Case)],
    now: Time,
) -> sqlx::Result<Vec<Uuid>> {
    if cases.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = cases.iter().map(|(id, ..)| *id).collect();
    let openings: Vec<Uuid> = cases.iter().map(|(_, opening, _)| opening.0).collect();
    let kinds: Vec<String> = cases.iter().map(|(.., case)| case.kind.to_string()).collect();
    let keys: Vec<String> = cases.iter().map(|(.., case)| case.cause.clone()).collect();
    let ours: Vec<Value> = cases.iter().map(|(.., case)| case.ours.clone()).collect();
    let theirs: Vec<Value> = cases.iter().map(|(.., case)| case.theirs.clone()).collect();
    let evidence: Vec<Uuid> = cases.iter().map(|(.., case)| case.evidence.0).collect();
    sqlx::query_scalar!(
        r#"-- cases::insert
        insert into cases (id, opening_id, kind, cause, ours, theirs, evidence, status, created_at)
        select id, opening_id, kind, cause, ours, theirs, array[evidence], 'open', $8
          from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::jsonb[], $6::jsonb[], $7::uuid[])
            as n(id, opening_id, kind, cause, ours, theirs, evidence)
        on conflict on constraint one_case_per_cause do nothing
        returning id"#,
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
    .await
}

/// A page of cases, newest first.
///
/// # Errors
/// When the database is away.
pub async fn list(
    connection: &mut PgConnection,
    status: Option<&str>,
    opening: Option<Uuid>,
    page: Page<Uuid>,
) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"-- cases::list
        select id, opening_id, kind, ours, theirs, evidence, status, reason, created_at
          from cases
         where ($1::text is null or status = $1)
           and ($2::uuid is null or opening_id = $2)
           and ($3::uuid is null or id < $3)
         order by id desc
         limit $4"#,
        status,
        opening,
        page.after,
        page.limit,
    )
    .fetch_all(connection)
    .await
}
