//! The rows of one charges report, as far as they depend on each other. Plans: see `fee_ledger::expected` for `kind is not distinct from`.

use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::db::charge_lines::Sum;

/// A row of a charges report.
#[derive(Clone, Debug)]
pub struct ChargeOfReport {
    pub n: i64,
    pub line: i64,
    pub row_key: String,
    pub digest: Vec<u8>,
    pub opening_id: Option<Uuid>,
    pub code: Option<String>,
    pub class: String,
    pub rule: String,
    /// As text: a tree of JSON takes several times its memory.
    pub theirs: Json<Box<RawValue>>,
}

impl ChargeOfReport {
    /// The opening and code that the row is for.
    #[must_use]
    pub fn fee(&self) -> Option<(Uuid, String)> {
        Some((self.opening_id?, self.code.clone().unwrap_or_default()))
    }
}

/// The rows of a report with these keys. Plan: the lateral query has no other index than that of the keys; with `= any` a generic
/// plan compares every row of the report with every key.
pub async fn of_keys(
    connection: &mut PgConnection,
    report: Uuid,
    provider: &str,
    keys: &[String],
) -> sqlx::Result<Vec<ChargeOfReport>> {
    sqlx::query_as!(
        ChargeOfReport,
        r#"-- report_rows::of_keys
        select r.n, r.line, r.row_key, r.digest, r.opening_id, r.theirs ->> 'code' as code, r.class, r.rule,
               r.theirs as "theirs: Json<Box<RawValue>>"
          from (select distinct key from unnest($3::text[]) as keys(key)) as asked
         cross join lateral (select * from report_rows r
                              where r.provider = $2 and r.row_key = asked.key and r.kind <> 'register'
                                and r.report_id is not distinct from $1
                             offset 0) as r"#,
        report,
        provider,
        keys,
    )
    .fetch_all(connection)
    .await
}

/// Where a walk over the rows of fees goes on: the fee and the row's number.
pub type Place = (String, String, i64);

/// A row of a fee that other rows of the report belong to too.
#[derive(Clone, Debug)]
pub struct Shared {
    pub n: i64,
    pub line: i64,
    pub row_key: String,
    pub digest: Vec<u8>,
    pub opening_id: Option<Uuid>,
    /// Subject and code of the fee that it was found to belong to.
    pub subject: String,
    pub code: String,
    pub class: String,
    pub rule: String,
    /// As text: a tree of JSON takes several times its memory.
    pub theirs: Json<Box<RawValue>>,
    /// How many rows of the report that fee has.
    pub rows: i64,
}

impl From<Shared> for ChargeOfReport {
    fn from(it: Shared) -> Self {
        let Shared { n, line, row_key, digest, opening_id, code, class, rule, theirs, .. } = it;
        Self { n, line, row_key, digest, opening_id, code: Some(code), class, rule, theirs }
    }
}

/// The next rows of a report whose class depends on more than their slice: those of fees that other rows of the report belong to, the
/// conflicting ones too, and those of fees that a line has left by this report. By fee and number. Plan: a hash of the shared fees, and
/// known lines by their primary key.
pub async fn of_shared_fees(
    connection: &mut PgConnection,
    report: Uuid,
    after: Option<&Place>,
    limit: i64,
) -> sqlx::Result<Vec<Shared>> {
    let (subject, code, n) = after.map_or(("", "", 0), |(subject, code, n)| (subject.as_str(), code.as_str(), *n));
    sqlx::query_as!(
        Shared,
        r#"-- report_rows::of_shared_fees
        with rows as (
            select n, line, provider, row_key, digest, opening_id, coalesce(theirs ->> 'code', '') as code, class, rule, theirs,
                   coalesce(opening_id::text, '?' || provider_reference, '?' || reference, '!' || row_key) as subject,
                   class <> 'CONFLICTING_ROWS' and rule not in ('same_row_of_this_file', 'a_newer_version_counts') as counts
              from report_rows
             where report_id = $1 and kind is not distinct from 'charges' and status not in ('group', 'settlement')
        ), shared as (
            select subject, code from rows where rule <> 'same_row_of_this_file' group by subject, code having count(*) > 1
             union
            select l.subject, l.code
              from rows
             cross join lateral (select subject, code from charge_lines
                                  where provider = rows.provider and line_id = rows.row_key offset 0) as l
             where rows.counts and (l.subject, l.code) <> (rows.subject, rows.code)
        )
        select n as "n!", line as "line!", row_key as "row_key!", digest as "digest!", opening_id, code as "code!",
               class as "class!", rule as "rule!", theirs as "theirs!: Json<Box<RawValue>>", subject as "subject!",
               of_fee as "rows!"
          from (select rows.*, count(*) over (partition by subject, code) as of_fee
                  from rows
                 where counts and ((subject, code) in (select subject, code from shared)) is true) as counting
         where (subject collate "C", code collate "C", n) > ($2, $3, $4)
         order by subject collate "C", code collate "C", n
         limit $5"#,
        report,
        subject,
        code,
        n,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// The groups and settlements of a report that count.
pub async fn groups_and_settlements(connection: &mut PgConnection, report: Uuid) -> sqlx::Result<Vec<ChargeOfReport>> {
    sqlx::query_as!(
        ChargeOfReport,
        r#"-- report_rows::groups_and_settlements
        select n, line, row_key, digest, opening_id, theirs ->> 'code' as code, class, rule,
               theirs as "theirs: Json<Box<RawValue>>"
          from report_rows
         where report_id = $1 and kind = 'charges' and status in ('group', 'settlement') and class <> 'CONFLICTING_ROWS'
           and rule not in ('same_row_of_this_file', 'a_newer_version_counts')"#,
        report,
    )
    .fetch_all(connection)
    .await
}

/// Number and sums of the lines that name a settlement: those of this report, and those of earlier ones that it does not repeat. Plan:
/// `is true` makes a hash of the settlements, which may be as many as the rows.
pub async fn sums(
    connection: &mut PgConnection,
    report: Uuid,
    provider: &str,
    settlements: &[String],
) -> sqlx::Result<Vec<Sum>> {
    sqlx::query_as!(
        Sum,
        r#"-- report_rows::sums
        with lines as (
            select theirs ->> 'settlement_id' as settlement_id, currency, amount, (theirs ->> 'tax')::numeric as tax
              from report_rows
             where report_id = $1 and kind is not distinct from 'charges' and status <> 'settlement'
               and class <> 'CONFLICTING_ROWS'
               and rule not in ('same_row_of_this_file', 'a_newer_version_counts')
               and (theirs ->> 'settlement_id' in (select id from unnest($3::text[]) as asked(id))) is true
             union all
            select c.settlement_id, c.currency, c.amount, c.tax
              from (select distinct id from unnest($3::text[]) as ids(id)) as asked
             cross join lateral (select * from charge_lines l
                                  where l.provider = $2 and l.settlement_id = asked.id and l.line_type <> 'settlement'
                                 offset 0) as c
             where not exists (select from report_rows r
                                where r.provider = c.provider and r.row_key = c.line_id and r.kind <> 'register'
                                  and r.report_id is not distinct from $1 and r.class <> 'CONFLICTING_ROWS'
                                  and r.rule not in ('same_row_of_this_file', 'a_newer_version_counts')
                               offset 0)
        )
        select settlement_id as "settlement_id!", currency as "currency!", count(*) as "count!", sum(amount) as "amount!",
               sum(tax) as "tax!"
          from lines group by settlement_id, currency"#,
        report,
        provider,
        settlements,
    )
    .fetch_all(connection)
    .await
}

/// The next rows of a charges report, in the order of the file.
pub async fn charges(
    connection: &mut PgConnection,
    report: Uuid,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<ChargeOfReport>> {
    sqlx::query_as!(
        ChargeOfReport,
        r#"-- report_rows::charges
        select n, line, row_key, digest, opening_id, theirs ->> 'code' as code, class, rule,
               theirs as "theirs: Json<Box<RawValue>>"
          from report_rows
         where report_id = $1 and kind is not distinct from 'charges' and n > $2 and not redacted
         order by n
         limit $3"#,
        report,
        after,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// A row that was judged with its whole file.
#[derive(Clone, Debug)]
pub struct Judged {
    pub n: i64,
    pub class: &'static str,
    pub rule: &'static str,
    /// The basis of the judgement.
    pub ours: Box<RawValue>,
}

/// Gives rows the class that the whole file gives them.
pub async fn judge(connection: &mut PgConnection, report: Uuid, rows: &[Judged]) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let numbers: Vec<i64> = rows.iter().map(|it| it.n).collect();
    let classes: Vec<&str> = rows.iter().map(|it| it.class).collect();
    let rules: Vec<&str> = rows.iter().map(|it| it.rule).collect();
    let ours: Vec<Json<&RawValue>> = rows.iter().map(|it| Json(&*it.ours)).collect();
    sqlx::query!(
        r#"-- report_rows::judge
        update report_rows r set class = n.class, rule = n.rule, ours = n.ours
          from unnest($2::bigint[], $3::text[], $4::text[], $5::jsonb[]) as n(n, class, rule, ours)
         where r.report_id = $1 and r.n = n.n"#,
        report,
        &numbers,
        &classes as &[&str],
        &rules as &[&str],
        &ours as &[Json<&RawValue>],
    )
    .execute(connection)
    .await?;
    Ok(())
}
