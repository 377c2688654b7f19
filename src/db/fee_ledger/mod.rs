//! `fee_ledger`: balanced transfers between the accounts of fees, append-only. A view of two tables: `expected_fees`, and `fee_bookings` for
//! all other lines.

mod expected;
mod sums;

use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

pub use self::expected::{Accrual, Look, NewAccrual, Steps, accruals, accrue, uncharged, without_single_charge};
pub use self::sums::{Balance, add_up, balances};
use super::Page;
use crate::clock::Time;
use crate::domain::OpeningId;
use crate::domain::fee::Account;
use crate::domain::text::UnknownWord;

/// A line to be appended; no expected fee, which is a [`NewAccrual`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLine {
    pub id: Uuid,
    pub at: Time,
    /// Unique: a second line with this cause is not appended.
    pub cause: String,
    pub debit: Account,
    pub credit: Account,
    /// With tax, positive.
    pub amount: Decimal,
    pub tax: Decimal,
    pub currency: String,
    pub provider: String,
    pub opening_id: Option<OpeningId>,
    pub code: Option<String>,
    /// The report and the physical line that a charge stands in.
    pub reported: Option<(Uuid, i64)>,
    /// The expected fee that the charge settles.
    pub settles: Option<Uuid>,
    /// The settlement that is paid, and the number of its payments that were reversed before.
    pub pays: Option<(String, i32)>,
    /// The line that is undone.
    pub reverses: Option<Uuid>,
}

impl NewLine {
    /// The line that moves the amount of another back.
    ///
    /// # Errors
    /// If the other line is of an account that this version does not know.
    pub fn reversal(id: Uuid, at: Time, of: &Line) -> Result<Self, UnknownWord> {
        Ok(Self {
            id,
            at,
            cause: format!("reversal:{}", of.id),
            debit: of.credit.parse()?,
            credit: of.debit.parse()?,
            amount: of.amount,
            tax: of.tax,
            currency: of.currency.clone(),
            provider: of.provider.clone(),
            opening_id: of.opening_id.map(OpeningId),
            code: of.code.clone(),
            reported: of.report_id.zip(of.line),
            settles: None,
            pays: None,
            reverses: Some(of.id),
        })
    }
}

/// A stored line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub id: Uuid,
    pub at: Time,
    pub cause: String,
    pub debit: String,
    pub credit: String,
    pub amount: Decimal,
    pub tax: Decimal,
    pub currency: String,
    pub provider: String,
    pub opening_id: Option<Uuid>,
    pub code: Option<String>,
    pub report_id: Option<Uuid>,
    pub line: Option<i64>,
    pub settles: Option<Uuid>,
    pub settlement_id: Option<String>,
    pub reverses: Option<Uuid>,
}

/// Appends lines in one statement and passes over each cause that has its line already; returns the number of appended lines.
///
/// # Errors
/// If a line settles an expected fee that is settled already, or does not reverse the line that it names.
pub async fn insert(connection: &mut PgConnection, lines: &[NewLine]) -> sqlx::Result<u64> {
    if lines.is_empty() {
        return Ok(0);
    }
    // In the order of causes: two batches with the same causes wait for each other in the same order.
    let mut lines: Vec<&NewLine> = lines.iter().collect();
    lines.sort_unstable_by(|a, b| a.cause.cmp(&b.cause));
    let ids: Vec<Uuid> = lines.iter().map(|it| it.id).collect();
    let times: Vec<Time> = lines.iter().map(|it| it.at).collect();
    let causes: Vec<&str> = lines.iter().map(|it| it.cause.as_str()).collect();
    let debits: Vec<&str> = lines.iter().map(|it| it.debit.as_str()).collect();
    let credits: Vec<&str> = lines.iter().map(|it| it.credit.as_str()).collect();
    let amounts: Vec<Decimal> = lines.iter().map(|it| it.amount).collect();
    let taxes: Vec<Decimal> = lines.iter().map(|it| it.tax).collect();
    let currencies: Vec<&str> = lines.iter().map(|it| it.currency.as_str()).collect();
    let providers: Vec<&str> = lines.iter().map(|it| it.provider.as_str()).collect();
    let openings: Vec<Option<Uuid>> = lines.iter().map(|it| it.opening_id.map(|it| it.0)).collect();
    let codes: Vec<Option<&str>> = lines.iter().map(|it| it.code.as_deref()).collect();
    let reports: Vec<Option<Uuid>> = lines.iter().map(|it| it.reported.map(|(report, _)| report)).collect();
    let numbers: Vec<Option<i64>> = lines.iter().map(|it| it.reported.map(|(_, line)| line)).collect();
    let settles: Vec<Option<Uuid>> = lines.iter().map(|it| it.settles).collect();
    let settlements: Vec<Option<&str>> = lines.iter().map(|it| it.pays.as_ref().map(|it| it.0.as_str())).collect();
    let paid_before: Vec<i32> = lines.iter().map(|it| it.pays.as_ref().map_or(0, |it| it.1)).collect();
    let reverses: Vec<Option<Uuid>> = lines.iter().map(|it| it.reverses).collect();
    let done = sqlx::query!(
        r#"-- fee_ledger::insert
        insert into fee_bookings (id, at, cause, debit, credit, amount, tax, currency, provider, opening_id, code, report_id, line,
                                settles, settled_before, reverses, settlement_id)
        select id, at, cause, debit, credit, amount, tax, currency, provider, opening_id, code, report_id, line, settles,
               coalesce((select max(before.settled_before) + 1 from fee_bookings before where before.settles = n.settles),
                        paid_before),
               reverses, settlement_id
          from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::numeric[], $7::numeric[],
                      $8::text[], $9::text[], $10::uuid[], $11::text[], $12::uuid[], $13::bigint[], $14::uuid[], $15::uuid[],
                      $16::text[], $17::integer[]) with ordinality
            as n(id, at, cause, debit, credit, amount, tax, currency, provider, opening_id, code, report_id, line, settles,
                 reverses, settlement_id, paid_before, position)
         order by position
        on conflict on constraint one_line_per_cause do nothing"#,
        &ids,
        &times,
        &causes as &[&str],
        &debits as &[&str],
        &credits as &[&str],
        &amounts,
        &taxes,
        &currencies as &[&str],
        &providers as &[&str],
        &openings as &[Option<Uuid>],
        &codes as &[Option<&str>],
        &reports as &[Option<Uuid>],
        &numbers as &[Option<i64>],
        &settles as &[Option<Uuid>],
        &reverses as &[Option<Uuid>],
        &settlements as &[Option<&str>],
        &paid_before,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// A page of lines, newest first; of one opening or of one account where these are given. A statement for each way to find them: one
/// statement for all would walk the whole ledger to find the few lines of an opening or of a rare account.
pub async fn list(
    connection: &mut PgConnection,
    opening: Option<Uuid>,
    account: Option<Account>,
    page: Page<Uuid>,
) -> sqlx::Result<Vec<Line>> {
    match (opening, account) {
        (Some(opening), account) => list_of_opening(connection, opening, account, page).await,
        (None, Some(account @ (Account::Expected | Account::Charged))) => {
            list_of_usual_account(connection, account, page).await
        }
        (None, Some(account)) => list_of_rare_account(connection, account, page).await,
        (None, None) => list_all(connection, page).await,
    }
}

async fn list_all(connection: &mut PgConnection, page: Page<Uuid>) -> sqlx::Result<Vec<Line>> {
    sqlx::query_as!(
        Line,
        r#"-- fee_ledger::list_all
        select id as "id!", at as "at!", cause as "cause!", debit as "debit!", credit as "credit!", amount as "amount!",
               tax as "tax!", currency as "currency!", provider as "provider!", opening_id, code, report_id, line, settles,
               settlement_id, reverses
          from fee_ledger where id < $1 order by id desc limit $2"#,
        page.after.unwrap_or(Uuid::max()),
        page.limit,
    )
    .fetch_all(connection)
    .await
}

async fn list_of_opening(
    connection: &mut PgConnection,
    opening: Uuid,
    account: Option<Account>,
    page: Page<Uuid>,
) -> sqlx::Result<Vec<Line>> {
    sqlx::query_as!(
        Line,
        r#"-- fee_ledger::list_of_opening
        select id as "id!", at as "at!", cause as "cause!", debit as "debit!", credit as "credit!", amount as "amount!",
               tax as "tax!", currency as "currency!", provider as "provider!", opening_id, code, report_id, line, settles,
               settlement_id, reverses
          from fee_ledger
         where opening_id = $1 and ($2::text is null or debit = $2 or credit = $2) and id < $3
         order by opening_id desc, id desc
         limit $4"#,
        opening,
        account.map(Account::as_str),
        page.after.unwrap_or(Uuid::max()),
        page.limit,
    )
    .fetch_all(connection)
    .await
}

/// Nearly every line is of these accounts, so a walk from the newest line meets them at once.
async fn list_of_usual_account(
    connection: &mut PgConnection,
    account: Account,
    page: Page<Uuid>,
) -> sqlx::Result<Vec<Line>> {
    sqlx::query_as!(
        Line,
        r#"-- fee_ledger::list_of_usual_account
        select id as "id!", at as "at!", cause as "cause!", debit as "debit!", credit as "credit!", amount as "amount!",
               tax as "tax!", currency as "currency!", provider as "provider!", opening_id, code, report_id, line, settles,
               settlement_id, reverses
          from fee_ledger
         where (debit = $1 or credit = $1) and id < $2
         order by id desc
         limit $3"#,
        account.as_str(),
        page.after.unwrap_or(Uuid::max()),
        page.limit,
    )
    .fetch_all(connection)
    .await
}

/// Reads the partial indexes of rare debits and credits, and for `cost` the expected fees; the statement repeats the indexes' conditions. No
/// line has the account on both sides.
async fn list_of_rare_account(
    connection: &mut PgConnection,
    account: Account,
    page: Page<Uuid>,
) -> sqlx::Result<Vec<Line>> {
    sqlx::query_as!(
        Line,
        r#"-- fee_ledger::list_of_rare_account
        select id as "id!", at as "at!", cause as "cause!", debit as "debit!", credit as "credit!", amount as "amount!",
               tax as "tax!", currency as "currency!", provider as "provider!", opening_id, code, report_id, line, settles,
               settlement_id, reverses
          from ((select * from fee_ledger
                  where debit = $1 and debit <> 'expected' and id < $2 order by id desc limit $3)
                union all
                (select * from fee_ledger
                  where credit = $1 and credit <> 'charged' and id < $2 order by id desc limit $3)) as sides
         order by id desc
         limit $3"#,
        account.as_str(),
        page.after.unwrap_or(Uuid::max()),
        page.limit,
    )
    .fetch_all(connection)
    .await
}

/// The lines with these ids; of an expected fee none.
pub async fn get(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Line>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as!(
        Line,
        r#"-- fee_ledger::get
        select id, at, cause, debit, credit, amount, tax, currency, provider, opening_id, code, report_id, line, settles,
               settlement_id, reverses
          from fee_bookings where id = any($1)"#,
        ids,
    )
    .fetch_all(connection)
    .await
}

/// How many payments of each of these settlements there were, per currency; the reversed ones too.
pub async fn paid_before(
    connection: &mut PgConnection,
    provider: &str,
    settlements: &[String],
) -> sqlx::Result<Vec<(String, String, i32)>> {
    let rows = sqlx::query!(
        r#"-- fee_ledger::paid_before
        select settlement_id as "settlement_id!", currency, count(*)::integer as "count!" from fee_bookings
         where provider = $1 and settlement_id = any($2)
         group by settlement_id, currency"#,
        provider,
        settlements,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|it| (it.settlement_id, it.currency, it.count)).collect())
}

/// Appends lines in one statement.
///
/// # Errors
/// As [`insert`], and if a cause has its line already: without the new line the balance of `charged` would be wrong.
pub async fn append(connection: &mut PgConnection, lines: &[NewLine]) -> sqlx::Result<()> {
    let written = insert(connection, lines).await?;
    if usize::try_from(written).is_ok_and(|it| it == lines.len()) {
        return Ok(());
    }
    Err(sqlx::Error::Protocol(format!(
        "{written} of {} ledger lines appended; the others' causes are taken",
        lines.len()
    )))
}
