//! `cases`: disagreements that an operator judges.

mod list;

use std::collections::HashMap;

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::domain::{Case, OpeningId};

pub use self::list::{Filter, get, list};

#[derive(Clone, Debug)]
pub struct Row {
    pub id: Uuid,
    /// None: a report's row that belongs to no opening, or a report.
    pub opening_id: Option<Uuid>,
    pub kind: String,
    pub ours: Value,
    pub theirs: Value,
    /// Ids in the inbox.
    pub evidence: Vec<Uuid>,
    /// The rows of reports: `[{"report_id", "line"}]`.
    pub report_rows: Value,
    pub status: String,
    pub reason: Option<String>,
    pub resolved_by: Option<String>,
    pub resolved_at: Option<Time>,
    pub created_at: Time,
}

/// The result of resolving a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// Closed now; the case's opening, if it has one.
    Now(Option<Uuid>),
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

/// The mismatch that a case of reconciliation is about.
#[derive(Clone, Debug)]
pub struct Origin {
    pub mismatch: Uuid,
    pub class: String,
    /// `[{"field", "ours", "theirs"}]`
    pub differences: Value,
    /// `{"class", "because", "action"}`
    pub suggested: Value,
}

/// The mismatch of a case, if a report is behind it.
pub async fn origin(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Origin>> {
    sqlx::query_as!(
        Origin,
        r#"-- cases::origin
        select id as mismatch, class, differences, suggested from mismatches where case_id = $1 order by id limit 1"#,
        id,
    )
    .fetch_optional(connection)
    .await
}

/// A case of reconciliation, which a mismatch refers to.
#[derive(Clone, Debug)]
pub struct NewCase {
    pub id: Uuid,
    pub opening_id: Option<Uuid>,
    pub kind: String,
    pub cause: String,
    pub ours: Value,
    pub theirs: Value,
}

/// Opens the cases of mismatches. Their causes are new: each is made with its mismatch's change.
pub async fn insert_of_reports(connection: &mut PgConnection, cases: &[NewCase], now: Time) -> sqlx::Result<()> {
    if cases.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = cases.iter().map(|it| it.id).collect();
    let openings: Vec<Option<Uuid>> = cases.iter().map(|it| it.opening_id).collect();
    let kinds: Vec<&str> = cases.iter().map(|it| it.kind.as_str()).collect();
    let keys: Vec<&str> = cases.iter().map(|it| it.cause.as_str()).collect();
    let ours: Vec<&Value> = cases.iter().map(|it| &it.ours).collect();
    let theirs: Vec<&Value> = cases.iter().map(|it| &it.theirs).collect();
    sqlx::query!(
        r#"-- cases::insert_of_reports
        insert into cases (id, opening_id, kind, cause, ours, theirs, evidence, status, created_at)
        select id, opening_id, kind, cause, ours, theirs, '{}', 'open', $7
          from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::jsonb[], $6::jsonb[])
            as n(id, opening_id, kind, cause, ours, theirs)"#,
        &ids,
        &openings as &[Option<Uuid>],
        &kinds as &[&str],
        &keys as &[&str],
        &ours as &[&Value],
        &theirs as &[&Value],
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// These cases of reconciliation, each with the class of its mismatch.
pub async fn of_mismatches(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<(Row, String)>> {
    let rows = sqlx::query!(
        r#"-- cases::of_mismatches
        select c.id, c.opening_id, c.kind, c.ours, c.theirs, c.evidence, c.status, c.reason, c.resolved_by, c.resolved_at,
               c.created_at, m.class,
               coalesce((select jsonb_agg(jsonb_build_object('report_id', r.report_id, 'line', r.line)
                                          order by r.report_id, r.line)
                           from mismatch_reports r where r.mismatch_id = m.id), '[]') as "report_rows!"
          from mismatches m join cases c on c.id = m.case_id
         where m.case_id = any($1)
         order by c.id"#,
        ids,
    )
    .fetch_all(connection)
    .await?;
    let row = rows.into_iter().map(|it| {
        let row = Row {
            id: it.id,
            opening_id: it.opening_id,
            kind: it.kind,
            ours: it.ours,
            theirs: it.theirs,
            evidence: it.evidence,
            report_rows: it.report_rows,
            status: it.status,
            reason: it.reason,
            resolved_by: it.resolved_by,
            resolved_at: it.resolved_at,
            created_at: it.created_at,
        };
        (row, it.class)
    });
    Ok(row.collect())
}

/// Closes cases that a later fact or file has settled; those that a person closed stay as they are.
pub async fn close(connection: &mut PgConnection, ids: &[Uuid], by: &str, why: &str, now: Time) -> sqlx::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"-- cases::close
        update cases set status = 'resolved', resolved_by = $2, reason = $3, resolved_at = $4
         where id = any($1) and status = 'open'"#,
        ids,
        by,
        why,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A case that `decide` opened for a fact of one of these openings.
#[derive(Clone, Debug)]
pub struct Contradiction {
    pub id: Uuid,
    pub opening_id: Uuid,
    pub kind: String,
    pub evidence: Vec<Uuid>,
    pub is_open: bool,
}

/// The cases about facts of these openings, oldest first.
pub async fn contradictions(connection: &mut PgConnection, openings: &[Uuid]) -> sqlx::Result<Vec<Contradiction>> {
    sqlx::query_as!(
        Contradiction,
        r#"-- cases::contradictions
        select id, opening_id as "opening_id!", kind, evidence, status = 'open' as "is_open!"
          from cases
         where opening_id = any($1) and cardinality(evidence) > 0
         order by id"#,
        openings,
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
    // A case that opened in between is another than the operator saw.
    let checked = check(connection, id, who, why).await?;
    Ok(if matches!(checked, Resolved::Now(_)) { Resolved::NotFound } else { checked })
}

/// Rehearses [`resolve`]; nothing is written.
pub async fn check(connection: &mut PgConnection, id: Uuid, who: &str, why: &str) -> sqlx::Result<Resolved> {
    let case = sqlx::query!(
        r#"-- cases::check
        select opening_id, status = 'open' as "open!", coalesce(resolved_by = $2 and reason = $3, false) as "same!"
          from cases where id = $1"#,
        id,
        who,
        why,
    )
    .fetch_optional(connection)
    .await?;
    Ok(match case {
        None => Resolved::NotFound,
        Some(case) if case.open => Resolved::Now(case.opening_id),
        Some(case) if case.same => Resolved::Already,
        Some(_) => Resolved::Otherwise,
    })
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
