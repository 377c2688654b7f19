//! The rows of one charges report, as far as they depend on each other.

use serde_json::Value;
use sqlx::PgConnection;
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
    pub theirs: Value,
}

impl ChargeOfReport {
    /// The opening and code that the row is for.
    #[must_use]
    pub fn fee(&self) -> Option<(Uuid, String)> {
        Some((self.opening_id?, self.code.clone().unwrap_or_default()))
    }
}

/// The rows of a report with these keys.
pub async fn of_keys(
    connection: &mut PgConnection,
    report: Uuid,
    provider: &str,
    keys: &[String],
) -> sqlx::Result<Vec<ChargeOfReport>> {
    sqlx::query_as!(
        ChargeOfReport,
        r#"-- report_rows::of_keys
        select n, line, row_key, digest, opening_id, theirs ->> 'code' as code, class, rule, theirs
          from report_rows
         where provider = $2 and row_key = any($3) and kind <> 'register' and report_id = $1"#,
        report,
        provider,
        keys,
    )
    .fetch_all(connection)
    .await
}

/// The next rows of a report whose opening and code other rows of it have too, by opening and code.
pub async fn of_shared_fees(
    connection: &mut PgConnection,
    report: Uuid,
    after: Option<&(Uuid, String)>,
    limit: i64,
) -> sqlx::Result<Vec<ChargeOfReport>> {
    let (opening, code) = after.map_or((Uuid::nil(), ""), |(opening, code)| (*opening, code.as_str()));
    sqlx::query_as!(
        ChargeOfReport,
        r#"-- report_rows::of_shared_fees
        with rows as (
            select n, line, row_key, digest, opening_id, coalesce(theirs ->> 'code', '') as code, class, rule, theirs
              from report_rows
             where report_id = $1 and kind = 'charges' and opening_id is not null
               and class not in ('CONFLICTING_ROWS', 'REPEATED') and theirs ->> 'line_type' not in ('group', 'settlement')
        ), shared as (
            select opening_id, code from rows group by opening_id, code having count(*) > 1
        )
        select n as "n!", line as "line!", row_key as "row_key!", digest as "digest!", opening_id, code, class as "class!",
               rule as "rule!", theirs as "theirs!"
          from rows join shared using (opening_id, code)
         where (opening_id, code) > ($2, $3)
         order by opening_id, code, n
         limit $4"#,
        report,
        opening,
        code,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// The groups and settlements of a report, by the ids of their lines.
pub async fn groups_and_settlements(connection: &mut PgConnection, report: Uuid) -> sqlx::Result<Vec<ChargeOfReport>> {
    sqlx::query_as!(
        ChargeOfReport,
        r#"-- report_rows::groups_and_settlements
        select n, line, row_key, digest, opening_id, theirs ->> 'code' as code, class, rule, theirs
          from report_rows
         where report_id = $1 and kind = 'charges' and status in ('group', 'settlement')
           and class not in ('CONFLICTING_ROWS', 'REPEATED')
         order by row_key collate "C""#,
        report,
    )
    .fetch_all(connection)
    .await
}

/// Number and sums of the lines that name a settlement: those of this report, and those of earlier ones that it does not repeat.
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
             where report_id = $1 and kind = 'charges' and status <> 'settlement' and class <> 'CONFLICTING_ROWS'
               and rule not in ('same_row_of_this_file', 'a_newer_version_counts')
               and theirs ->> 'settlement_id' = any($3)
             union all
            select c.settlement_id, c.currency, c.amount, c.tax
              from charge_lines c
             where c.provider = $2 and c.settlement_id = any($3) and c.line_type <> 'settlement'
               and not exists (select from report_rows r
                                where r.provider = c.provider and r.row_key = c.line_id and r.kind <> 'register'
                                  and r.report_id = $1 and r.class <> 'CONFLICTING_ROWS'
                                  and r.rule <> 'a_newer_version_counts')
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
        select n, line, row_key, digest, opening_id, theirs ->> 'code' as code, class, rule, theirs
          from report_rows
         where report_id = $1 and kind = 'charges' and n > $2 and not redacted
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
    /// What it was judged by.
    pub ours: Value,
}

/// Gives rows the class that the whole file gives them.
pub async fn judge(connection: &mut PgConnection, report: Uuid, rows: &[Judged]) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let numbers: Vec<i64> = rows.iter().map(|it| it.n).collect();
    let classes: Vec<&str> = rows.iter().map(|it| it.class).collect();
    let rules: Vec<&str> = rows.iter().map(|it| it.rule).collect();
    let ours: Vec<&Value> = rows.iter().map(|it| &it.ours).collect();
    sqlx::query!(
        r#"-- report_rows::judge
        update report_rows r set class = n.class, rule = n.rule, ours = n.ours
          from unnest($2::bigint[], $3::text[], $4::text[], $5::jsonb[]) as n(n, class, rule, ours)
         where r.report_id = $1 and r.n = n.n"#,
        report,
        &numbers,
        &classes as &[&str],
        &rules as &[&str],
        &ours as &[&Value],
    )
    .execute(connection)
    .await?;
    Ok(())
}
