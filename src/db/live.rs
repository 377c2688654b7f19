//! The marks that the dashboard's live updates compare: one for each thing that a browser watches, which changes with it.

use sqlx::PgConnection;
use uuid::Uuid;

use super::sessions::Oldest;

/// Everything that is watched on one replica.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// Whether a page watches more than one opening.
    pub all: bool,
    pub openings: Vec<Uuid>,
    /// The digests of the cookies of the sessions that watch.
    pub sessions: Vec<Vec<u8>>,
}

/// The mark that was read for a watched thing.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Of an opening. None: of everything, or a session.
    pub opening: Option<Uuid>,
    /// The digest of a live session's cookie. None: not about a session.
    pub session: Option<Vec<u8>>,
    pub mark: String,
    /// Of everything: the newest act of any kind.
    pub newest_act: String,
}

/// Acts that no page shows but the list of acts: they leave the mark of everything as it is.
pub const UNSEEN_ACTS: [&str; 6] =
    ["sign_in", "sign_in_refused", "sign_out", "end_session", "export", "reveal_personal_data"];

/// The marks of all that is watched, and the sessions among those that are live, in one statement.
///
/// The mark of everything changes with the newest row of each table, and with what is counted on the first page. An opening's
/// changes with its anchor, its timer, its newest facts and work, and what people see beside it. The first subquery is not run
/// where no page watches everything. Plan: each part reads an index alone; a change of an open row is the newest one. Of the
/// newest hundred acts, those that no other page shows are passed over: once a hundred of them have come in a row, the mark changes
/// one more time.
#[expect(clippy::too_many_lines, reason = "one statement")]
pub async fn read(connection: &mut PgConnection, watched: &Watched, oldest: Oldest) -> sqlx::Result<Vec<Seen>> {
    sqlx::query_as!(
        Seen,
        r#"-- live::read
        select null::uuid as opening, cookie_digest as session, '' as "mark!", '' as "newest_act!"
          from sessions
         where cookie_digest = any($1) and ended_at is null and seen_at > $2 and created_at > $3
         union all
        select null, null, hashtextextended(row(
                   (select id from inbox order by id desc limit 1),
                   (select count(*) from (select from inbox where status = 'dead' limit (select 10000)) as dead),
                   (select count(*) from (select from inbox
                                           where due_at is not null and outcome = 'parked' limit (select 10000)) as parked),
                   (select count(*) from (select from outbox where status = 'dead' limit (select 10000)) as dead),
                   (select id from (select id, action from operator_actions order by id desc limit 100) as newest
                     where action <> all($6) order by id desc limit 1),
                   (select id from rejected_requests order by id desc limit 1),
                   (select string_agg(state || market || n, ',' order by state, market)
                      from (select state, market, sum(count) as n
                              from (select state, market, count from opening_counts
                                     union all
                                    select state, market, change from opening_count_changes) as either
                             group by state, market) as counts),
                   (select min(due_at) from timers where due_at is not null),
                   (select count(*) from (select from tickets where status = 'open' order by id limit (select 10000)) as open),
                   (select max(updated_at) from tickets where status = 'open'),
                   (select count(*) from (select from cases where status = 'open' order by id limit (select 10000)) as open),
                   (select count(*) from (select from mismatches
                                           where look_at is not null order by look_at, id limit (select 10000)) as open),
                   (select max(updated_at) from mismatches where look_at is not null),
                   (select string_agg(id || state || position, ',')
                      from (select id, state, position from reports order by id desc limit 100) as newest),
                   (select max(number) from feature_flag_changes),
                   (select string_agg(system || operation || at, ',' order by system, operation) from breakers),
                   (select string_agg(id || status || pages, ',')
                      from (select id, status, pages from backfills order by id desc limit 20) as newest),
                   (select sum(uses) from webhook_secret_uses))::text, 0)::text,
               coalesce((select id::text from operator_actions order by id desc limit 1), '')
         where $4
         union all
        select o.id, null, hashtextextended(row(
                   o.version, o.updated_at, o.provider_status, t.due_at, t.claims,
                   (select string_agg(f::text, ',') from (select id, status, outcome, attempts, duplicates from inbox
                     where opening_id = o.id order by id desc limit 20) as f),
                   (select string_agg(f::text, ',') from (select id, status, outcome, attempts, duplicates from inbox
                     where status in ('pending', 'dead') and provider = o.provider and provider_ref = o.provider_ref
                     order by id limit 20) as f),
                   (select string_agg(w::text, ',') from (select id, status, claims, due_at from outbox
                     where opening_id = o.id order by id desc limit 20) as w),
                   (select string_agg(c::text, ',') from (select id, status from cases
                     where opening_id = o.id order by id desc limit 20) as c),
                   (select string_agg(k::text, ',') from (select id, updated_at, tracker_key from tickets
                     where opening_id = o.id order by id desc limit 20) as k),
                   (select string_agg(m::text, ',') from (select id, updated_at from mismatches
                     where opening_id = o.id order by id desc limit 20) as m),
                   (select id from operator_actions where opening_id = o.id order by id desc limit 1))::text, 0)::text, ''
          from account_openings o left join timers t on t.opening_id = o.id
         where o.id = any($5)"#,
        &watched.sessions,
        oldest.seen_at,
        oldest.created_at,
        watched.all,
        &watched.openings,
        &UNSEEN_ACTS.map(str::to_owned),
    )
    .fetch_all(connection)
    .await
}
