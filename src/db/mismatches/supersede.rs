//! Settles the mismatches that only replaced reports support.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{NewStep, append_steps};
use crate::clock::Time;
use crate::db::cases;

/// Settles the open mismatches of registers that only the reports support which this report replaces, and closes their cases. A
/// mismatch that became a fact keeps its state: the fact stays, and so does the case that `decide` opened for it.
///
/// Locks the mismatches in the order of their keys, before their cases, as everywhere.
pub async fn supersede(connection: &mut PgConnection, report: Uuid, by: &str, now: Time) -> sqlx::Result<()> {
    let ended = sqlx::query!(
        r#"-- mismatches::supersede
        with recursive replaced (id) as (
            select supersedes from reports where id = $1 and supersedes is not null
             union
            select r.supersedes from replaced join reports r on r.id = replaced.id where r.supersedes is not null
        ), over as (
            select m.id, m.state
              from mismatches m
             where m.state in ('waiting', 'case') and m.aspect <> 'report' and m.kind = 'register' and m.fact_id is null
               and m.id in (select l.mismatch_id from mismatch_reports l join replaced on replaced.id = l.report_id)
               and not exists (select from mismatch_reports l
                                where l.mismatch_id = m.id and l.report_id not in (select id from replaced))
             order by m.subject, m.aspect
               for update of m
        )
        update mismatches m set state = 'settled', look_at = null, due_at = null, updated_at = $2
          from over where m.id = over.id
        returning m.id, over.state as was, m.class, m.case_id"#,
        report,
        now,
    )
    .fetch_all(&mut *connection)
    .await?;
    let reason = format!("report {report} replaces what said it");
    let open: Vec<Uuid> = ended.iter().filter_map(|it| it.case_id).collect();
    cases::close(connection, &open, by, &reason, now).await?;
    let steps = ended.into_iter().map(|it| NewStep {
        mismatch_id: it.id,
        from_state: Some(it.was),
        to_state: "settled".to_owned(),
        class: it.class,
        by: by.to_owned(),
        reason: reason.clone(),
    });
    append_steps(connection, &steps.collect::<Vec<_>>(), now).await
}
