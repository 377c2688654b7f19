//! `settlements`: those that charges or bank entries name, and what is booked as paid.
//!
//! Writers hold the provider's lock (`charge_lines::lock`), so that a settlement is judged by one of them at a time.

use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;

/// A settlement, and what is booked for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settlement {
    pub settlement_id: String,
    pub payments: Value,
    pub ledger: Vec<Uuid>,
    pub is_open: bool,
    pub look_at: Option<Time>,
}

/// A settlement that rows name.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    pub id: &'a str,
    /// The word by which texts that name it are found.
    pub word: Option<&'a str>,
    /// The settlement's dues, or the entries that name it, may have changed.
    pub has_changed: bool,
}

/// Marks the settlements that some rows of a bank report may name, and adds those that only the form of their id tells: a word that begins
/// with `form`.
pub async fn mark_named(
    connection: &mut PgConnection,
    provider: &str,
    report: Uuid,
    (after, until): (i64, i64),
    form: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- settlements::mark_named
        with named as (
            select distinct word from bank_words where report_id = $2 and n > $3 and n <= $4
        ), added as (
            insert into settlements (provider, settlement_id, word)
            select $1, word, word from named where starts_with(word, $5) order by word
            on conflict do nothing
        )
        update settlements s set is_stale = true
          from named
         where s.provider = $1 and s.word = named.word and not s.is_stale"#,
        provider,
        report,
        after,
        until,
        form,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Marks the unpaid settlements to be judged again: with a complete bank report an absent payment becomes a finding.
pub async fn mark_open(connection: &mut PgConnection, provider: &str) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- settlements::mark_open
        update settlements set is_stale = true where provider = $1 and is_open and not is_stale"#,
        provider,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The next settlements to be judged.
pub async fn due(
    connection: &mut PgConnection,
    provider: &str,
    now: Time,
    limit: i64,
) -> sqlx::Result<Vec<Settlement>> {
    sqlx::query_as!(
        Settlement,
        r#"-- settlements::due
        select settlement_id, payments, ledger, is_open, look_at from settlements
         where provider = $1 and (is_stale or look_at <= $2)
         order by settlement_id
         limit $3"#,
        provider,
        now,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// The providers that have settlements to be judged.
pub async fn providers_due(connection: &mut PgConnection, now: Time) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"-- settlements::providers_due
        select distinct provider from settlements where is_stale or look_at <= $1"#,
        now,
    )
    .fetch_all(connection)
    .await
}

/// The settlements with these ids. Without ids it runs no query.
pub async fn get(connection: &mut PgConnection, provider: &str, ids: &[String]) -> sqlx::Result<Vec<Settlement>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as!(
        Settlement,
        r#"-- settlements::get
        select s.settlement_id, s.payments, s.ledger, s.is_open, s.look_at
          from unnest($2::text[]) as asked(settlement_id)
          join settlements s on s.provider = $1 and s.settlement_id = asked.settlement_id"#,
        provider,
        ids,
    )
    .fetch_all(connection)
    .await
}

/// Writes what settlements came to.
pub async fn write(connection: &mut PgConnection, provider: &str, all: &[Settlement]) -> sqlx::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = all.iter().map(|it| it.settlement_id.as_str()).collect();
    let payments: Vec<&Value> = all.iter().map(|it| &it.payments).collect();
    // Postgres has no arrays of arrays of different lengths.
    let array = |ids: &[Uuid]| format!("{{{}}}", ids.iter().map(Uuid::to_string).collect::<Vec<_>>().join(","));
    let ledgers: Vec<String> = all.iter().map(|it| array(&it.ledger)).collect();
    let open: Vec<bool> = all.iter().map(|it| it.is_open).collect();
    let looks: Vec<Option<Time>> = all.iter().map(|it| it.look_at).collect();
    sqlx::query!(
        r#"-- settlements::write
        update settlements s
           set payments = n.payments, ledger = n.ledger::uuid[], is_open = n.is_open, look_at = n.look_at, is_stale = false
          from unnest($2::text[], $3::jsonb[], $4::text[], $5::boolean[], $6::timestamptz[])
            as n(settlement_id, payments, ledger, is_open, look_at)
         where s.provider = $1 and s.settlement_id = n.settlement_id"#,
        provider,
        &ids as &[&str],
        &payments as &[&Value],
        &ledgers,
        &open,
        &looks as &[Option<Time>],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The sum that a row of a settlement asks for.
#[derive(Clone, Debug)]
pub struct Due {
    pub settlement_id: String,
    pub currency: String,
    pub amount: Decimal,
    /// The day it was booked on, else when its file was received.
    pub said_at: Time,
    pub report_id: Uuid,
    pub line: i64,
}

/// The rows of settlements among the charges, each in its newest version.
pub async fn dues(connection: &mut PgConnection, provider: &str, ids: &[String]) -> sqlx::Result<Vec<Due>> {
    sqlx::query_as!(
        Due,
        r#"-- settlements::dues
        select asked.id as "settlement_id!", c.currency, c.amount, c.report_id, c.line,
               coalesce((c.content ->> 'booked_on')::date::timestamp at time zone 'UTC', c.received_at) as "said_at!"
          from unnest($2::text[]) as asked(id)
         cross join lateral (select * from charge_lines c
                              where c.provider = $1 and c.settlement_id = asked.id
                             offset 0) as c
         where c.line_type = 'settlement'
         order by asked.id, c.currency, c.line_id"#,
        provider,
        ids,
    )
    .fetch_all(connection)
    .await
}
