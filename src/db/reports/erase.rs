//! Erases what registers say about an opening: in their rows, in the bytes of the files, and in the mismatches.
//!
//! The values' bytes are overwritten in place, so that all other offsets of the file stay true. The redacted range is kept, and the
//! row keeps its digest; it is never parsed again. Charges stay: they hold amounts and ids, and nothing personal.

use sqlx::PgConnection;

use super::CHUNK;
use crate::clock::Time;
use crate::db::mismatches;
use crate::domain::OpeningId;

pub async fn erase(connection: &mut PgConnection, opening: OpeningId, now: Time) -> sqlx::Result<()> {
    mismatches::lock_of_opening(connection, opening.0).await?;
    let rows = sqlx::query!(
        r#"-- reports::erase
        update report_rows
           set redacted = true, ours = null, reference = null,
               theirs = theirs || '{"iban": null, "bic": null, "rejection_reason": null}'
         where opening_id = $1 and kind = 'register' and not redacted
        returning report_id, byte, length"#,
        opening.0,
    )
    .fetch_all(&mut *connection)
    .await?;
    for row in rows {
        redact(connection, row.report_id, row.byte, row.length).await?;
    }
    mismatches::erase(connection, opening.0, now).await
}

/// Overwrites a record of the file, and keeps its range.
pub async fn redact(connection: &mut PgConnection, report: uuid::Uuid, byte: i64, length: i64) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- reports::redact
        insert into report_redactions (report_id, byte, length) values ($1, $2, $3) on conflict do nothing"#,
        report,
        byte,
        length,
    )
    .execute(&mut *connection)
    .await?;
    overwrite(connection, report, byte, length).await
}

/// A record may lie in two pieces of the file.
async fn overwrite(connection: &mut PgConnection, report: uuid::Uuid, byte: i64, length: i64) -> sqlx::Result<()> {
    let chunk = i64::try_from(CHUNK).unwrap_or(i64::MAX);
    let (mut at, end) = (byte, byte + length);
    while at < end {
        let (n, from) = (at / chunk, at % chunk);
        let len = (end - at).min(chunk - from);
        let number = |it: i64| i32::try_from(it).unwrap_or(i32::MAX);
        let place = (number(from) + 1, number(len));
        let held = sqlx::query_scalar!(
            r#"-- reports::overwrite
            select substring(bytes from $3 for $4) as "bytes!" from report_chunks where report_id = $1 and n = $2"#,
            report,
            number(n),
            place.0,
            place.1,
        )
        .fetch_optional(&mut *connection)
        .await?;
        if let Some(held) = held {
            sqlx::query!(
                r#"-- reports::overwrite
                update report_chunks set bytes = overlay(bytes placing $3 from $4) where report_id = $1 and n = $2"#,
                report,
                number(n),
                masked(&held),
                place.0,
            )
            .execute(&mut *connection)
            .await?;
        }
        at += len;
    }
    Ok(())
}

/// All but what separates values and lines, so that the file keeps its shape.
fn masked(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|it| if matches!(it, b',' | b';' | b'"' | b'\r' | b'\n') { *it } else { b'*' }).collect()
}
