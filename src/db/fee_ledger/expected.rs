//! Expected fees: which there are, and which of them no charge settles.
//!
//! Plans: `offset 0` keeps the planner from joining report rows as a set. While its statistics say that they are none, it would read
//! them all for each line.

use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::{Time, last_id_of};

/// The line of an expected fee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accrual {
    pub id: Uuid,
    pub at: Time,
    pub opening_id: Uuid,
    pub code: String,
    pub amount: Decimal,
    pub tax: Decimal,
    pub currency: String,
}

/// The expected fees of these openings and codes.
pub async fn accruals(connection: &mut PgConnection, fees: &[(Uuid, String)]) -> sqlx::Result<Vec<Accrual>> {
    if fees.is_empty() {
        return Ok(Vec::new());
    }
    let causes: Vec<String> = fees.iter().map(|(opening, code)| format!("accrual:{opening}:{code}")).collect();
    sqlx::query_as!(
        Accrual,
        r#"-- fee_ledger::accruals
        select f.id, f.at, f.opening_id as "opening_id!", f.code as "code!", f.amount, f.tax, f.currency
          from (select distinct cause from unnest($1::text[]) as causes(cause)) as asked
         cross join lateral (select * from fee_ledger l where l.cause = asked.cause offset 0) as f"#,
        &causes,
    )
    .fetch_all(connection)
    .await
}

/// A period of steps.
#[derive(Clone, Copy, Debug)]
pub struct Steps<'a> {
    pub provider: &'a str,
    /// Inclusive.
    pub from: Time,
    /// Exclusive.
    pub until: Time,
}

impl Steps<'_> {
    /// Bounds of the ids of lines that were written in the period. A line is written in the commit of its step, so its id is
    /// hardly younger; an hour covers clocks that differ.
    fn ids(&self) -> (Uuid, Uuid) {
        let hour = chrono::TimeDelta::hours(1);
        (last_id_of(self.from - hour), last_id_of(self.until + hour))
    }
}

/// The expected fees of a code and currency in a period that no single line charges, in the order of their ids. With a report that
/// is not applied yet, its rows count as lines.
pub async fn without_single_charge(
    connection: &mut PgConnection,
    steps: Steps<'_>,
    code: &str,
    currency: &str,
    report: Option<Uuid>,
) -> sqlx::Result<Vec<Accrual>> {
    let (first, last) = steps.ids();
    sqlx::query_as!(
        Accrual,
        r#"-- fee_ledger::without_single_charge
        select f.id, f.at, f.opening_id as "opening_id!", f.code as "code!", f.amount, f.tax, f.currency
          from fee_ledger f
         where f.id > $1 and f.id <= $2 and f.at >= $3 and f.at < $4 and f.provider = $5 and f.code = $6 and f.currency = $7
           and f.debit = 'cost' and f.price_list is not null
           and not exists (select from charge_lines c
                            where c.provider = f.provider and c.subject = f.opening_id::text and c.code = f.code
                              and c.line_type = 'charge'
                              and not exists (select from report_rows r
                                               where r.provider = c.provider and r.row_key = c.line_id and r.kind <> 'register'
                                                 and r.report_id is not distinct from $8 and r.class <> 'CONFLICTING_ROWS'
                                                 and r.rule not in ('same_row_of_this_file', 'a_newer_version_counts') offset 0))
           and not exists (select from report_rows r
                            where r.report_id is not distinct from $8 and r.opening_id = f.opening_id and r.kind = 'charges'
                              and r.status = 'charge' and r.theirs ->> 'code' = f.code and r.class <> 'CONFLICTING_ROWS'
                              and r.rule not in ('same_row_of_this_file', 'a_newer_version_counts') offset 0)
         order by f.id"#,
        first,
        last,
        steps.from,
        steps.until,
        steps.provider,
        code,
        currency,
        report,
    )
    .fetch_all(connection)
    .await
}

/// The next expected fees of a period that no line charges: no single line, and no group of their code, currency and time, which
/// stands for them all whether it agrees or not. With a report that is not applied yet, its rows count as lines.
pub async fn uncharged(
    connection: &mut PgConnection,
    steps: Steps<'_>,
    report: Option<Uuid>,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Accrual>> {
    let (first, last) = steps.ids();
    sqlx::query_as!(
        Accrual,
        r#"-- fee_ledger::uncharged
        select f.id, f.at, f.opening_id as "opening_id!", f.code as "code!", f.amount, f.tax, f.currency
          from fee_ledger f
         where f.id > $1 and f.id <= $2 and f.at >= $3 and f.at < $4 and f.provider = $5 and f.debit = 'cost' and f.price_list is not null
           and not exists (select from charge_lines c
                            where c.provider = f.provider and c.subject = f.opening_id::text and c.code = f.code
                              and c.line_type = 'charge'
                              and not exists (select from report_rows r
                                               where r.provider = c.provider and r.row_key = c.line_id and r.kind <> 'register'
                                                 and r.report_id is not distinct from $7 and r.class <> 'CONFLICTING_ROWS'
                                                 and r.rule not in ('same_row_of_this_file', 'a_newer_version_counts') offset 0))
           and not exists (select from charge_lines g
                            where g.provider = f.provider and g.code = f.code and g.currency = f.currency
                              and g.line_type = 'group' and (g.period_from is null or g.period_from <= f.at)
                              and coalesce(g.period_until, g.as_of) > f.at
                              and not exists (select from report_rows r
                                               where r.provider = g.provider and r.row_key = g.line_id and r.kind <> 'register'
                                                 and r.report_id is not distinct from $7 and r.class <> 'CONFLICTING_ROWS'
                                                 and r.rule not in ('same_row_of_this_file', 'a_newer_version_counts') offset 0))
           and not exists (select from report_rows r
                            where r.report_id is not distinct from $7 and r.opening_id = f.opening_id and r.kind = 'charges'
                              and r.status = 'charge' and r.theirs ->> 'code' = f.code and r.class <> 'CONFLICTING_ROWS'
                              and r.rule not in ('same_row_of_this_file', 'a_newer_version_counts') offset 0)
           and not exists (select from report_rows r
                            where r.report_id = $7 and r.kind = 'charges' and r.status = 'group'
                              and r.theirs ->> 'code' = f.code and r.currency = f.currency and r.class <> 'CONFLICTING_ROWS'
                              and r.rule not in ('same_row_of_this_file', 'a_newer_version_counts') offset 0)
         order by f.id
         limit $6"#,
        after.map_or(first, |after| after.max(first)),
        last,
        steps.from,
        steps.until,
        steps.provider,
        limit,
        report,
    )
    .fetch_all(connection)
    .await
}
