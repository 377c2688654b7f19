//! `backfills`: requests to read a provider's list, page by page, from a given time.

use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Page;
use crate::clock::Time;
use crate::domain::text::string_enum;

string_enum!(
    /// The reason for reading a provider's list.
    Cause {
        Start = "start",
        /// A circuit breaker of the provider closed.
        Breaker = "breaker",
        /// An operator requested it.
        Operator = "operator",
    }
);

#[derive(Clone, Debug)]
pub struct NewBackfill {
    pub id: Uuid,
    pub provider: String,
    pub since: Time,
    pub cause: Cause,
    /// The name of the operator's token.
    pub who: Option<String>,
    pub reason: Option<String>,
}

impl NewBackfill {
    /// Whether a backfill in progress can serve this request. A start or a closing breaker is about changes in the
    /// past, and a list begun since covers them. An operator may ask about changes made since, and a list that is not
    /// ordered by change time is not read twice.
    const fn joins_one_under_way(&self) -> bool {
        matches!(self.cause, Cause::Start | Cause::Breaker)
    }
}

/// Requests a backfill. Returns its id, or the id of a pending one that goes back as far, which becomes due. Call it in
/// a transaction. Idempotent by id.
pub async fn insert(connection: &mut PgConnection, new: &NewBackfill, now: Time) -> sqlx::Result<Uuid> {
    // Serialises inserts: replicas that start at once must see each other's backfill.
    sqlx::query!(
        r#"-- backfills::insert
        select pg_advisory_xact_lock(hashtextextended(current_schema() || '.backfills.' || $1, 0))"#,
        new.provider,
    )
    .execute(&mut *connection)
    .await?;
    if let Some(id) = serving(connection, new).await? {
        sqlx::query!(
            r#"-- backfills::insert
            update backfills set next_attempt_at = least(next_attempt_at, $2) where id = $1"#,
            id,
            now,
        )
        .execute(connection)
        .await?;
        return Ok(id);
    }
    sqlx::query!(
        r#"-- backfills::insert
        insert into backfills (id, provider, since, cause, who, reason, status, next_attempt_at, retry_from, created_at)
        values ($1, $2, $3, $4, $5, $6, 'pending', $7, $7, $7)"#,
        new.id,
        new.provider,
        new.since,
        new.cause.as_str(),
        new.who,
        new.reason,
        now,
    )
    .execute(connection)
    .await?;
    Ok(new.id)
}

/// The backfill that serves the request already: itself, or a pending one that goes back as far.
pub async fn serving(connection: &mut PgConnection, new: &NewBackfill) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!(
        r#"-- backfills::serving
        select id from backfills
         where id = $1
            or (provider = $2 and status = 'pending' and since <= $3 and ($4 or (pages = 0 and lease_token is null)))
         order by id = $1 desc, since, id
         limit 1"#,
        new.id,
        new.provider,
        new.since,
        new.joins_one_under_way(),
    )
    .fetch_optional(connection)
    .await
}

#[derive(Clone, Debug)]
pub struct Claimed {
    pub id: Uuid,
    pub provider: String,
    pub since: Time,
    pub cursor: Option<String>,
    pub pages: i32,
    pub tries: i32,
    pub attempts: i32,
    pub retry_from: Time,
    /// The cursors seen so far, as [`place`] hashes them.
    pub seen: Vec<i64>,
}

/// A short hash of a cursor, so that a row can remember thousands of them.
#[must_use]
pub fn place(cursor: &str) -> i64 {
    let digest = Sha256::digest(cursor.as_bytes());
    i64::from_be_bytes(std::array::from_fn(|at| digest[at]))
}

/// Claims one due backfill of these providers under a lease. Only the holder of `token` can settle it.
pub async fn claim(
    connection: &mut PgConnection,
    providers: &[String],
    token: Uuid,
    now: Time,
    lease_until: Time,
) -> sqlx::Result<Option<Claimed>> {
    sqlx::query_as!(
        Claimed,
        r#"-- backfills::claim
        with due as (
            select id from backfills
             where status = 'pending' and provider = any($1) and next_attempt_at <= $3
               and (lease_until is null or lease_until <= $3)
             order by next_attempt_at, id
             limit 1
               for update skip locked
        )
        update backfills b set lease_token = $2, lease_until = $4
          from due
         where b.id = due.id
        returning b.id, b.provider, b.since, b.cursor, b.pages, b.tries, b.attempts, b.retry_from, b.seen"#,
        providers,
        token,
        now,
        lease_until,
    )
    .fetch_optional(connection)
    .await
}

/// The result of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// A page was read.
    Page {
        /// Items on the page.
        items: usize,
        /// Items that were new to the inbox.
        new_facts: usize,
        then: Then,
    },
    /// The call failed; retry at `at`.
    Retry {
        at: Time,
        class: &'static str,
        /// Whether it counts towards `MAX_ATTEMPTS`.
        counts: bool,
        /// Whether to restart at `since`, because the provider no longer knows the cursor.
        anew: bool,
    },
    /// Not called: deferred by breaker, budget or permits.
    Held {
        /// The earliest time of the call.
        at: Time,
    },
    /// The backfill is given up.
    Failed { class: &'static str },
}

/// The next step after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// Read the page at this cursor.
    Next(String),
    /// Finished: this was the last page.
    Done,
    /// Given up although more pages exist: the list would never end.
    Failed(&'static str),
}

/// Settles a claimed backfill. `false`: another replica holds the lease now, and nothing changed.
pub async fn settle(
    connection: &mut PgConnection,
    id: Uuid,
    token: Uuid,
    settled: &Settled,
    now: Time,
) -> sqlx::Result<bool> {
    match settled {
        Settled::Page { items, new_facts, then } => {
            page(connection, (id, token), (*items, *new_facts), then, now).await
        }
        Settled::Retry { .. } | Settled::Held { .. } | Settled::Failed { .. } => {
            no_page(connection, (id, token), settled, now).await
        }
    }
}

async fn page(
    connection: &mut PgConnection,
    (id, token): (Uuid, Uuid),
    (items, new_facts): (usize, usize),
    then: &Then,
    now: Time,
) -> sqlx::Result<bool> {
    let (status, cursor, error) = match then {
        Then::Next(cursor) => ("pending", Some(cursor.as_str()), None),
        Then::Done => ("done", None, None),
        Then::Failed(class) => ("failed", None, Some(*class)),
    };
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let done = sqlx::query!(
        r#"-- backfills::page
        update backfills
           set status = $3, cursor = $4, pages = pages + 1, items = items + $5, new_facts = new_facts + $6, tries = 0,
               next_attempt_at = $7, retry_from = $7, lease_token = null, lease_until = null, last_error = $8,
               seen = case when $3 = 'pending' then array_append(seen, $9::bigint) else '{}' end,
               finished_at = case when $3 <> 'pending' then $7::timestamptz end
         where id = $1 and lease_token = $2 and status = 'pending'"#,
        id,
        token,
        status,
        cursor,
        count(items),
        count(new_facts),
        now,
        error,
        cursor.map(place),
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn no_page(
    connection: &mut PgConnection,
    (id, token): (Uuid, Uuid),
    settled: &Settled,
    now: Time,
) -> sqlx::Result<bool> {
    let (status, next, tries, counts, anew, error) = match settled {
        Settled::Retry { at, class, counts, anew } => ("pending", Some(*at), 1, *counts, *anew, Some(*class)),
        Settled::Held { at } => ("pending", Some(*at), 0, false, false, None),
        Settled::Failed { class } => ("failed", None, 1, true, false, Some(*class)),
        Settled::Page { .. } => return Ok(false),
    };
    let done = sqlx::query!(
        r#"-- backfills::no_page
        update backfills
           set status = $3, next_attempt_at = coalesce($4, next_attempt_at), tries = tries + $5, attempts = attempts + $6,
               cursor = case when $7 then null else cursor end, lease_token = null, lease_until = null,
               seen = case when $7 or $3 <> 'pending' then '{}' else seen end,
               last_error = coalesce($8, last_error), finished_at = case when $3 <> 'pending' then $9::timestamptz end
         where id = $1 and lease_token = $2 and status = 'pending'"#,
        id,
        token,
        status,
        next,
        tries,
        i32::from(counts),
        anew,
        error,
        now,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

#[derive(Clone, Debug)]
pub struct Row {
    pub id: Uuid,
    pub provider: String,
    pub since: Time,
    pub cause: String,
    pub who: Option<String>,
    pub reason: Option<String>,
    pub status: String,
    pub pages: i32,
    pub items: i64,
    pub new_facts: i64,
    pub attempts: i32,
    pub last_error: Option<String>,
    pub next_attempt_at: Time,
    pub created_at: Time,
    pub finished_at: Option<Time>,
}

/// A page of a provider's backfills, newest first; without a provider those of all.
pub async fn list(connection: &mut PgConnection, provider: Option<&str>, page: Page<Uuid>) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"-- backfills::list
        select id, provider, since, cause, who, reason, status, pages, items, new_facts, attempts, last_error,
               next_attempt_at, created_at, finished_at
          from backfills
         where ($1::text is null or provider = $1) and id < $2
         order by id desc
         limit $3"#,
        provider,
        page.after.unwrap_or(Uuid::max()),
        page.limit,
    )
    .fetch_all(connection)
    .await
}
