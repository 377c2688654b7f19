//! `bank_statements`: statements and notifications as bank reports have them.
//!
//! A report counts once it is applied: then its statements are judged with all others of their accounts, and the rows of those
//! that add up count as entries.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Time;

/// A statement as it was read.
#[derive(Clone, Debug)]
pub struct NewStatement {
    /// Its number in the file.
    pub n: i64,
    pub account_key: String,
    pub line: i64,
    pub content: Value,
}

/// Stores statements. A file that is read again after a crash brings the same ones under the same numbers.
pub async fn insert(
    connection: &mut PgConnection,
    report: Uuid,
    provider: &str,
    statements: &[NewStatement],
) -> sqlx::Result<()> {
    if statements.is_empty() {
        return Ok(());
    }
    let numbers: Vec<i64> = statements.iter().map(|it| it.n).collect();
    let accounts: Vec<&str> = statements.iter().map(|it| it.account_key.as_str()).collect();
    let lines: Vec<i64> = statements.iter().map(|it| it.line).collect();
    let contents: Vec<&Value> = statements.iter().map(|it| &it.content).collect();
    sqlx::query!(
        r#"-- bank_statements::insert
        insert into bank_statements (report_id, provider, n, account_key, line, content)
        select $1, $2, * from unnest($3::bigint[], $4::text[], $5::bigint[], $6::jsonb[])
        on conflict do nothing"#,
        report,
        provider,
        &numbers,
        &accounts as &[&str],
        &lines,
        &contents as &[&Value],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The next accounts of a report, in the order of their keys.
pub async fn accounts(
    connection: &mut PgConnection,
    report: Uuid,
    after: &str,
    limit: i64,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"-- bank_statements::accounts
        select distinct account_key from bank_statements
         where report_id = $1 and account_key > $2
         order by account_key
         limit $3"#,
        report,
        after,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// A statement that counts, or that is previewed.
#[derive(Clone, Debug)]
pub struct Held {
    pub report_id: Uuid,
    pub n: i64,
    pub account_key: String,
    pub line: i64,
    pub content: Value,
    pub outcome: String,
    /// Of its report.
    pub complete: bool,
    pub as_of: Time,
}

/// The statements of these accounts in reports that count, and in `report`.
pub async fn of_accounts(
    connection: &mut PgConnection,
    provider: &str,
    accounts: &[String],
    report: Option<Uuid>,
) -> sqlx::Result<Vec<Held>> {
    sqlx::query_as!(
        Held,
        r#"-- bank_statements::of_accounts
        select s.report_id, s.n, s.account_key, s.line, s.content, s.outcome, p.complete,
               coalesce(p.as_of, p.received_at) as "as_of!"
          from bank_statements s
          join reports p on p.id = s.report_id
         where s.provider = $1 and s.account_key = any($2)
           and (p.id = $3
                or (not p.dry_run and p.state in ('reading', 'finished') and p.stage in ('apply', 'done')))
         order by s.account_key, s.report_id, s.n"#,
        provider,
        accounts,
        report,
    )
    .fetch_all(connection)
    .await
}

/// Writes what statements came to, and marks the settlements that their rows name to be judged again. The rows of `report` are not
/// marked: all of them are when it is applied.
pub async fn decide(
    connection: &mut PgConnection,
    provider: &str,
    report: Uuid,
    outcomes: &[(Uuid, i64, &str)],
) -> sqlx::Result<()> {
    if outcomes.is_empty() {
        return Ok(());
    }
    let reports: Vec<Uuid> = outcomes.iter().map(|it| it.0).collect();
    let numbers: Vec<i64> = outcomes.iter().map(|it| it.1).collect();
    let words: Vec<&str> = outcomes.iter().map(|it| it.2).collect();
    sqlx::query!(
        r#"-- bank_statements::decide
        with changed as (
            update bank_statements s set outcome = n.outcome
              from unnest($2::uuid[], $3::bigint[], $4::text[]) as n(report_id, n, outcome)
             where s.report_id = n.report_id and s.n = n.n
            returning s.report_id, s.n
        ), named as (
            select distinct w.word
              from changed c
              join report_rows r on c.report_id <> $5 and r.report_id = c.report_id and (r.theirs ->> 'statement')::bigint = c.n
              join bank_words w on w.report_id = r.report_id and w.n = r.n
        )
        update settlements s set is_stale = true
          from named
         where s.provider = $1 and s.word = named.word and not s.is_stale"#,
        provider,
        &reports,
        &numbers,
        &words as &[&str],
        report,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether a complete bank report of the provider counts, or is this one.
pub async fn has_complete(connection: &mut PgConnection, provider: &str, report: Option<Uuid>) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"-- bank_statements::has_complete
        select exists (select from reports
                        where provider = $1 and kind = 'bank' and complete
                          and (id = $2 or (not dry_run and state in ('reading', 'finished')
                                           and stage in ('apply', 'done')))) as "exists!""#,
        provider,
        report,
    )
    .fetch_one(connection)
    .await
}
