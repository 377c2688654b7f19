//! Ledger lines and charge lines of a report's evidence.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::db::Page;

/// A line of the ledger.
#[derive(Clone, Debug)]
pub struct Booked {
    pub key: Uuid,
    /// The expected fee that it settles.
    pub settles: Option<Uuid>,
    /// SHA-256 of the price list, of an expected fee.
    pub price_list: Option<String>,
    pub text: String,
}

/// `ledger.jsonl`: the lines that rows of the report caused, and the reversals of those.
pub async fn ledger(connection: &mut PgConnection, report: Uuid, page: Page<Uuid>) -> sqlx::Result<Vec<Booked>> {
    sqlx::query_as!(
        Booked,
        r#"-- evidence::ledger
        select f.id as "key!", f.settles, f.price_list,
               (to_jsonb(f) || jsonb_build_object('amount', f.amount::text, 'tax', f.tax::text))::text as "text!"
          from fee_ledger f
         where f.report_id = $1 and f.id > $2
         order by f.id
         limit $3"#,
        report,
        page.after.unwrap_or_default(),
        page.limit,
    )
    .fetch_all(connection)
    .await
}

/// `ledger.jsonl`, at its end: those of these lines that the report did not cause. They are the expected fees that it settles, and what
/// an earlier report booked for a line that is worth the same here.
pub async fn beside(connection: &mut PgConnection, report: Uuid, ids: &[Uuid]) -> sqlx::Result<Vec<Booked>> {
    sqlx::query_as!(
        Booked,
        r#"-- evidence::beside
        select f.id as "key!", f.settles, f.price_list,
               (to_jsonb(f) || jsonb_build_object('amount', f.amount::text, 'tax', f.tax::text))::text as "text!"
          from fee_ledger f
         where f.id = any($2) and f.report_id is distinct from $1
         order by f.id"#,
        report,
        ids,
    )
    .fetch_all(connection)
    .await
}

/// The content of a price list.
pub async fn price_list(connection: &mut PgConnection, sha256: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        r#"-- evidence::price_list
        select content from price_lists where sha256 = $1"#,
        sha256,
    )
    .fetch_optional(connection)
    .await
}

/// A line of the provider.
#[derive(Clone, Debug)]
pub struct Charged {
    pub key: i64,
    /// The lines of the ledger that book it.
    pub ledger: Vec<Uuid>,
    pub text: String,
}

/// `charge-lines.jsonl`: the provider's charge lines of which this report has the newest version, in the order of its rows.
pub async fn charge_lines(connection: &mut PgConnection, report: Uuid, page: Page<i64>) -> sqlx::Result<Vec<Charged>> {
    sqlx::query_as!(
        Charged,
        r#"-- evidence::charge_lines
        select r.n as key, c.ledger,
               jsonb_build_object(
                   'line_id', c.line_id, 'line', c.line, 'line_type', c.line_type, 'opening_id', c.opening_id,
                   'code', c.code, 'settlement_id', c.settlement_id, 'currency', c.currency, 'amount', c.amount::text,
                   'tax', c.tax::text, 'class', c.class, 'rule', c.rule, 'bookings', c.bookings, 'ledger', c.ledger,
                   'generation', c.generation)::text as "text!"
          from report_rows r
          join charge_lines c on c.provider = r.provider and c.line_id = r.row_key and c.report_id = r.report_id
                             and c.line = r.line
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
