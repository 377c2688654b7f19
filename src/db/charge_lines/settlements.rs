//! Settlements with their lines and payments, for people.

use rust_decimal::Decimal;
use serde::Deserialize;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::clock::Time;
use crate::db::Page;

/// Lines of a settlement that are listed; all are counted.
const LINES: i64 = 50;
/// Open mismatches about bank entries that are looked at.
const MOST: i64 = 1_000;

#[derive(Clone, Debug)]
pub struct Settlement {
    pub provider: String,
    pub settlement_id: String,
    pub report_id: Uuid,
    pub line: i64,
    pub as_of: Time,
    pub currency: String,
    /// The sum and the number of the lines, as the provider states them.
    pub amount: Decimal,
    pub quantity: i64,
    /// The class by the comparison with the lines.
    pub class: String,
    pub count: i64,
    /// Of the lines in the settlement's currency.
    pub sum: Decimal,
    /// The first of them.
    pub lines: Json<Vec<SettledLine>>,
    pub payments: Json<Vec<Payment>>,
    /// The open mismatch about its payment.
    pub mismatch: Option<Uuid>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct SettledLine {
    pub line_id: String,
    pub line_type: String,
    pub code: String,
    pub opening_id: Option<Uuid>,
    /// Exact, as text.
    pub amount: String,
    pub currency: String,
}

/// A line of the ledger that books a bank entry, and was not undone.
#[derive(Clone, Debug, Deserialize)]
pub struct Payment {
    pub at: Time,
    /// Negative where the provider paid us. Exact, as text.
    pub amount: String,
    pub currency: String,
    pub report_id: Option<Uuid>,
    pub line: Option<i64>,
}

/// The key of a page of settlements: as of when, report and line.
pub type Place = (Time, Uuid, i64);

/// A page of settlements, newest first; of one opening's lines where it is given.
///
/// A payment is found by its cause, which is unique: `payment:{provider}:{settlement}:{currency}:{earlier payments}`.
pub async fn settlements(
    connection: &mut PgConnection,
    opening: Option<Uuid>,
    page: Page<Place>,
) -> sqlx::Result<Vec<Settlement>> {
    let (as_of, report, line) = page.after.unwrap_or((Time::MAX_UTC, Uuid::max(), i64::MAX));
    sqlx::query_as!(
        Settlement,
        r#"-- charge_lines::settlements
        with newest as (
            select provider, settlement_id, report_id, line, as_of, currency, amount, content, class
              from charge_lines s
             where line_type = 'settlement' and settlement_id is not null
               and ($1::uuid is null or exists (select from charge_lines l
                                where l.provider = s.provider and l.subject = $1::uuid::text
                                  and l.settlement_id = s.settlement_id))
               and (as_of, report_id, line) < ($5, $6, $7)
             order by as_of desc, report_id desc, line desc
             limit $2
        ), unpaid as (
            select id, provider, subject, theirs from mismatches
             where kind = 'bank' and class = 'BANK_MISMATCH' and look_at is not null
             order by look_at limit $3
        )
        select s.provider, s.settlement_id as "settlement_id!", s.report_id, s.line, s.as_of, s.currency, s.amount,
               coalesce((s.content ->> 'quantity')::bigint, 0) as "quantity!", s.class,
               sums.count as "count!", sums.sum as "sum!", listed.lines as "lines!: Json<Vec<SettledLine>>",
               paid.payments as "payments!: Json<Vec<Payment>>",
               (select u.id from unpaid u
                 where u.provider = s.provider
                   and (u.subject = s.settlement_id or u.theirs -> 'settlement_ids' ? s.settlement_id)
                 limit 1) as mismatch
          from newest s
         cross join lateral (
               select count(*) as count, coalesce(sum(amount) filter (where l.currency = s.currency), 0) as sum
                 from charge_lines l
                where l.provider = s.provider and l.settlement_id = s.settlement_id and l.line_type <> 'settlement') as sums
         cross join lateral (
               select coalesce(jsonb_agg(jsonb_build_object('line_id', line_id, 'line_type', line_type, 'code', code,
                          'opening_id', opening_id, 'amount', amount::text, 'currency', currency) order by line_id), '[]')
                          as lines
                 from (select * from charge_lines l
                        where l.provider = s.provider and l.settlement_id = s.settlement_id and l.line_type <> 'settlement'
                        order by line_id limit $4) as l) as listed
         cross join lateral (
               select coalesce(jsonb_agg(jsonb_build_object('at', f.at, 'currency', f.currency,
                          'amount', (case f.credit when 'paid' then f.amount else -f.amount end)::text,
                          'report_id', f.report_id, 'line', f.line) order by f.id), '[]') as payments
                 from generate_series(0, 9) as n
                 join fee_bookings f
                   on f.cause = 'payment:' || s.provider || ':' || s.settlement_id || ':' || s.currency || ':' || n
                where not exists (select from fee_bookings r where r.reverses = f.id)) as paid
         order by s.as_of desc, s.report_id desc, s.line desc"#,
        opening,
        page.limit,
        MOST,
        LINES,
        as_of,
        report,
        line,
    )
    .fetch_all(connection)
    .await
}
