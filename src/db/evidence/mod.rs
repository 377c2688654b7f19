//! The evidence of a report, as the lines of its files: JSON objects, made by Postgres.
//!
//! Each function reads a page, in an order that the next page continues, so that a report of a million rows takes constant memory. The
//! caller reads all pages in one snapshot ([`in_snapshot`]). `src/reconciliation/evidence/lines.rs` reads the same objects.

mod fees;
mod found;
mod opening;

use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::time::timeout;
use uuid::Uuid;

pub use self::fees::{Booked, Charged, beside, charge_lines, ledger, price_list};
pub use self::found::{Opening, acts, facts, mismatches, openings};
pub use self::opening::{OpeningFact, facts_of_opening};
use super::retries::{Lent, late};
use super::{Page, WITHIN};

/// A line and its place in the order of its file.
#[derive(Clone, Debug)]
pub struct Line<K> {
    pub key: K,
    pub text: String,
}

/// A line of a row.
#[derive(Clone, Debug)]
pub struct RowLine {
    pub key: i64,
    pub opening_id: Option<Uuid>,
    pub text: String,
}

/// Runs `work`, one time, in a transaction that sees one moment of the database and writes nothing.
///
/// The work may take long; each of its reads is bounded by [`within`].
///
/// # Errors
/// The work's, or the database's.
pub async fn in_snapshot<T, E: From<sqlx::Error>>(
    pool: &PgPool,
    work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
) -> Result<T, E> {
    let in_transaction = async move |connection: &mut PgConnection| {
        let begin = connection.begin_with("begin isolation level repeatable read, read only");
        let mut transaction = within(begin).await?;
        let done = work(&mut transaction).await?;
        transaction.rollback().await?;
        Ok(done)
    };
    Lent::new(pool.acquire().await?).run(in_transaction).await
}

/// A read that ends in an error when the server does not answer in time.
pub async fn within<T>(read: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    timeout(WITHIN, read).await.unwrap_or_else(|_| Err(late()))
}

/// `report.json`.
pub async fn report(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<serde_json::Value>> {
    sqlx::query_scalar!(
        r#"-- evidence::report
        select jsonb_build_object(
                   'id', id, 'provider', provider, 'kind', kind, 'format', format,
                   'profile_sha256', encode(profile, 'hex'), 'file_name', file_name, 'bytes', bytes,
                   'sha256', encode(sha256, 'hex'), 'state', state, 'complete', complete, 'period_from', period_from,
                   'period_until', period_until, 'as_of', as_of, 'rows', rows, 'bad_rows', bad_rows, 'counts', counts,
                   'sums', sums, 'dry_run', dry_run, 'released', released, 'supersedes', supersedes, 'error', failure,
                   'received_by', received_by, 'received_at', received_at, 'finished_at', finished_at) as "report!"
          from reports where id = $1"#,
        id,
    )
    .fetch_optional(connection)
    .await
}

/// The text of the profile with this SHA-256.
pub async fn profile(connection: &mut PgConnection, sha256: &[u8]) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        r#"-- evidence::profile
        select content from report_profiles where sha256 = $1"#,
        sha256,
    )
    .fetch_optional(connection)
    .await
}

/// `redactions.jsonl`.
pub async fn redactions(connection: &mut PgConnection, report: Uuid, page: Page<i64>) -> sqlx::Result<Vec<Line<i64>>> {
    sqlx::query_as!(
        Line,
        r#"-- evidence::redactions
        select byte as key, jsonb_build_object('byte', byte, 'length', length)::text as "text!"
          from report_redactions
         where report_id = $1 and byte > $2
         order by byte
         limit $3"#,
        report,
        page.after.unwrap_or(-1),
        page.limit,
    )
    .fetch_all(connection)
    .await
}

/// `rows.jsonl`: the report's rows. A `REPEATED` or `REVISED` row carries the earlier rows that it repeats or revises.
pub async fn rows(connection: &mut PgConnection, report: Uuid, page: Page<i64>) -> sqlx::Result<Vec<RowLine>> {
    sqlx::query_as!(
        RowLine,
        r#"-- evidence::rows
        select r.n as key, r.opening_id,
               jsonb_build_object(
                   'n', r.n, 'line', r.line, 'byte', r.byte, 'length', r.length, 'kind', r.kind, 'row_key', r.row_key,
                   'digest', encode(r.digest, 'hex'), 'class', r.class, 'rule', r.rule, 'opening_id', r.opening_id,
                   'redacted', r.redacted, 'theirs', r.theirs, 'ours', r.ours,
                   'earlier', case when r.class in ('REPEATED', 'REVISED') then earlier.rows end)::text as "text!"
          from report_rows r
          left join lateral (
               select coalesce(jsonb_agg(jsonb_build_object('report_id', e.report_id, 'line', e.line,
                                                            'digest', encode(e.digest, 'hex'))), '[]') as rows
                 from (select other.report_id, other.line, other.digest
                         from report_rows other join reports on reports.id = other.report_id
                        where r.class in ('REPEATED', 'REVISED') and other.provider = r.provider
                          and case r.kind when 'register' then other.kind = 'register' else other.kind <> 'register' end
                          and (r.kind <> 'register' or other.provider_reference = r.provider_reference)
                          and other.row_key = r.row_key and other.report_id <> r.report_id and not reports.dry_run
                          and (other.digest = r.digest) = (r.class = 'REPEATED')
                        limit 5) as e) as earlier on true
         where r.report_id = $1 and r.n > $2
         order by r.n
         limit $3"#,
        report,
        page.after.unwrap_or_default(),
        page.limit,
    )
    .fetch_all(connection)
    .await
}

/// `errors.jsonl`.
pub async fn errors(connection: &mut PgConnection, report: Uuid, page: Page<i64>) -> sqlx::Result<Vec<Line<i64>>> {
    sqlx::query_as!(
        Line,
        r#"-- evidence::errors
        select n as key,
               jsonb_build_object('line', line, 'byte', byte, 'field', field, 'code', code, 'detail', detail)::text as "text!"
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
