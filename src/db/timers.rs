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
    /// From when on a poll is the last.
    pub deadline_at: Time,
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
        let before_wait: Vec<i32> = running.iter().map(|it| it.polls_before_wait).collect();
        sqlx::query!(
            r#"-- timers::set
            insert into timers (opening_id, due_at, claims_before_wait)
            select * from unnest($1::uuid[], $2::timestamptz[], $3::int[])
            on conflict (opening_id) do update
               set due_at = excluded.due_at, claims_before_wait = excluded.claims_before_wait"#,
            &ids,
            &due as &[Option<Time>],
            &before_wait,
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// How many openings of a provider may be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// The provider.
    pub provider: &'static str,
    /// How many.
    pub most: usize,
}

/// Claims timers that are due, oldest first: of each provider as many as there is room for, and, whatever the room, those
/// that cannot wait (a deadline has passed, or nobody is to be asked), at most `limit` of them. A claim moves the timer by
/// its lease only: if whoever claimed it dies, it is due again after that, and no interval is lost.
///
/// # Errors
/// When the database is away.
pub async fn claim(
    connection: &mut PgConnection,
    now: Time,
    lease_until: Time,
    rooms: &[Room],
    limit: i64,
) -> sqlx::Result<Vec<Due>> {
    let providers: Vec<String> = rooms.iter().map(|it| it.provider.to_owned()).collect();
    let most: Vec<i64> = rooms.iter().map(|it| i64::try_from(it.most).unwrap_or(limit)).collect();
    sqlx::query_as!(
        Due,
        r#"-- timers::claim
        with urgent as (
            select t.opening_id
              from timers t join account_openings o on o.id = t.opening_id
             where t.due_at <= $1
               and (o.state not in ('awaiting_provider', 'escalated') or o.provider <> all ($4)
                    or (o.state = 'awaiting_provider' and o.deadline_at <= $1))
             order by t.due_at limit $3 for update of t skip locked
        ), ordinary as (
            select d.opening_id
              from unnest($4::text[], $5::bigint[]) as r(provider, most) cross join lateral (
                  select t.opening_id
                    from timers t join account_openings o on o.id = t.opening_id
                   where t.due_at <= $1 and o.provider = r.provider
                     and (o.state = 'escalated' or (o.state = 'awaiting_provider' and o.deadline_at > $1))
                   order by t.due_at limit r.most for update of t skip locked
              ) d
        ), due as (
            select opening_id from urgent union select opening_id from ordinary
        )
        update timers t
           set due_at = $2, claims = t.claims + 1
          from due join account_openings o on o.id = due.opening_id
         where t.opening_id = due.opening_id
        returning t.opening_id, t.claims as claim, o.state, o.provider, o.provider_ref, o.deadline_at"#,
        now,
        lease_until,
        limit,
        &providers,
        &most,
    )
    .fetch_all(connection)
    .await
}
