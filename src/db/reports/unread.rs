//! The parts of a file that became no row and mention an opening: bad rows, and pieces of files that failed or were discarded.
//!
//! The zero bytes of UTF-16 are left out of what is searched, so that its text reads like any other.
//!
//! Searched once the rows are erased, so that a piece with all its rows read holds no mention any more. Charges keep ids: they hold
//! nothing personal beside them.

use sqlx::PgConnection;
use uuid::Uuid;

use super::CHUNK;
use crate::db::mentions::Mentions;

/// A mention may begin in one piece and end in the next one within so many bytes.
const OVERLAP: i64 = 256;

/// A range of a file.
#[derive(Clone, Debug)]
pub(super) struct Range {
    pub report_id: Uuid,
    pub byte: i64,
    pub length: i64,
    pub is_xml: bool,
}

/// Bad rows that mention an opening or its customer. Their details, which quote values, are erased.
pub(super) async fn bad_rows(connection: &mut PgConnection, mentions: &Mentions) -> sqlx::Result<Vec<Range>> {
    sqlx::query_as!(
        Range,
        r#"-- reports::bad_rows
        with found as (
            select e.report_id, e.n, e.byte, e.length, p.format = 'camt' as is_xml
              from report_errors e
              join reports p on p.id = e.report_id
             cross join lateral (
                   select replace(encode(string_agg(
                                 substring(c.bytes from greatest(e.byte - c.n * $3::bigint, 0)::integer + 1
                                 for (e.byte + e.length - greatest(e.byte, c.n * $3::bigint))::integer), ''::bytea
                                 order by c.n), 'escape'), '\000', '') as text
                     from report_chunks c
                    where c.report_id = e.report_id and c.n between e.byte / $3 and (e.byte + e.length - 1) / $3) as held
             where e.length > 0 and ((p.kind <> 'charges' and held.text ~ $1) or held.text ~* $2)
        ), told as (
            update report_errors e set detail = 'erased' from found where e.report_id = found.report_id and e.n = found.n
        )
        select report_id as "report_id!", byte as "byte!", length as "length!", is_xml as "is_xml!" from found"#,
        mentions.ids,
        mentions.customer,
        chunk(),
    )
    .fetch_all(connection)
    .await
}

/// Pieces of files that were not read to their end. Rows in them cannot be read again: they are marked.
pub(super) async fn pieces(connection: &mut PgConnection, mentions: &Mentions) -> sqlx::Result<Vec<Range>> {
    sqlx::query_as!(
        Range,
        r#"-- reports::pieces
        with found as (
            select c.report_id, c.n * $3::bigint as byte, octet_length(c.bytes || held.more)::bigint as length,
                   p.format = 'camt' as is_xml
              from reports p
              join report_chunks c on c.report_id = p.id
             cross join lateral (
                   select coalesce((select substring(next.bytes from 1 for $4::bigint::integer) from report_chunks next
                                     where next.report_id = c.report_id and next.n = c.n + 1), '') as more) as held
             cross join lateral (select replace(encode(c.bytes || held.more, 'escape'), '\000', '') as text) as read
             where p.state in ('failed', 'discarded') and ((p.kind <> 'charges' and read.text ~ $1) or read.text ~* $2)
        ), marked as (
            update report_rows r set redacted = true from found
             where r.report_id = found.report_id and r.byte >= found.byte and r.byte < found.byte + found.length
               and not r.redacted
        )
        select report_id as "report_id!", byte as "byte!", length as "length!", is_xml as "is_xml!" from found"#,
        mentions.ids,
        mentions.customer,
        chunk(),
        OVERLAP,
    )
    .fetch_all(connection)
    .await
}

fn chunk() -> i64 {
    i64::try_from(CHUNK).unwrap_or(i64::MAX)
}
