//! The rows of bank reports: those that name settlements, and those that mention an opening.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::db::mentions::Mentions;

/// A row of a bank report.
#[derive(Clone, Debug)]
pub struct RowOfReport {
    pub n: i64,
    pub row_key: String,
    /// The first settlement that it names.
    pub reference: Option<String>,
    pub class: String,
    pub theirs: Value,
}

/// The next rows of a report that name settlements and are no repetition, in the order of the file. Plan: as of `fee_ledger::expected`.
pub async fn naming(
    connection: &mut PgConnection,
    report: Uuid,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<RowOfReport>> {
    sqlx::query_as!(
        RowOfReport,
        r#"-- report_rows::naming
        select n, row_key, reference, class, theirs
          from report_rows
         where report_id = $1 and kind is not distinct from 'bank' and n > $2 and reference is not null and class <> 'REPEATED'
         order by n
         limit $3"#,
        report,
        after,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// The place of a redacted row in its file.
#[derive(Clone, Debug)]
pub struct Erased {
    pub report_id: Uuid,
    pub byte: i64,
    pub length: i64,
}

/// Erases the texts of bank rows that mention an opening or its customer, of one report or of all. The settlement that they
/// name is left.
pub(in crate::db) async fn erase_mentions(
    connection: &mut PgConnection,
    mentions: &Mentions,
    report: Option<Uuid>,
) -> sqlx::Result<Vec<Erased>> {
    // A range of the index: with `$3 is null` beside it, one plan for both would read all reports.
    let (first, last) = report.map_or((Uuid::nil(), Uuid::max()), |id| (id, id));
    sqlx::query_as!(
        Erased,
        r#"-- report_rows::erase_mentions
        with erased as (
            update report_rows
               set redacted = true, ours = null,
                   theirs = theirs || jsonb_build_object('end_to_end_id', null, 'references',
                       case when reference is null then '[]'::jsonb else jsonb_build_array(reference) end)
             where kind = 'bank' and not redacted and report_id between $3 and $4
               and (theirs::text ~ $1 or ($2::text is not null and theirs::text ~* $2))
            returning report_id, n, provider, reference, byte, length
        ), forgotten as (
            delete from bank_words w using erased e
             where w.report_id = e.report_id and w.n = e.n
               and not exists (select from settlements s
                                where s.provider = e.provider and s.settlement_id = e.reference and s.word = w.word)
        )
        select report_id, byte, length from erased"#,
        mentions.ids,
        mentions.customer,
        first,
        last,
    )
    .fetch_all(connection)
    .await
}
