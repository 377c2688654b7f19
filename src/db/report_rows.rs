//! `report_rows`: the canonical rows of reports, each with its class.

mod bank;
mod charges;

use rust_decimal::Decimal;
use serde_json::Value;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

pub(in crate::db) use self::bank::erase_mentions;
pub use self::bank::{RowOfReport, naming};
pub use self::charges::{
    ChargeOfReport, Judged, Place, Shared, charges, groups_and_settlements, judge, of_keys, of_shared_fees, sums,
};
use super::Page;
use crate::clock::Time;

/// A classified row.
#[derive(Clone, Debug)]
pub struct NewRow {
    /// Its number among the usable rows of its report, from 1.
    pub n: i64,
    pub line: i64,
    pub byte: i64,
    pub length: i64,
    pub kind: &'static str,
    pub row_key: String,
    /// SHA-256 of the canonical row.
    pub digest: [u8; 32],
    pub provider_reference: Option<String>,
    pub reference: Option<String>,
    pub status: Option<String>,
    pub amount: Option<Decimal>,
    pub currency: Option<String>,
    pub class: &'static str,
    pub rule: &'static str,
    pub opening_id: Option<Uuid>,
    /// The canonical row, as JSON.
    pub theirs: Box<RawValue>,
    /// Our side when the row was classified.
    pub ours: Option<Box<RawValue>>,
    /// The comparison found a difference, known or new.
    pub found: bool,
    /// Its values are erased, as those of its opening.
    pub redacted: bool,
}

/// Inserts a slice in one statement.
pub async fn insert(connection: &mut PgConnection, report: Uuid, provider: &str, rows: &[NewRow]) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let number = |get: fn(&NewRow) -> i64| -> Vec<i64> { rows.iter().map(get).collect() };
    let text = |get: fn(&NewRow) -> &str| -> Vec<&str> { rows.iter().map(get).collect() };
    let some = |get: fn(&NewRow) -> Option<&str>| -> Vec<Option<&str>> { rows.iter().map(get).collect() };
    let digests: Vec<&[u8]> = rows.iter().map(|it| it.digest.as_slice()).collect();
    let amounts: Vec<Option<Decimal>> = rows.iter().map(|it| it.amount).collect();
    let openings: Vec<Option<Uuid>> = rows.iter().map(|it| it.opening_id).collect();
    // Text from the row to the statement: no tree of JSON is made of it on the way.
    let theirs: Vec<Json<&RawValue>> = rows.iter().map(|it| Json(&*it.theirs)).collect();
    let ours: Vec<Option<Json<&RawValue>>> = rows.iter().map(|it| it.ours.as_deref().map(Json)).collect();
    sqlx::query!(
        r#"-- report_rows::insert
        insert into report_rows (report_id, provider, n, line, byte, length, kind, row_key, digest, provider_reference,
            reference, status, amount, currency, class, rule, opening_id, theirs, ours, found, redacted)
        select $1, $2, * from unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::text[],
            $9::bytea[], $10::text[], $11::text[], $12::text[], $13::numeric[], $14::text[], $15::text[], $16::text[],
            $17::uuid[], $18::jsonb[], $19::jsonb[], $20::boolean[], $21::boolean[])"#,
        report,
        provider,
        &number(|it| it.n),
        &number(|it| it.line),
        &number(|it| it.byte),
        &number(|it| it.length),
        &text(|it| it.kind) as &[&str],
        &text(|it| &it.row_key) as &[&str],
        &digests as &[&[u8]],
        &some(|it| it.provider_reference.as_deref()) as &[Option<&str>],
        &some(|it| it.reference.as_deref()) as &[Option<&str>],
        &some(|it| it.status.as_deref()) as &[Option<&str>],
        &amounts as &[Option<Decimal>],
        &some(|it| it.currency.as_deref()) as &[Option<&str>],
        &text(|it| it.class) as &[&str],
        &text(|it| it.rule) as &[&str],
        &openings as &[Option<Uuid>],
        &theirs as &[Json<&RawValue>],
        &ours as &[Option<Json<&RawValue>>],
        &rows.iter().map(|it| it.found).collect::<Vec<_>>(),
        &rows.iter().map(|it| it.redacted).collect::<Vec<_>>(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Where the reading of a report goes on: the byte at which its row `n` ends, and the bytes of the rows that erasures overwrote.
pub async fn resumption(connection: &mut PgConnection, report: Uuid, n: i64) -> sqlx::Result<(Option<i64>, Vec<i64>)> {
    let place = sqlx::query!(
        r#"-- report_rows::resumption
        select (select byte + length from report_rows where report_id = $1 and n = $2) as last,
               array(select byte from report_redactions where report_id = $1) as "erased!""#,
        report,
        n,
    )
    .fetch_one(connection)
    .await?;
    Ok((place.last, place.erased))
}

/// Another row about a tracking id: of this report, or of a report that has an effect.
#[derive(Clone, Debug)]
pub struct Earlier {
    pub provider_reference: String,
    pub row_key: String,
    pub digest: Vec<u8>,
    pub report_id: Uuid,
    pub n: i64,
    pub class: String,
    /// Whether it is a final answer.
    pub is_final: bool,
    pub as_of: Option<Time>,
}

/// The rows of registers about these tracking ids. Plan: the lateral query has no other index than that of the tracking ids; a join
/// would let the planner scan this report once per row while its statistics say that it is empty.
pub async fn of_references(
    connection: &mut PgConnection,
    report: Uuid,
    provider: &str,
    references: &[String],
) -> sqlx::Result<Vec<Earlier>> {
    sqlx::query_as!(
        Earlier,
        r#"-- report_rows::of_references
        select r.provider_reference as "provider_reference!", r.row_key, r.digest, r.report_id, r.n, r.class,
               r.theirs ->> 'verdict' in ('completed', 'rejected') as "is_final!", reports.as_of
          from unnest($3::text[]) as asked(reference)
         cross join lateral (select * from report_rows r
                              where r.provider_reference = asked.reference and r.provider = $2 and r.kind = 'register'
                             offset 0) as r
          join reports on reports.id = r.report_id
         where r.report_id = $1 or (not reports.dry_run and reports.state in ('reading', 'finished'))"#,
        report,
        provider,
        references,
    )
    .fetch_all(connection)
    .await
}

/// Gives rows another class.
pub async fn reclassify(connection: &mut PgConnection, report: Uuid, rows: &[(i64, &str, &str)]) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let numbers: Vec<i64> = rows.iter().map(|it| it.0).collect();
    let classes: Vec<&str> = rows.iter().map(|it| it.1).collect();
    let rules: Vec<&str> = rows.iter().map(|it| it.2).collect();
    sqlx::query!(
        r#"-- report_rows::reclassify
        update report_rows r set class = n.class, rule = n.rule, found = true
          from unnest($2::bigint[], $3::text[], $4::text[]) as n(n, class, rule)
         where r.report_id = $1 and r.n = n.n"#,
        report,
        &numbers,
        &classes as &[&str],
        &rules as &[&str],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// How many rows of a report have a class.
pub async fn count_of_class(connection: &mut PgConnection, report: Uuid, class: &str) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"-- report_rows::count_of_class
        select count(*) as "count!" from report_rows
         where report_id = $1 and class = $2 and class not in ('MATCHED', 'REPEATED')"#,
        report,
        class,
    )
    .fetch_one(connection)
    .await
}

/// A row as it stands.
#[derive(Clone, Debug)]
pub struct Row {
    pub n: i64,
    pub line: i64,
    pub kind: String,
    pub row_key: String,
    pub digest: Vec<u8>,
    pub provider_reference: Option<String>,
    pub reference: Option<String>,
    pub status: Option<String>,
    pub amount: Option<Decimal>,
    pub currency: Option<String>,
    pub class: String,
    pub rule: String,
    pub opening_id: Option<Uuid>,
    pub theirs: Value,
    pub redacted: bool,
}

/// A page of the rows of a report, in the order of the file.
pub async fn list(connection: &mut PgConnection, report: Uuid, page: Page<i64>) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"-- report_rows::list
        select n, line, kind, row_key, digest, provider_reference, reference, status, amount, currency, class, rule,
               opening_id, theirs, redacted
          from report_rows
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

/// A page of the rows of one class. A statement of its own, so that rare classes are found by their partial index; the rows of the
/// usual classes are met at once by the primary key.
pub async fn list_of_class(
    connection: &mut PgConnection,
    report: Uuid,
    class: &str,
    page: Page<i64>,
) -> sqlx::Result<Vec<Row>> {
    if matches!(class, "MATCHED" | "REPEATED") {
        return list_of_usual_class(connection, report, class, page).await;
    }
    sqlx::query_as!(
        Row,
        r#"-- report_rows::list_of_class
        select n, line, kind, row_key, digest, provider_reference, reference, status, amount, currency, class, rule,
               opening_id, theirs, redacted
          from report_rows
         where report_id = $1 and class = $2 and class not in ('MATCHED', 'REPEATED') and n > $3
         order by n
         limit $4"#,
        report,
        class,
        page.after.unwrap_or_default(),
        page.limit,
    )
    .fetch_all(connection)
    .await
}

async fn list_of_usual_class(
    connection: &mut PgConnection,
    report: Uuid,
    class: &str,
    page: Page<i64>,
) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"-- report_rows::list_of_usual_class
        select n, line, kind, row_key, digest, provider_reference, reference, status, amount, currency, class, rule,
               opening_id, theirs, redacted
          from report_rows
         where report_id = $1 and class = $2 and n > $3
         order by n
         limit $4"#,
        report,
        class,
        page.after.unwrap_or_default(),
        page.limit,
    )
    .fetch_all(connection)
    .await
}

/// The number of rows about openings that match none of ours.
pub async fn strangers(connection: &mut PgConnection, report: Uuid) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"-- report_rows::strangers
        select count(*) as "count!" from report_rows
         where report_id = $1 and opening_id is null and kind <> 'bank'
           and (kind = 'register' or status in ('charge', 'refund'))"#,
        report,
    )
    .fetch_one(connection)
    .await
}

/// The next rows with a difference, in the order of the file.
pub async fn to_apply(connection: &mut PgConnection, report: Uuid, after: i64, limit: i64) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"-- report_rows::to_apply
        select n, line, kind, row_key, digest, provider_reference, reference, status, amount, currency, class, rule,
               opening_id, theirs, redacted
          from report_rows
         where report_id = $1 and found and n > $2 and not redacted
         order by n
         limit $3"#,
        report,
        after,
        limit,
    )
    .fetch_all(connection)
    .await
}
