//! Pulls: registers that the worker reads from a provider's list, page by page, before they are read like files.
//!
//! Each page and the place of the next one are written in one commit under the report's lease, so a crash repeats one page.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;

/// A pull as it is requested.
#[derive(Clone, Debug)]
pub struct NewPull {
    pub id: Uuid,
    pub provider: String,
    pub from: Time,
    pub until: Time,
    /// The number of a scheduled pull among those of its provider.
    pub scheduled_n: Option<i32>,
    pub received_by: String,
    pub received_at: Time,
}

/// Inserts a pull. None: the same period is being pulled already ([`pending_pull`]), or another replica has
/// inserted the scheduled pull of this number.
pub async fn insert_pull(connection: &mut PgConnection, new: &NewPull) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!(
        r#"-- reports::insert_pull
        with report as (
            insert into reports (id, provider, kind, format, bytes, state, period_from, period_until, dry_run, scheduled_n,
                received_by, received_at, stage, due_at)
            values ($1, $2, 'register', 'pull', 0, 'received', $3, $4, false, $5, $6, $7, 'pull', $7)
            on conflict do nothing
            returning id
        )
        insert into report_pulls (report_id, retry_from) select id, $7::timestamptz from report
        returning report_id"#,
        new.id,
        new.provider,
        new.from,
        new.until,
        new.scheduled_n,
        new.received_by,
        new.received_at,
    )
    .fetch_optional(connection)
    .await
}

/// The pull of the same period, while its list is not read to the end.
pub async fn pending_pull(
    connection: &mut PgConnection,
    provider: &str,
    from: Time,
    until: Time,
) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!(
        r#"-- reports::pending_pull
        select id from reports where provider = $1 and period_from = $2 and period_until = $3 and stage = 'pull'"#,
        provider,
        from,
        until,
    )
    .fetch_optional(connection)
    .await
}

/// The newest scheduled pull of a provider.
#[derive(Clone, Debug)]
pub struct Scheduled {
    pub n: i32,
    pub received_at: Time,
    pub is_pending: bool,
    /// Up to when the scheduled pulls have read. A pull that failed, or that an operator discarded, counts as not read.
    pub read_until: Time,
}

pub async fn last_scheduled(connection: &mut PgConnection, provider: &str) -> sqlx::Result<Option<Scheduled>> {
    sqlx::query_as!(
        Scheduled,
        r#"-- reports::last_scheduled
        select scheduled_n as "n!", received_at, stage = 'pull' as "is_pending!",
               coalesce((select period_until from reports
                          where provider = $1 and scheduled_n is not null and state not in ('failed', 'discarded')
                          order by scheduled_n desc limit 1), period_from) as "read_until!"
          from reports
         where provider = $1 and scheduled_n is not null
         order by scheduled_n desc
         limit 1"#,
        provider,
    )
    .fetch_optional(connection)
    .await
}

/// How far a provider's list is read.
#[derive(Clone, Debug)]
pub struct Pull {
    pub is_scheduled: bool,
    /// The size of what was read.
    pub bytes: i64,
    pub rows: i64,
    /// When the first page was asked for: no answer is older.
    pub began_at: Option<Time>,
    pub cursor: Option<String>,
    pub pages: i32,
    /// The last page was read.
    pub is_over: bool,
    /// Failed calls since the last page.
    pub tries: i32,
    /// Unusable answers and refusals.
    pub attempts: i32,
    pub retry_from: Time,
}

pub async fn get_pull(connection: &mut PgConnection, report: Uuid) -> sqlx::Result<Option<Pull>> {
    sqlx::query_as!(
        Pull,
        r#"-- reports::get_pull
        select r.scheduled_n is not null as "is_scheduled!", r.bytes, r.rows, p.began_at, p.cursor, p.pages, p.is_over, p.tries,
               p.attempts, p.retry_from
          from reports r join report_pulls p on p.report_id = r.id
         where r.id = $1"#,
        report,
    )
    .fetch_optional(connection)
    .await
}

/// A page that was read.
#[derive(Clone, Debug)]
pub struct Page {
    /// From 0.
    pub n: i32,
    pub rows: i64,
    /// Its rows in the form of the file.
    pub bytes: Vec<u8>,
    /// The cursor of the next page, and its hash. None: this was the last page.
    pub next: Option<(String, i64)>,
    pub began_at: Time,
}

/// Whether a page before had the same cursor behind it: the list would never end.
pub async fn has_page_before(connection: &mut PgConnection, report: Uuid, next: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"-- reports::has_page_before
        select exists (select from report_pages where report_id = $1 and next = $2) as "exists!""#,
        report,
        next,
    )
    .fetch_one(connection)
    .await
}

/// Writes a page and gives the report back, to be due at once. False: another replica has taken the report, and the caller rolls back.
pub async fn insert_page(
    connection: &mut PgConnection,
    (report, token): (Uuid, Uuid),
    page: &Page,
    now: Time,
) -> sqlx::Result<bool> {
    let (cursor, next) = page.next.clone().unzip();
    let done = sqlx::query!(
        r#"-- reports::insert_page
        with ours as (
            update reports set bytes = bytes + length($4::bytea), rows = rows + $5, due_at = $8, lease_token = null,
                   claims = 0
             where id = $1 and lease_token = $2 and due_at is not null
            returning id
        ), progress as (
            update report_pulls
               set pages = $3 + 1, cursor = $6::text, is_over = $6::text is null, began_at = coalesce(began_at, $9), tries = 0, retry_from = $8
             where report_id in (select id from ours)
        )
        insert into report_pages (report_id, n, next, bytes) select id, $3::integer, $7::bigint, $4::bytea from ours"#,
        report,
        token,
        page.n,
        page.bytes,
        page.rows,
        cursor,
        next,
        now,
        page.began_at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Why a page was not read, and when it is asked for again.
#[derive(Clone, Copy, Debug)]
pub struct Postponed {
    pub due_at: Time,
    /// Whether a call was made.
    pub is_try: bool,
    /// Whether it counts towards `MAX_ATTEMPTS`.
    pub is_attempt: bool,
    /// Whether the list is read from its beginning, because the provider no longer knows the cursor.
    pub anew: bool,
}

impl Postponed {
    /// No call was made.
    #[must_use]
    pub const fn until(due_at: Time) -> Self {
        Self { due_at, is_try: false, is_attempt: false, anew: false }
    }
}

/// Gives the report back until a page is asked for again. Does nothing if another replica has taken it. Call it in a transaction.
pub async fn postpone_page(
    connection: &mut PgConnection,
    (report, token): (Uuid, Uuid),
    postponed: Postponed,
) -> sqlx::Result<()> {
    let done = sqlx::query!(
        r#"-- reports::postpone_page
        with ours as (
            update reports
               set due_at = $3, lease_token = null, claims = 0, bytes = case when $6 then 0 else bytes end,
                   rows = case when $6 then 0 else rows end
             where id = $1 and lease_token = $2 and due_at is not null
            returning id
        )
        update report_pulls
           set tries = tries + $4, attempts = attempts + $5, cursor = case when $6 then null else cursor end,
               pages = case when $6 then 0 else pages end, began_at = case when $6 then null else began_at end
         where report_id in (select id from ours)"#,
        report,
        token,
        postponed.due_at,
        i32::from(postponed.is_try),
        i32::from(postponed.is_attempt),
        postponed.anew,
    )
    .execute(&mut *connection)
    .await?;
    if postponed.anew && done.rows_affected() == 1 {
        delete_pages(connection, report).await?;
    }
    Ok(())
}

/// The rows of a page. None: there is no such page.
pub async fn page(connection: &mut PgConnection, report: Uuid, n: i32) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar!(
        r#"-- reports::page
        select bytes from report_pages where report_id = $1 and n = $2"#,
        report,
        n,
    )
    .fetch_optional(connection)
    .await
}

/// A pull as the file that it has become.
#[derive(Clone, Copy, Debug)]
pub struct Pulled {
    pub bytes: i64,
    pub sha256: [u8; 32],
    pub as_of: Time,
}

/// Makes a report of the pages, which the caller stores as its file in the same transaction. False: another replica has taken the
/// report, and the caller rolls back.
pub async fn end_pull(
    connection: &mut PgConnection,
    (report, token): (Uuid, Uuid),
    pulled: &Pulled,
    lease_until: Time,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        r#"-- reports::end_pull
        update reports set stage = 'read', bytes = $3, sha256 = $4, as_of = $5, rows = 0, due_at = $6, claims = 0
         where id = $1 and lease_token = $2 and stage = 'pull'"#,
        report,
        token,
        pulled.bytes,
        &pulled.sha256,
        pulled.as_of,
        lease_until,
    )
    .execute(&mut *connection)
    .await?;
    let ours = done.rows_affected() == 1;
    if ours {
        delete_pages(connection, report).await?;
    }
    Ok(ours)
}

/// Deletes what is no longer needed: the pages of a file that was made of them, or of a pull that has ended without one.
pub async fn delete_pages(connection: &mut PgConnection, report: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- reports::delete_pages
        delete from report_pages where report_id = $1"#,
        report,
    )
    .execute(connection)
    .await?;
    Ok(())
}
