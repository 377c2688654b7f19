//! The bytes of a row of a report, and those around it.

use sqlx::PgConnection;
use uuid::Uuid;

use super::CHUNK;

/// The most bytes of a row, and of what is shown before and behind it.
const MOST: i64 = 64 * 1024;
const AROUND: i64 = 2 * 1024;

/// A piece of a report's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Around {
    /// The offset of the piece in the file.
    pub first: i64,
    pub byte: i64,
    pub length: i64,
    /// An erasure overwrote its values.
    pub redacted: bool,
    pub bytes: Vec<u8>,
}

/// The row at this line with the bytes around it. None: no usable row begins there.
///
/// Plan: a row's number is at most its line, and both grow together, so the row is met by a short walk down the primary key.
pub async fn around(connection: &mut PgConnection, report: Uuid, line: i64) -> sqlx::Result<Option<Around>> {
    let chunk = i64::try_from(CHUNK).unwrap_or(i64::MAX);
    sqlx::query_as!(
        Around,
        r#"-- reports::around
        with nearest as (
            select line, byte, length, redacted from report_rows
             where report_id = $1 and n <= $2 and line <= $2
             order by n desc limit 1
        ), piece as (
            select byte, length, redacted, greatest(byte - $4, 0) as first, byte + least(length, $3) + $4 as last
              from nearest where line = $2
        )
        select p.first as "first!", p.byte, p.length, p.redacted,
               (select coalesce(string_agg(substring(c.bytes from (greatest(p.first - c.n::bigint * $5, 0))::int + 1
                                                     for (least(p.last - c.n::bigint * $5, $5)
                                                          - greatest(p.first - c.n::bigint * $5, 0))::int), ''::bytea
                                           order by c.n), ''::bytea)
                  from report_chunks c
                 where c.report_id = $1 and c.n between (p.first / $5)::int and ((p.last - 1) / $5)::int) as "bytes!"
          from piece p"#,
        report,
        line,
        MOST,
        AROUND,
        chunk,
    )
    .fetch_optional(connection)
    .await
}
