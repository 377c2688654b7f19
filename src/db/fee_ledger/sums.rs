//! `fee_sums`: the totals of the ledger's lines.
//!
//! Triggers append a row with the lines of each statement (`0010_fee_ledger.sql`). Adding rows up replaces them by their total in one
//! statement, so that the balances are those of the lines at any time.

use rust_decimal::Decimal;
use sqlx::PgConnection;

use crate::db::archive::Moved;

/// The balance of an account: credits less debits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    pub provider: String,
    pub account: String,
    pub currency: String,
    pub balance: Decimal,
}

/// The balance of every account that has a line.
pub async fn balances(connection: &mut PgConnection) -> sqlx::Result<Vec<Balance>> {
    sqlx::query_as!(
        Balance,
        r#"-- fee_ledger::balances
        select provider as "provider!", account as "account!", currency as "currency!", sum(amount) as "balance!"
          from (select provider, credit as account, currency, amount from fee_sums
                 union all
                select provider, debit, currency, -amount from fee_sums) as sides
         group by provider, account, currency
         order by provider, account, currency"#,
    )
    .fetch_all(connection)
    .await
}

/// Reads at most `limit` rows, and replaces those that belong to one sum by their total.
///
/// Two sweepers may read the same rows: the one that waits for the other's commit finds them deleted and passes over them.
pub async fn add_up(connection: &mut PgConnection, limit: i64) -> sqlx::Result<Moved> {
    let added = sqlx::query!(
        r#"-- fee_ledger::add_up
        with read as (
            select place, count(*) over (partition by provider, debit, credit, currency) as alike
              from (select ctid as place, provider, debit, credit, currency from fee_sums limit $1) as looked_at
        ), rows as (
            delete from fee_sums where ctid = any(array(select place from read where alike > 1))
            returning provider, debit, credit, currency, amount
        ), totals as (
            insert into fee_sums (provider, debit, credit, currency, amount)
            select provider, debit, credit, currency, sum(amount) from rows group by provider, debit, credit, currency
        )
        select (select count(*) from rows) as "rows!", (select count(*) from read) as "read!""#,
        limit,
    )
    .fetch_one(connection)
    .await?;
    Ok(Moved { rows: added.rows.unsigned_abs(), more: added.rows > 0 && added.read == limit })
}
