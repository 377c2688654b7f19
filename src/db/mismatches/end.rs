//! The end of mismatches by a decision about their report, case or opening.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{NewStep, append_steps};
use crate::clock::Time;
use crate::db::cases;

/// Ends the open mismatch about a report as a whole, and closes its case.
pub async fn resolve_of_report(
    connection: &mut PgConnection,
    report: Uuid,
    who: &str,
    why: &str,
    now: Time,
) -> sqlx::Result<()> {
    let case = sqlx::query_scalar!(
        r#"-- mismatches::resolve_of_report
        select case_id from mismatches
         where subject = $1 and aspect = 'report' and look_at is not null
           for update"#,
        report.to_string(),
    )
    .fetch_optional(&mut *connection)
    .await?
    .flatten();
    let Some(case) = case else { return Ok(()) };
    cases::close(connection, &[case], who, why, now).await?;
    resolve_of_case(connection, case, who, why, now).await
}

/// Locks the mismatches of a case. Mismatches are locked before their cases everywhere.
pub async fn lock_of_case(connection: &mut PgConnection, case: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- mismatches::lock_of_case
        select id from mismatches where case_id = $1 order by subject, aspect for update"#,
        case,
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}

/// Ends the open mismatches of a case that a person has resolved.
pub async fn resolve_of_case(
    connection: &mut PgConnection,
    case: Uuid,
    who: &str,
    why: &str,
    now: Time,
) -> sqlx::Result<()> {
    let ended = sqlx::query!(
        r#"-- mismatches::resolve_of_case
        with open as (select id, state from mismatches where case_id = $1 and look_at is not null for update)
        update mismatches m set state = 'resolved', look_at = null, due_at = null, updated_at = $2
          from open where m.id = open.id
        returning m.id, open.state as was, m.class"#,
        case,
        now,
    )
    .fetch_all(&mut *connection)
    .await?;
    let step = |id, was: String, class| NewStep {
        mismatch_id: id,
        from_state: Some(was),
        to_state: "resolved".to_owned(),
        class,
        by: who.to_owned(),
        reason: why.to_owned(),
    };
    let steps: Vec<NewStep> = ended.into_iter().map(|it| step(it.id, it.was, it.class)).collect();
    append_steps(connection, &steps, now).await
}

/// Locks the mismatches of an opening.
pub async fn lock_of_opening(connection: &mut PgConnection, opening: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- mismatches::lock_of_opening
        select id from mismatches where opening_id = $1 order by subject, aspect for update"#,
        opening,
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}

/// Erases what registers said about an opening. Those that wait are over; a case is still for a person to close.
pub async fn erase(connection: &mut PgConnection, opening: Uuid, now: Time) -> sqlx::Result<()> {
    let ended = sqlx::query!(
        r#"-- mismatches::erase
        with held as (select id, state from mismatches where opening_id = $1 and kind = 'register')
        update mismatches m
           set ours = '{}', theirs = '{}', differences = '[]', evidence = null,
               state = case when m.state in ('waiting', 'applied') then 'settled' else m.state end,
               look_at = case when m.state in ('waiting', 'applied') then null else m.look_at end,
               due_at = case when m.state in ('waiting', 'applied') then null else m.due_at end
          from held where m.id = held.id
        returning m.id, held.state as was, m.class"#,
        opening,
    )
    .fetch_all(&mut *connection)
    .await?;
    let is_over = |was: &str| matches!(was, "waiting" | "applied");
    let step = |id, was, class| NewStep {
        mismatch_id: id,
        from_state: Some(was),
        to_state: "settled".to_owned(),
        class,
        by: "reconciliation".to_owned(),
        reason: "the opening was erased".to_owned(),
    };
    let over = ended.into_iter().filter(|it| is_over(&it.was));
    let steps: Vec<NewStep> = over.map(|it| step(it.id, it.was, it.class)).collect();
    append_steps(connection, &steps, now).await
}
