//! Facts that match no opening: those that wait for one, and those that nobody waits for any more.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;
use crate::db::Page;

/// A fact that matches no opening.
#[derive(Clone, Debug)]
pub struct Unmatched {
    pub id: Uuid,
    pub source: String,
    pub provider: String,
    pub provider_ref: Option<String>,
    pub opening_id: Option<Uuid>,
    pub received_at: Time,
    pub status: String,
    pub next_attempt_at: Time,
}

/// A page of them, newest first. One that is parked although there is its opening waits for that one's time, not for a match,
/// and is left out. Each half by an index of its own: facts that wait are few, and so are the dead.
///
/// # Errors
/// When the database is away.
pub async fn unmatched(connection: &mut PgConnection, page: Page<Uuid>) -> sqlx::Result<Vec<Unmatched>> {
    sqlx::query_as!(
        Unmatched,
        r#"-- inbox::unmatched
        with facts as (
            select * from inbox i
             where i.status = 'pending' and i.outcome = 'parked'
               and not exists (select from account_openings o where o.id = i.opening_id)
               and not exists (select from account_openings o
                                where o.provider = i.provider and o.provider_ref = i.provider_ref)
             union all
            (select * from inbox
              where status = 'dead' and outcome = 'no_matching_opening' and id < $1
              order by id desc limit $2)
        )
        select id as "id!", source as "source!", provider as "provider!", provider_ref, opening_id,
               received_at as "received_at!", status as "status!", next_attempt_at as "next_attempt_at!"
          from facts
         where id < $1
         order by id desc
         limit $2"#,
        page.after.unwrap_or(Uuid::max()),
        page.limit,
    )
    .fetch_all(connection)
    .await
}
