//! `timers`: when the poller looks at an opening next.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::domain::Opening;

/// A timer that ran out and was claimed.
#[derive(Clone, Debug)]
pub struct Due {
    /// The opening.
    pub opening_id: Uuid,
    /// The number of this claim, raised in its own commit: no two claims of one opening have the same.
    pub claim: i32,
    /// The opening's state when it was claimed.
    pub state: String,
    /// The provider that it waits for.
    pub provider: String,
    /// The provider's tracking id, where it waits for one.
    pub provider_ref: Option<String>,
}

/// Writes the timers of openings: inserts, moves, stops (escalated: no time) or removes (terminal).
///
/// # Errors
/// When the database is away.
pub async fn set(connection: &mut PgConnection, openings: &[&Opening]) -> sqlx::Result<()> {
    let (ended, running): (Vec<&Opening>, Vec<&Opening>) =
        openings.iter().copied().partition(|it| it.state_name().is_terminal());
    if !ended.is_empty() {
        let ids: Vec<Uuid> = ended.iter().map(|it| it.id.0).collect();
        sqlx::query!(
            r#"-- timers::set
            delete from timers where opening_id = any($1)"#,
            &ids
        )
        .execute(&mut *connection)
        .await?;
    }
    if !running.is_empty() {
        let ids: Vec<Uuid> = running.iter().map(|it| it.id.0).collect();
        let due: Vec<Option<Time>> = running.iter().map(|it| it.due_at).collect();
        sqlx::query!(
            r#"-- timers::set
            insert into timers (opening_id, due_at)
            select * from unnest($1::uuid[], $2::timestamptz[])
            on conflict (opening_id) do update set due_at = excluded.due_at"#,
            &ids,
            &due as &[Option<Time>],
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Claims timers that are due, oldest first. A claim moves the timer by its lease only: if whoever claimed it dies, it is
/// due again after that, and no interval is lost.
///
/// # Errors
/// When the database is away.
pub async fn claim(connection: &mut PgConnection, now: Time, lease_until: Time, limit: i64) -> sqlx::Result<Vec<Due>> {
    sqlx::query_as!(
        Due,
        r#"-- timers::claim
        with due as (
            select opening_id from timers where due_at <= $1 order by due_at limit $3 for update skip locked
        )
        update timers t
           set due_at = $2, claims = t.claims + 1
          from due join account_openings o on o.id = due.opening_id
         where t.opening_id = due.opening_id
        returning t.opening_id, t.claims as claim, o.state, o.provider, o.provider_ref"#,
        now,
        lease_until,
        limit,
    )
    .fetch_all(connection)
    .await
}
