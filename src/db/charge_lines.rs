//! `charge_lines`: a provider's charges, each line in its newest version.
//!
//! Writers hold the provider's lock, so that a fee is judged by one of them at a time. Plans: see `fee_ledger::expected`.

mod settlements;

use rust_decimal::Decimal;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

pub use self::settlements::{Payment, Place, SettledLine, Settlement, settlements};
use crate::clock::Time;
use crate::db::settlements::Named;

/// Subject and aspect of a mismatch about charges.
pub type Key = (String, String);

/// A line, its judgement, and the bookings for it.
#[derive(Clone, Debug)]
pub struct ChargeLine {
    pub line_id: String,
    pub report_id: Uuid,
    pub line: i64,
    pub as_of: Time,
    pub digest: Vec<u8>,
    pub received_at: Time,
    pub period_from: Option<Time>,
    pub period_until: Option<Time>,
    pub is_complete: bool,
    pub line_type: String,
    pub subject: String,
    pub opening_id: Option<Uuid>,
    pub code: String,
    pub settlement_id: Option<String>,
    pub currency: String,
    pub amount: Decimal,
    pub tax: Decimal,
    /// As text, like the bookings: a tree of JSON takes several times its memory.
    pub content: Json<Box<RawValue>>,
    pub class: String,
    pub rule: String,
    pub bookings: Json<Box<RawValue>>,
    pub ledger: Vec<Uuid>,
    pub generation: i32,
    pub is_stale: bool,
    pub is_crowded: bool,
}

/// Keeps every other writer of this provider's lines out until the transaction ends. Lock order: this lock, then mismatches in the
/// order of their keys, then cases.
pub async fn lock(connection: &mut PgConnection, provider: &str) -> sqlx::Result<()> {
    sqlx::query!(
        r"-- charge_lines::lock
        select pg_advisory_xact_lock(hashtextextended('charge_lines:' || current_schema() || ':' || $1, 0))",
        provider,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The lines with these ids. Plan: each by the primary key, even where the planner takes the table for a small one.
pub async fn get(connection: &mut PgConnection, provider: &str, ids: &[String]) -> sqlx::Result<Vec<ChargeLine>> {
    sqlx::query_as!(
        ChargeLine,
        r#"-- charge_lines::get
        select c.line_id, c.report_id, c.line, c.as_of, c.digest, c.received_at, c.period_from, c.period_until,
               c.is_complete, c.line_type, c.subject, c.opening_id, c.code, c.settlement_id, c.currency, c.amount, c.tax,
               c.content as "content: Json<Box<RawValue>>", c.class, c.rule,
               c.bookings as "bookings: Json<Box<RawValue>>", c.ledger, c.generation, c.is_stale, c.is_crowded
          from (select distinct id from unnest($2::text[]) as ids(id)) as asked
         cross join lateral (select * from charge_lines l where l.provider = $1 and l.line_id = asked.id offset 0) as c"#,
        provider,
        ids,
    )
    .fetch_all(connection)
    .await
}

/// Fees, to look up their lines.
#[derive(Clone, Copy, Debug)]
pub struct Fees<'a> {
    /// Subjects and codes.
    pub of: &'a [(String, String)],
    /// The most lines of each.
    pub limits: &'a [i64],
    /// A report that is not applied yet: a line that it gives another version is left out.
    pub before: Option<Uuid>,
}

/// The lines of fees, without groups and settlements; those that were not judged alone come first.
pub async fn of_fees(connection: &mut PgConnection, provider: &str, fees: Fees<'_>) -> sqlx::Result<Vec<ChargeLine>> {
    let subjects: Vec<&str> = fees.of.iter().map(|it| it.0.as_str()).collect();
    let codes: Vec<&str> = fees.of.iter().map(|it| it.1.as_str()).collect();
    sqlx::query_as!(
        ChargeLine,
        r#"-- charge_lines::of_fees
        select c.line_id as "line_id!", c.report_id as "report_id!", c.line as "line!", c.as_of as "as_of!",
               c.digest as "digest!", c.received_at as "received_at!", c.period_from, c.period_until,
               c.is_complete as "is_complete!", c.line_type as "line_type!", c.subject as "subject!", c.opening_id,
               c.code as "code!", c.settlement_id, c.currency as "currency!", c.amount as "amount!", c.tax as "tax!",
               c.content as "content!: Json<Box<RawValue>>", c.class as "class!", c.rule as "rule!",
               c.bookings as "bookings!: Json<Box<RawValue>>",
               c.ledger as "ledger!", c.generation as "generation!", c.is_stale as "is_stale!", c.is_crowded as "is_crowded!"
          from unnest($2::text[], $3::text[], $4::bigint[]) as asked(subject, code, most)
         cross join lateral (
                select * from charge_lines l
                 where l.provider = $1 and l.subject = asked.subject and l.code = asked.code
                   and l.line_type not in ('group', 'settlement')
                   and not exists (select from report_rows r
                                    where r.provider = l.provider and r.row_key = l.line_id and r.kind <> 'register'
                                      and r.report_id is not distinct from $5 and r.class <> 'CONFLICTING_ROWS'
                                      and r.rule not in ('same_row_of_this_file', 'a_newer_version_counts') offset 0)
                 order by l.is_crowded, l.line_id collate "C"
                 limit asked.most) as c"#,
        provider,
        &subjects as &[&str],
        &codes as &[&str],
        fees.limits,
        fees.before,
    )
    .fetch_all(connection)
    .await
}

/// The group lines of these codes and currencies. With a report that is not applied yet, a line that it gives another version is
/// left out.
pub async fn groups(
    connection: &mut PgConnection,
    provider: &str,
    kinds: &[(String, String)],
    before: Option<Uuid>,
) -> sqlx::Result<Vec<ChargeLine>> {
    let codes: Vec<&str> = kinds.iter().map(|it| it.0.as_str()).collect();
    let currencies: Vec<&str> = kinds.iter().map(|it| it.1.as_str()).collect();
    sqlx::query_as!(
        ChargeLine,
        r#"-- charge_lines::groups
        select c.line_id, c.report_id, c.line, c.as_of, c.digest, c.received_at, c.period_from, c.period_until,
               c.is_complete, c.line_type, c.subject, c.opening_id, c.code, c.settlement_id, c.currency, c.amount, c.tax,
               c.content as "content: Json<Box<RawValue>>", c.class, c.rule,
               c.bookings as "bookings: Json<Box<RawValue>>", c.ledger, c.generation, c.is_stale, c.is_crowded
          from unnest($2::text[], $3::text[]) as asked(code, currency)
          join charge_lines c on c.provider = $1 and c.code = asked.code and c.currency = asked.currency
         where c.line_type = 'group'
           and not exists (select from report_rows r
                            where r.provider = c.provider and r.row_key = c.line_id and r.kind <> 'register'
                              and r.report_id is not distinct from $4 and r.class <> 'CONFLICTING_ROWS'
                              and r.rule not in ('same_row_of_this_file', 'a_newer_version_counts') offset 0)"#,
        provider,
        &codes as &[&str],
        &currencies as &[&str],
        before,
    )
    .fetch_all(connection)
    .await
}

/// Groups and settlements to be judged again.
pub async fn stale(connection: &mut PgConnection, provider: &str, limit: i64) -> sqlx::Result<Vec<ChargeLine>> {
    sqlx::query_as!(
        ChargeLine,
        r#"-- charge_lines::stale
        select line_id, report_id, line, as_of, digest, received_at, period_from, period_until, is_complete, line_type,
               subject, opening_id, code, settlement_id, currency, amount, tax, content as "content: Json<Box<RawValue>>", class,
               rule, bookings as "bookings: Json<Box<RawValue>>", ledger, generation, is_stale, is_crowded
          from charge_lines where provider = $1 and is_stale order by line_id limit $2"#,
        provider,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Marks the settlements with these ids, and the groups of these codes, to be judged again. Plan: by two partial indexes; that of all
/// lines would read a whole month for one settlement.
///
/// Also adds what bank entries may pay: `named`, and marks those of them that have changed. A new one that only a charge names is marked
/// only if a bank row has its word: without a bank row no entry can pay it. Plan: as of `bank_words::entries`.
pub async fn mark_stale(
    connection: &mut PgConnection,
    provider: &str,
    settlements: &[String],
    codes: &[String],
    named: &[Named<'_>],
) -> sqlx::Result<()> {
    let ids: Vec<&str> = named.iter().map(|it| it.id).collect();
    let words: Vec<Option<&str>> = named.iter().map(|it| it.word).collect();
    let changed: Vec<bool> = named.iter().map(|it| it.has_changed).collect();
    sqlx::query!(
        r#"-- charge_lines::mark_stale
        with named as (
            insert into settlements as s (provider, settlement_id, word, is_stale)
            select $1, n.id, n.word,
                   n.has_changed or exists (select from bank_words w where w.provider = $1 and w.word = n.word offset 0)
              from unnest($4::text[], $5::text[], $6::boolean[]) as n(id, word, has_changed)
             order by n.id
            on conflict (provider, settlement_id) do update set is_stale = true where excluded.is_stale and not s.is_stale
        )
        update charge_lines set is_stale = true
         where provider = $1 and not is_stale
           and line_id in (select l.line_id
                             from unnest($2::text[]) as asked(id)
                            cross join lateral (select line_id from charge_lines
                                                 where provider = $1 and line_type = 'settlement' and settlement_id = asked.id
                                                offset 0) as l
                            union all
                           select l.line_id
                             from unnest($3::text[]) as asked(code)
                            cross join lateral (select line_id from charge_lines
                                                 where provider = $1 and line_type = 'group' and code = asked.code
                                                offset 0) as l)"#,
        provider,
        settlements,
        codes,
        &ids as &[&str],
        &words as &[Option<&str>],
        &changed,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Number and sums of the lines that name a settlement, per currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    pub settlement_id: String,
    pub currency: String,
    pub count: i64,
    pub amount: Decimal,
    pub tax: Decimal,
}

pub async fn sums(connection: &mut PgConnection, provider: &str, settlements: &[String]) -> sqlx::Result<Vec<Sum>> {
    sqlx::query_as!(
        Sum,
        r#"-- charge_lines::sums
        select asked.id as "settlement_id!", l.currency as "currency!", count(*) as "count!", sum(l.amount) as "amount!",
               sum(l.tax) as "tax!"
          from (select distinct id from unnest($2::text[]) as ids(id)) as asked
         cross join lateral (select currency, amount, tax from charge_lines
                              where provider = $1 and settlement_id = asked.id and line_type <> 'settlement'
                             offset 0) as l
         group by asked.id, l.currency"#,
        provider,
        settlements,
    )
    .fetch_all(connection)
    .await
}

/// Writes lines whole, new ones and known ones.
#[expect(clippy::too_many_lines, reason = "one statement")]
pub async fn write(connection: &mut PgConnection, provider: &str, lines: &[ChargeLine]) -> sqlx::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let text = |get: fn(&ChargeLine) -> &str| -> Vec<&str> { lines.iter().map(get).collect() };
    let time = |get: fn(&ChargeLine) -> Time| -> Vec<Time> { lines.iter().map(get).collect() };
    let maybe = |get: fn(&ChargeLine) -> Option<Time>| -> Vec<Option<Time>> { lines.iter().map(get).collect() };
    let number = |get: fn(&ChargeLine) -> Decimal| -> Vec<Decimal> { lines.iter().map(get).collect() };
    let json =
        |get: fn(&ChargeLine) -> &Json<Box<RawValue>>| -> Vec<&Json<Box<RawValue>>> { lines.iter().map(get).collect() };
    let reports: Vec<Uuid> = lines.iter().map(|it| it.report_id).collect();
    let numbers: Vec<i64> = lines.iter().map(|it| it.line).collect();
    let digests: Vec<&[u8]> = lines.iter().map(|it| it.digest.as_slice()).collect();
    let openings: Vec<Option<Uuid>> = lines.iter().map(|it| it.opening_id).collect();
    let settlements: Vec<Option<&str>> = lines.iter().map(|it| it.settlement_id.as_deref()).collect();
    // Postgres has no arrays of arrays of different lengths.
    let ledgers: Vec<String> = lines.iter().map(|it| array(&it.ledger)).collect();
    let generations: Vec<i32> = lines.iter().map(|it| it.generation).collect();
    let stale: Vec<bool> = lines.iter().map(|it| it.is_stale).collect();
    let complete: Vec<bool> = lines.iter().map(|it| it.is_complete).collect();
    let crowded: Vec<bool> = lines.iter().map(|it| it.is_crowded).collect();
    sqlx::query!(
        r#"-- charge_lines::write
        insert into charge_lines (provider, line_id, report_id, line, as_of, digest, received_at, period_from, period_until,
            line_type, subject, opening_id, code, settlement_id, currency, amount, tax, content, class, rule, bookings, ledger,
            generation, is_stale, is_complete, is_crowded)
        select $1, line_id, report_id, line, as_of, digest, received_at, period_from, period_until, line_type, subject,
               opening_id, code, settlement_id, currency, amount, tax, content, class, rule, bookings, ledger::uuid[],
               generation, is_stale, is_complete, is_crowded
          from unnest($2::text[], $3::uuid[], $4::bigint[], $5::timestamptz[], $6::bytea[], $7::timestamptz[],
                      $8::timestamptz[], $9::timestamptz[], $10::text[], $11::text[], $12::uuid[], $13::text[], $14::text[],
                      $15::text[], $16::numeric[], $17::numeric[], $18::jsonb[], $19::text[], $20::text[], $21::jsonb[],
                      $22::text[], $23::integer[], $24::boolean[], $25::boolean[], $26::boolean[])
            as n(line_id, report_id, line, as_of, digest, received_at, period_from, period_until, line_type, subject,
                 opening_id, code, settlement_id, currency, amount, tax, content, class, rule, bookings, ledger, generation,
                 is_stale, is_complete, is_crowded)
         order by line_id
        on conflict (provider, line_id) do update
           set report_id = excluded.report_id, line = excluded.line, as_of = excluded.as_of, digest = excluded.digest,
               received_at = excluded.received_at, period_from = excluded.period_from, period_until = excluded.period_until,
               line_type = excluded.line_type, subject = excluded.subject, opening_id = excluded.opening_id,
               code = excluded.code, settlement_id = excluded.settlement_id, currency = excluded.currency,
               amount = excluded.amount, tax = excluded.tax, content = excluded.content, class = excluded.class,
               rule = excluded.rule, bookings = excluded.bookings, ledger = excluded.ledger,
               generation = excluded.generation, is_stale = excluded.is_stale, is_complete = excluded.is_complete,
               is_crowded = excluded.is_crowded"#,
        provider,
        &text(|it| &it.line_id) as &[&str],
        &reports,
        &numbers,
        &time(|it| it.as_of),
        &digests as &[&[u8]],
        &time(|it| it.received_at),
        &maybe(|it| it.period_from) as &[Option<Time>],
        &maybe(|it| it.period_until) as &[Option<Time>],
        &text(|it| &it.line_type) as &[&str],
        &text(|it| &it.subject) as &[&str],
        &openings as &[Option<Uuid>],
        &text(|it| &it.code) as &[&str],
        &settlements as &[Option<&str>],
        &text(|it| &it.currency) as &[&str],
        &number(|it| it.amount),
        &number(|it| it.tax),
        &json(|it| &it.content) as &[&Json<Box<RawValue>>],
        &text(|it| &it.class) as &[&str],
        &text(|it| &it.rule) as &[&str],
        &json(|it| &it.bookings) as &[&Json<Box<RawValue>>],
        &ledgers,
        &generations,
        &stale,
        &complete,
        &crowded,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// An array of ids as Postgres reads it.
fn array(ids: &[Uuid]) -> String {
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    format!("{{{}}}", ids.join(","))
}
