//! The rehearsal of a decision about a report: the same states as in `release` and `discard`.

use sqlx::PgConnection;
use uuid::Uuid;

use super::Decided;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    pub release: Decided,
    pub discard: Decided,
    /// The rows that a release applies.
    pub rows: i64,
}

/// None: there is no such report.
pub async fn check(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Checked>> {
    let row = sqlx::query!(
        r#"-- reports::check
        select rows, released, state = 'held' as "may_release!", state = 'discarded' as "is_discarded!",
               (state in ('held', 'failed', 'received') or (state = 'finished' and dry_run)
                or (state = 'reading' and stage in ('pull', 'read'))) as "may_discard!"
          from reports where id = $1"#,
        id,
    )
    .fetch_optional(connection)
    .await?;
    let decided = |may: bool, was: bool| match (may, was) {
        (true, _) => Decided::Now,
        (false, true) => Decided::Already,
        (false, false) => Decided::Otherwise,
    };
    Ok(row.map(|it| Checked {
        release: decided(it.may_release, it.released),
        discard: decided(it.may_discard, it.is_discarded),
        rows: it.rows,
    }))
}
