//! `bank_words`: the words of bank rows by which the settlements that they name are found, and the rows themselves.

use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;

/// The most rows that one look takes; a settlement is named by few.
const MAX_ROWS: i64 = 50_000;

/// Stores the words of a slice of rows; the known settlements that have one of them. Plan: as of [`entries`].
pub async fn insert(
    connection: &mut PgConnection,
    report: Uuid,
    provider: &str,
    words: &[(i64, &str)],
) -> sqlx::Result<Vec<String>> {
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let numbers: Vec<i64> = words.iter().map(|it| it.0).collect();
    let words: Vec<&str> = words.iter().map(|it| it.1).collect();
    sqlx::query_scalar!(
        r#"-- bank_words::insert
        with stored as (
            insert into bank_words (report_id, provider, n, word)
            select $1, $2, * from unnest($3::bigint[], $4::text[])
            returning word
        )
        select s.settlement_id as "settlement_id!"
          from (select distinct word from stored) as named
         cross join lateral (select * from settlements s
                              where s.provider = $2 and s.word = named.word
                             offset 0) as s"#,
        report,
        provider,
        &numbers,
        &words as &[&str],
    )
    .fetch_all(connection)
    .await
}

/// A bank row that counts, or that is previewed.
#[derive(Clone, Debug)]
pub struct BankEntry {
    pub report_id: Uuid,
    pub n: i64,
    pub line: i64,
    pub row_key: String,
    pub amount: Decimal,
    pub currency: String,
    pub theirs: Value,
    /// The outcome of the row's statement.
    pub outcome: Option<String>,
    pub received_at: Time,
    /// The known settlements that have one of the row's words.
    pub settlements: Vec<String>,
}

/// The rows that have these words, in reports that count and in `report`, and every other row with their keys. Plan: the lateral query
/// has no other index than that of the keys; a join would let the planner scan a report once per key while its statistics say that
/// it is empty.
pub async fn entries(
    connection: &mut PgConnection,
    provider: &str,
    words: &[String],
    report: Option<Uuid>,
) -> sqlx::Result<Vec<BankEntry>> {
    sqlx::query_as!(
        BankEntry,
        r#"-- bank_words::entries
        with keys as (
            select distinct r.row_key
              from unnest($2::text[]) as asked(word)
             cross join lateral (select * from bank_words w
                                  where w.provider = $1 and w.word = asked.word
                                 offset 0) as w
             cross join lateral (select * from report_rows r where r.report_id = w.report_id and r.n = w.n offset 0) as r
             order by r.row_key
             limit $4
        )
        select r.report_id as "report_id!", r.n as "n!", r.line as "line!", r.row_key as "row_key!", r.amount as "amount!",
               r.currency as "currency!", r.theirs as "theirs!", s.outcome as "outcome?", p.received_at as "received_at!",
               array(select k.settlement_id
                       from bank_words w
                      cross join lateral (select * from settlements k
                                           where k.provider = $1 and k.word = w.word
                                          offset 0) as k
                      where w.report_id = r.report_id and w.n = r.n) as "settlements!"
          from keys
         cross join lateral (select * from report_rows r
                              where r.provider = $1 and r.row_key = keys.row_key and r.kind <> 'register'
                             offset 0) as r
          join reports p on p.id = r.report_id
          left join bank_statements s on s.report_id = r.report_id and s.n = (r.theirs ->> 'statement')::bigint
         where r.kind = 'bank'
           and (p.id = $3
                or (not p.dry_run and p.state in ('reading', 'finished') and p.stage in ('apply', 'done')))
         order by r.row_key, r.report_id, r.n"#,
        provider,
        words,
        report,
        MAX_ROWS,
    )
    .fetch_all(connection)
    .await
}

/// A row with the same key.
#[derive(Clone, Debug)]
pub struct Alike {
    pub row_key: String,
    pub digest: Vec<u8>,
    /// The row is of the same report.
    pub is_here: bool,
}

/// The rows with these keys: those of `report`, and those that came before in statements that add up, of reports that count. Plan: as
/// of [`entries`].
pub async fn alike(
    connection: &mut PgConnection,
    provider: &str,
    keys: &[String],
    report: Uuid,
) -> sqlx::Result<Vec<Alike>> {
    sqlx::query_as!(
        Alike,
        r#"-- bank_words::alike
        select r.row_key as "row_key!", r.digest as "digest!", r.report_id = $3 as "is_here!"
          from (select distinct row_key from unnest($2::text[]) as keys(row_key)) as asked
         cross join lateral (select * from report_rows r
                              where r.provider = $1 and r.row_key = asked.row_key and r.kind <> 'register'
                             offset 0) as r
          join reports p on p.id = r.report_id
          left join bank_statements s on s.report_id = r.report_id and s.n = (r.theirs ->> 'statement')::bigint
         where r.kind = 'bank'
           and (p.id = $3
                or (s.outcome = 'sound' and not p.dry_run and p.state in ('reading', 'finished')
                    and p.stage in ('apply', 'done')))"#,
        provider,
        keys,
        report,
    )
    .fetch_all(connection)
    .await
}
