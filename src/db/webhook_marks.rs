//! `webhook_marks`: per provider and market the time of the last webhook; before the first one, since when an opening
//! waits.

use sqlx::PgConnection;

use crate::clock::Time;

/// The times of one provider and market; at least one is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub provider: String,
    pub market: String,
    pub last_received_at: Option<Time>,
    /// Since when the first opening waits, if no webhook came before.
    pub waits_since: Option<Time>,
}

/// Moves marks forward, never back, in any order of writers. Exception: a mark in the future was written by a wrong
/// clock and is replaced.
pub async fn advance(connection: &mut PgConnection, marks: &[Mark], now: Time) -> sqlx::Result<()> {
    if marks.is_empty() {
        return Ok(());
    }
    // Sorted, so that two replicas lock rows in the same order.
    let mut marks: Vec<&Mark> = marks.iter().collect();
    marks.sort_unstable_by_key(|it| (&it.provider, &it.market));
    let providers: Vec<String> = marks.iter().map(|it| it.provider.clone()).collect();
    let markets: Vec<String> = marks.iter().map(|it| it.market.clone()).collect();
    let times: Vec<Option<Time>> = marks.iter().map(|it| it.last_received_at).collect();
    let waits: Vec<Option<Time>> = marks.iter().map(|it| it.waits_since).collect();
    sqlx::query!(
        r#"-- webhook_marks::advance
        insert into webhook_marks as m (provider, market, last_received_at, waits_since)
        select * from unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[])
        on conflict on constraint one_mark_per_market do update
           set last_received_at = excluded.last_received_at
         where excluded.last_received_at is not null
           and (m.last_received_at is null or m.last_received_at < excluded.last_received_at or m.last_received_at > $5)"#,
        &providers,
        &markets,
        &times as &[Option<Time>],
        &waits as &[Option<Time>],
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn all(connection: &mut PgConnection) -> sqlx::Result<Vec<Mark>> {
    sqlx::query_as!(
        Mark,
        r#"-- webhook_marks::all
        select provider, market, last_received_at, waits_since from webhook_marks order by provider, market"#,
    )
    .fetch_all(connection)
    .await
}

/// The time after which we may have missed a provider's messages: its last webhook of any market. If there was none (or
/// only in the future): the start of the oldest unfinished opening. None: the provider owes us nothing.
///
/// If only one market's webhooks stop, this time still advances; the polls of that market's openings repair it.
pub async fn heard_until(connection: &mut PgConnection, provider: &str, now: Time) -> sqlx::Result<Option<Time>> {
    sqlx::query_scalar!(
        r#"-- webhook_marks::heard_until
        select coalesce(
            (select max(last_received_at) from webhook_marks where provider = $1 and last_received_at <= $2),
            -- By the order of the ids, which is that of time; the first will do.
            (select o.created_at from timers t join account_openings o on o.id = t.opening_id
              where o.provider = $1 order by t.opening_id limit 1)
        ) as heard_until"#,
        provider,
        now,
    )
    .fetch_one(connection)
    .await
}
