//! `reports`, `report_chunks`, `report_errors`, `report_pulls`, `report_pages`: files of a provider, and how far the worker is with
//! each.

mod around;
mod calendar;
mod check;
mod erase;
mod list;
mod pull;
mod unread;
mod work;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;

pub use self::around::{Around, around};
pub use self::calendar::{Covering, covering};
pub use self::check::{Checked, check};
pub use self::erase::{erase, erase_read_late, redact};
pub use self::list::{Filter, Report, get, list};
pub use self::pull::{
    NewPull, Page as PulledPage, Postponed, Pull, Pulled, Scheduled, end_pull, get_pull, has_page_before, insert_page,
    insert_pull, last_scheduled, page, pending_pull, postpone_page,
};
pub use self::work::{
    Claimed, Decided, Progress, Stage, checkpoint, claim, discard, fail, finish, hold, release, release_lease, renew,
    replacing,
};

/// The size of the pieces in which a file is stored, in bytes.
pub const CHUNK: usize = 1024 * 1024;

/// A report as it is received.
#[derive(Clone, Debug)]
pub struct NewReport {
    pub id: Uuid,
    pub provider: String,
    pub kind: String,
    pub format: String,
    pub profile: Option<Vec<u8>>,
    pub file_name: Option<String>,
    pub bytes: i64,
    pub sha256: [u8; 32],
    pub period_from: Option<Time>,
    pub period_until: Option<Time>,
    pub as_of: Option<Time>,
    pub dry_run: bool,
    pub supersedes: Option<Uuid>,
    pub received_by: String,
    pub received_at: Time,
}

/// Inserts a report. None: the same bytes are stored already ([`same`]).
pub async fn insert(connection: &mut PgConnection, new: &NewReport) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!(
        r#"-- reports::insert
        insert into reports (id, provider, kind, format, profile, file_name, bytes, sha256, state, period_from,
            period_until, as_of, dry_run, supersedes, received_by, received_at, stage, due_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, 'received', $9, $10, $11, $12, $13, $14, $15, 'read', $15)
        on conflict do nothing
        returning id"#,
        new.id,
        new.provider,
        new.kind,
        new.format,
        new.profile,
        new.file_name,
        new.bytes,
        &new.sha256,
        new.period_from,
        new.period_until,
        new.as_of,
        new.dry_run,
        new.supersedes,
        new.received_by,
        new.received_at,
    )
    .fetch_optional(connection)
    .await
}

/// The report that holds the same bytes.
pub async fn same(
    connection: &mut PgConnection,
    provider: &str,
    kind: &str,
    sha256: &[u8; 32],
) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!(
        r#"-- reports::same
        select id from reports
         where provider = $1 and kind = $2 and sha256 = $3 and not dry_run and state <> 'discarded' and format <> 'pull'"#,
        provider,
        kind,
        sha256,
    )
    .fetch_optional(connection)
    .await
}

/// Stores pieces of a file, from number `first` on.
pub async fn insert_chunks(
    connection: &mut PgConnection,
    report: Uuid,
    first: i32,
    chunks: &[Vec<u8>],
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- reports::insert_chunks
        insert into report_chunks (report_id, n, bytes)
        select $1, $2 + place::int - 1, bytes from unnest($3::bytea[]) with ordinality as c(bytes, place)"#,
        report,
        first,
        chunks,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The pieces of a file from number `first` on, at most `most`; fewer at its end.
pub async fn chunks(connection: &mut PgConnection, report: Uuid, first: i32, most: i32) -> sqlx::Result<Vec<Vec<u8>>> {
    sqlx::query_scalar!(
        r#"-- reports::chunks
        select bytes from report_chunks where report_id = $1 and n >= $2 and n < $2 + $3 order by n"#,
        report,
        first,
        most,
    )
    .fetch_all(connection)
    .await
}

/// A piece of a file; none after the last.
pub async fn chunk(connection: &mut PgConnection, report: Uuid, n: i32) -> sqlx::Result<Option<Vec<u8>>> {
    Ok(chunks(connection, report, n, 1).await?.pop())
}

/// A row that could not be read.
#[derive(Clone, Debug)]
pub struct BadRow {
    /// Its number among the bad rows of its report, from 1.
    pub n: i64,
    pub line: i64,
    pub byte: i64,
    pub length: i64,
    pub field: Option<String>,
    pub code: String,
    pub detail: String,
}

/// Stores bad rows. A file that is read again after a crash brings the same ones under the same numbers.
pub async fn insert_errors(connection: &mut PgConnection, report: Uuid, bad: &[BadRow]) -> sqlx::Result<()> {
    if bad.is_empty() {
        return Ok(());
    }
    let text = |get: fn(&BadRow) -> &str| -> Vec<String> { bad.iter().map(|it| get(it).to_owned()).collect() };
    let number = |get: fn(&BadRow) -> i64| -> Vec<i64> { bad.iter().map(get).collect() };
    let fields: Vec<Option<String>> = bad.iter().map(|it| it.field.clone()).collect();
    sqlx::query!(
        r#"-- reports::insert_errors
        insert into report_errors (report_id, n, line, byte, length, field, code, detail)
        select $1, * from unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[])
        on conflict do nothing"#,
        report,
        &number(|it| it.n),
        &number(|it| it.line),
        &number(|it| it.byte),
        &number(|it| it.length),
        &fields as &[Option<String>],
        &text(|it| &it.code),
        &text(|it| &it.detail),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A page of the bad rows of a report, in the order of the file.
pub async fn errors(connection: &mut PgConnection, report: Uuid, page: super::Page<i64>) -> sqlx::Result<Vec<BadRow>> {
    sqlx::query_as!(
        BadRow,
        r#"-- reports::errors
        select n, line, byte, length, field, code, detail
          from report_errors
         where report_id = $1 and n > $2
         order by n
         limit $3"#,
        report,
        page.after.unwrap_or_default(),
        page.limit,
    )
    .fetch_all(connection)
    .await
}
