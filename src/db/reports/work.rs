//! The worker's side of a report: one holder of the lease at a time, which writes its findings and its progress in one commit.

use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::pull::delete_pages;
use crate::clock::Time;
use crate::domain::text::string_enum;

string_enum!(
    /// The worker's next work on a report.
    Stage {
        /// Reads the pages of a provider's list.
        Pull = "pull",
        /// Reads rows, matches and classifies them. Nothing has an effect yet.
        Read = "read",
        /// The file is read to its end: is it held?
        Judge = "judge",
        /// Applies what was found.
        Apply = "apply",
        Done = "done",
    }
);

/// A report under a lease.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub id: Uuid,
    pub provider: String,
    pub kind: String,
    pub format: String,
    pub complete: bool,
    pub period_from: Option<Time>,
    pub period_until: Option<Time>,
    pub as_of: Option<Time>,
    pub received_at: Time,
    pub dry_run: bool,
    pub released: bool,
    pub stage: String,
    pub position: i64,
    pub rows: i64,
    pub bad_rows: i64,
    pub counts: Value,
    /// Claims since the last progress.
    pub claims: i32,
}

/// Claims the report whose work has waited longest, for at most one report of a provider at a time: what a file says is compared with
/// the files before it.
pub async fn claim(
    connection: &mut PgConnection,
    token: Uuid,
    now: Time,
    lease_until: Time,
) -> sqlx::Result<Option<Claimed>> {
    let mut transaction = connection.begin().await?;
    // Serialises claims: two replicas must see each other's lease.
    sqlx::query!(
        r#"-- reports::claim
        select pg_advisory_xact_lock(hashtextextended(current_schema() || '.reports', 0))"#,
    )
    .execute(&mut *transaction)
    .await?;
    let claimed = sqlx::query_as!(
        Claimed,
        r#"-- reports::claim
        update reports
           set due_at = $3, lease_token = $1, claims = claims + 1, state = case state when 'received' then 'reading' else state end
         where id = (select r.id from reports r
                      where r.due_at <= $2
                        and not exists (select from reports other
                                         where other.due_at is not null and other.provider = r.provider
                                           and other.lease_token is not null and other.due_at > $2)
                      order by r.due_at, r.id
                      limit 1
                        for update skip locked)
        returning id, provider, kind, format, complete, period_from, period_until, as_of, received_at, dry_run, released,
                  stage, position, rows, bad_rows, counts, claims"#,
        token,
        now,
        lease_until,
    )
    .fetch_optional(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(claimed)
}

/// How far a report is.
#[derive(Clone, Debug)]
pub struct Progress<'a> {
    pub stage: Stage,
    pub position: i64,
    pub rows: i64,
    pub bad_rows: i64,
    pub counts: &'a Value,
    pub sums: Option<&'a Value>,
    pub complete: bool,
    /// The position from which the work went on. None: commits before this one cannot have been lost.
    pub after: Option<i64>,
}

/// Writes the progress and renews the lease. False: another replica has taken the report, or the commit before this one is lost, and
/// the caller rolls back.
pub async fn checkpoint(
    connection: &mut PgConnection,
    id: Uuid,
    token: Uuid,
    progress: &Progress<'_>,
    lease_until: Time,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        r#"-- reports::checkpoint
        update reports
           set stage = $3, position = $4, rows = $5, bad_rows = $6, counts = $7, sums = coalesce($8, sums), complete = $9,
               due_at = $10, claims = 0
         where id = $1 and lease_token = $2 and due_at is not null and (position = $11 or $11 is null)"#,
        id,
        token,
        progress.stage.as_str(),
        progress.position,
        progress.rows,
        progress.bad_rows,
        progress.counts,
        progress.sums,
        progress.complete,
        lease_until,
        progress.after,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends the work on a report: `finished`. False as in [`checkpoint`].
pub async fn finish(connection: &mut PgConnection, id: Uuid, token: Uuid, now: Time) -> sqlx::Result<bool> {
    end(connection, id, token, "finished", None, Some(now)).await
}

/// Stops the work until an operator releases or discards the report. False as in [`checkpoint`].
pub async fn hold(connection: &mut PgConnection, id: Uuid, token: Uuid) -> sqlx::Result<bool> {
    end(connection, id, token, "held", None, None).await
}

/// Ends a report that cannot be read. False as in [`checkpoint`]. Call it in a transaction.
pub async fn fail(connection: &mut PgConnection, id: Uuid, token: Uuid, why: &str, now: Time) -> sqlx::Result<bool> {
    delete_pages(connection, id).await?;
    end(connection, id, token, "failed", Some(why), Some(now)).await
}

async fn end(
    connection: &mut PgConnection,
    id: Uuid,
    token: Uuid,
    state: &str,
    failure: Option<&str>,
    now: Option<Time>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        r#"-- reports::end
        update reports
           set state = $3, failure = $4, finished_at = $5, due_at = null, lease_token = null,
               stage = case $3 when 'held' then 'apply' else 'done' end, position = 0
         where id = $1 and lease_token = $2 and due_at is not null"#,
        id,
        token,
        state,
        failure,
        now,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Renews the lease where a step takes long and writes nothing. The next checkpoint tells whether it is lost.
pub async fn renew(connection: &mut PgConnection, id: Uuid, token: Uuid, lease_until: Time) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- reports::renew
        update reports set due_at = $3 where id = $1 and lease_token = $2 and due_at is not null"#,
        id,
        token,
        lease_until,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives a report back before its work is done; it is due again at `due_at`. A report that only waits has not failed.
pub async fn release_lease(
    connection: &mut PgConnection,
    id: Uuid,
    token: Uuid,
    due_at: Time,
    waits: bool,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- reports::release_lease
        update reports set due_at = $3, lease_token = null, claims = case when $4 then 0 else claims end
         where id = $1 and lease_token = $2 and due_at is not null"#,
        id,
        token,
        due_at,
        waits,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The result of an operator's decision about a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    Now,
    /// The same decision was made before.
    Already,
    /// Its state allows no such decision.
    Otherwise,
    NotFound,
}

/// Lets a held report have its effects.
pub async fn release(connection: &mut PgConnection, id: Uuid, now: Time) -> sqlx::Result<Decided> {
    let done = sqlx::query!(
        r#"-- reports::release
        update reports set state = 'reading', released = true, due_at = $2 where id = $1 and state = 'held'"#,
        id,
        now,
    )
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(Decided::Now);
    }
    let released = sqlx::query_scalar!(
        r#"-- reports::release
        select released from reports where id = $1"#,
        id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(released.map_or(Decided::NotFound, |released| if released { Decided::Already } else { Decided::Otherwise }))
}

/// Ends a report that has had no effect. Call it in a transaction.
pub async fn discard(connection: &mut PgConnection, id: Uuid, now: Time) -> sqlx::Result<Decided> {
    let done = sqlx::query!(
        r#"-- reports::discard
        update reports set state = 'discarded', stage = 'done', finished_at = $2, due_at = null, lease_token = null
         where id = $1 and (state in ('held', 'failed', 'received') or (state = 'finished' and dry_run)
                            or (state = 'reading' and stage in ('pull', 'read')))"#,
        id,
        now,
    )
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() == 1 {
        delete_pages(connection, id).await?;
        return Ok(Decided::Now);
    }
    let discarded = sqlx::query_scalar!(
        r#"-- reports::discard
        select state = 'discarded' as "discarded!" from reports where id = $1"#,
        id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(discarded.map_or(Decided::NotFound, |it| if it { Decided::Already } else { Decided::Otherwise }))
}

/// The complete registers that replace this report, each once it is finished, and this report itself.
pub async fn replacing(connection: &mut PgConnection, report: Uuid) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"-- reports::replacing
        with recursive later (id) as (
            select $1::uuid
             union
            select r.id from later join reports r on r.supersedes = later.id
        )
        select r.id from later join reports r on r.id = later.id
         where r.complete and not r.dry_run and (r.id = $1 or r.state = 'finished')
         order by r.id"#,
        report,
    )
    .fetch_all(connection)
    .await
}
