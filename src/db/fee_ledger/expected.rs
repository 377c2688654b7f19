//! Expected fees: which there are, and which of them no charge settles.

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
    let causes: Vec<String> = fees.iter().map(|(opening, code)| format!("accrual:{opening}:{code}")).collect();
    sqlx::query_as!(
        Accrual,
        r#"-- fee_ledger::accruals
        select id, at, opening_id as "opening_id!", code as "code!", amount, tax, currency
          from fee_ledger where cause = any($1)"#,
        &causes,
    )
    .fetch_all(connection)
    .await
}

/// How many lines have settled each of these expected fees, the reversed ones too.
pub async fn settled_before(connection: &mut PgConnection, accruals: &[Uuid]) -> sqlx::Result<Vec<(Uuid, i32)>> {
    let rows = sqlx::query!(
        r#"-- fee_ledger::settled_before
        select settles as "settles!", count(*)::integer as "count!" from fee_ledger where settles = any($1) group by settles"#,
        accruals,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|it| (it.settles, it.count)).collect())
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

/// The expected fees of a code and currency in a period that no single line charges, in the order of their ids. With a report, its
/// rows count as lines.
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
                              and c.line_type = 'charge')
           and not exists (select from report_rows r
                            where r.report_id = $8 and r.opening_id = f.opening_id and r.kind = 'charges'
                              and r.status = 'charge' and r.theirs ->> 'code' = f.code)
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

/// The next expected fees of a period that no line charges, single or group. With a report, its rows count as lines.
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
         where f.id > $1 and f.id <= $2 and f.at >= $3 and f.at < $4 and f.provider = $5
           and f.debit = 'cost' and f.price_list is not null
           and not exists (select from charge_lines c
                            where c.provider = f.provider and c.subject = f.opening_id::text and c.code = f.code
                              and c.line_type = 'charge')
           and not exists (select from fee_ledger s
                            where s.settles = f.id
                              and not exists (select from fee_ledger r where r.reverses = s.id))
           and not exists (select from report_rows r
                            where r.report_id = $7 and r.opening_id = f.opening_id and r.kind = 'charges'
                              and r.status = 'charge' and r.theirs ->> 'code' = f.code)
           -- A group of the report that agrees charges every fee of its code and currency.
           and not exists (select from report_rows g
                            where g.report_id = $7 and g.kind = 'charges' and g.status = 'group' and g.class = 'MATCHED'
                              and g.theirs ->> 'code' = f.code and g.currency = f.currency)
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
