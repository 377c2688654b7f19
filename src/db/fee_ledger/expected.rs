//! Expected fees: booking them, which there are, and which of them no charge settles.
//!
//! Plans: `offset 0` keeps the planner from joining report rows as a set. While its statistics say that they are none, it would read
//! them all for each line. `kind is not distinct from 'charges'` keeps it from the index of their keys: `=` implies that index's condition, and
//! while the statistics know no rows but those of registers, reading that index whole seems cheaper than looking up an opening.

use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::{Time, last_id_of};
use crate::domain::OpeningId;
use crate::domain::fee::Fee;

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

/// An expected fee to be booked: cost → expected.
#[derive(Clone, Debug)]
pub struct NewAccrual<'a> {
    pub id: Uuid,
    pub at: Time,
    pub opening: OpeningId,
    pub provider: &'a str,
    pub fee: Fee,
}

/// Books expected fees by the price list with this SHA-256, in one statement; passes over each opening and code that has its fee.
pub async fn accrue(connection: &mut PgConnection, price_list: &str, fees: &[NewAccrual<'_>]) -> sqlx::Result<()> {
    if fees.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = fees.iter().map(|it| it.id).collect();
    let times: Vec<Time> = fees.iter().map(|it| it.at).collect();
    let amounts: Vec<Decimal> = fees.iter().map(|it| it.fee.amount()).collect();
    let taxes: Vec<Decimal> = fees.iter().map(|it| it.fee.tax).collect();
    let currencies: Vec<&str> = fees.iter().map(|it| it.fee.currency.as_str()).collect();
    let providers: Vec<&str> = fees.iter().map(|it| it.provider).collect();
    let openings: Vec<Uuid> = fees.iter().map(|it| it.opening.0).collect();
    let codes: Vec<&str> = fees.iter().map(|it| it.fee.code.as_str()).collect();
    sqlx::query!(
        r#"-- fee_ledger::accrue
        insert into expected_fees (id, at, amount, tax, currency, provider, opening_id, code, price_list)
        select id, at, amount, tax, currency, provider, opening_id, code, $9
          from unnest($1::uuid[], $2::timestamptz[], $3::numeric[], $4::numeric[], $5::text[], $6::text[], $7::uuid[], $8::text[])
            as n(id, at, amount, tax, currency, provider, opening_id, code)
        on conflict on constraint one_fee_per_opening_and_code do nothing"#,
        &ids,
        &times,
        &amounts,
        &taxes,
        &currencies as &[&str],
        &providers as &[&str],
        &openings,
        &codes as &[&str],
        price_list,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The expected fees of these openings and codes.
pub async fn accruals(connection: &mut PgConnection, fees: &[(Uuid, String)]) -> sqlx::Result<Vec<Accrual>> {
    if fees.is_empty() {
        return Ok(Vec::new());
    }
    let openings: Vec<Uuid> = fees.iter().map(|it| it.0).collect();
    let codes: Vec<&str> = fees.iter().map(|it| it.1.as_str()).collect();
    sqlx::query_as!(
        Accrual,
        r#"-- fee_ledger::accruals
        select f.id, f.at, f.opening_id, f.code, f.amount, f.tax, f.currency
          from (select distinct opening, code from unnest($1::uuid[], $2::text[]) as fees(opening, code)) as asked
         cross join lateral (select * from expected_fees e
                              where e.opening_id = asked.opening and e.code = asked.code offset 0) as f"#,
        &openings,
        &codes as &[&str],
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
        select f.id, f.at, f.opening_id, f.code, f.amount, f.tax, f.currency
          from expected_fees f
         where f.id > $1 and f.id <= $2 and f.at >= $3 and f.at < $4 and f.provider = $5 and f.code = $6 and f.currency = $7
           and not exists (select from charge_lines c
                            where c.provider = f.provider and c.subject = f.opening_id::text and c.code = f.code
                              and c.line_type = 'charge'
                              and not exists (select from report_rows r
                                               where r.provider = c.provider and r.row_key = c.line_id and r.kind <> 'register'
                                                 and r.report_id is not distinct from $8 and r.class <> 'CONFLICTING_ROWS'
                                                 and r.rule not in ('same_row_of_this_file', 'a_newer_version_counts') offset 0)
                           offset 0)
           and not exists (select from report_rows r
                            where r.report_id is not distinct from $8 and r.opening_id = f.opening_id
                              and r.kind is not distinct from 'charges' and r.status = 'charge' and r.theirs ->> 'code' = f.code
                              and r.class <> 'CONFLICTING_ROWS' and r.rule not in ('same_row_of_this_file', 'a_newer_version_counts') offset 0)
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

/// How far one look for fees without a charge goes.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// The last fee of the look before.
    pub after: Option<Uuid>,
    /// The most fees that it compares.
    pub most: i64,
    /// The most fees that it finds.
    pub found: i64,
}

/// The next expected fees of a period that no line charges: no single line, and no group of their code, currency and time, which stands for
/// them all whether it agrees or not. With a report that is not applied yet, its rows count as lines. Also returns where to go on. Plan: what a
/// fee is compared with is looked up for each by an index, but for the groups of the report, which are read one time.
#[expect(clippy::too_many_lines, reason = "one statement")]
pub async fn uncharged(
    connection: &mut PgConnection,
    steps: Steps<'_>,
    report: Option<Uuid>,
    look: Look,
) -> sqlx::Result<(Vec<Accrual>, Option<Uuid>)> {
    let (first, last) = steps.ids();
    let first = look.after.map_or(first, |after| after.max(first));
    let rows = sqlx::query!(
        r#"-- fee_ledger::uncharged
        with groups as materialized (
            select distinct r.theirs ->> 'code' as code, r.currency
              from report_rows r
             where r.report_id = $6 and r.kind = 'charges' and r.status = 'group' and r.class <> 'CONFLICTING_ROWS'
               and r.rule not in ('same_row_of_this_file', 'a_newer_version_counts')
        )
        select compared.until as "until?", fee.id as "id?", fee.at as "at?", fee.opening_id as "opening_id?", fee.code as "code?",
               fee.amount as "amount?", fee.tax as "tax?", fee.currency as "currency?"
          from (select (select id from expected_fees where id > $1 and id <= $2 order by id offset $7::bigint - 1 limit 1) as until) as compared
          left join lateral (
                select f.id, f.at, f.opening_id, f.code, f.amount, f.tax, f.currency
                  from expected_fees f
                 where f.id > $1 and f.id <= coalesce(compared.until, $2) and f.at >= $3 and f.at < $4 and f.provider = $5
                   and not exists (select from charge_lines c
                                    where c.provider = f.provider and c.subject = f.opening_id::text and c.code = f.code
                                      and c.line_type = 'charge'
                                      and not exists (select from report_rows r
                                                       where r.provider = c.provider and r.row_key = c.line_id
                                                         and r.kind <> 'register' and r.report_id is not distinct from $6
                                                         and r.class <> 'CONFLICTING_ROWS'
                                                         and r.rule not in ('same_row_of_this_file', 'a_newer_version_counts')
                                                      offset 0)
                                   offset 0)
                   and not exists (select from charge_lines g
                                    where g.provider = f.provider and g.code = f.code and g.currency = f.currency
                                      and g.line_type = 'group' and (g.period_from is null or g.period_from <= f.at)
                                      and coalesce(g.period_until, g.as_of) > f.at
                                      and not exists (select from report_rows r
                                                       where r.provider = g.provider and r.row_key = g.line_id
                                                         and r.kind <> 'register' and r.report_id is not distinct from $6
                                                         and r.class <> 'CONFLICTING_ROWS'
                                                         and r.rule not in ('same_row_of_this_file', 'a_newer_version_counts')
                                                      offset 0)
                                   offset 0)
                   and not exists (select from report_rows r
                                    where r.report_id is not distinct from $6 and r.opening_id = f.opening_id
                                      and r.kind is not distinct from 'charges' and r.status = 'charge' and r.theirs ->> 'code' = f.code
                                      and r.class <> 'CONFLICTING_ROWS'
                                      and r.rule not in ('same_row_of_this_file', 'a_newer_version_counts')
                                   offset 0)
                   and not exists (select from groups g where g.code = f.code and g.currency = f.currency offset 0)
                 order by f.id
                 limit $8) as fee on true"#,
        first,
        last,
        steps.from,
        steps.until,
        steps.provider,
        report,
        look.most,
        look.found,
    )
    .fetch_all(connection)
    .await?;
    let until = rows.first().and_then(|it| it.until);
    let fees: Vec<Accrual> = rows
        .into_iter()
        .filter_map(|it| {
            Some(Accrual {
                id: it.id?,
                at: it.at?,
                opening_id: it.opening_id?,
                code: it.code?,
                amount: it.amount?,
                tax: it.tax?,
                currency: it.currency?,
            })
        })
        .collect();
    let is_full = i64::try_from(fees.len()).is_ok_and(|it| it >= look.found);
    let next = if is_full { fees.last().map(|it| it.id) } else { until };
    Ok((fees, next))
}
