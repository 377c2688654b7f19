//! Erases what registers say about an opening, and bank entries that mention it: in their rows, in the bytes of the files, and in the
//! mismatches.
//!
//! The values' bytes are overwritten in place, so that all other offsets of the file stay true. The redacted range is kept, and the
//! row keeps its digest; it is never parsed again. Charges stay: they hold amounts and ids, and nothing personal. A bank entry keeps the
//! settlement that it names, so its payment stays booked.

use sqlx::PgConnection;
use uuid::Uuid;

use super::CHUNK;
use super::unread::{self, Range};
use crate::clock::Time;
use crate::db::mentions::Mentions;
use crate::db::{mismatches, report_rows};
use crate::domain::{Opening, OpeningId};

pub async fn erase(
    connection: &mut PgConnection,
    opening: OpeningId,
    mentions: &Mentions,
    now: Time,
) -> sqlx::Result<()> {
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
    erase_bank_rows(connection, mentions, None).await?;
    for it in unread::bad_rows(connection, mentions).await? {
        redact_as(connection, &it).await?;
    }
    for it in unread::pieces(connection, mentions).await? {
        redact_as(connection, &it).await?;
    }
    mismatches::erase(connection, opening.0, now).await
}

async fn erase_bank_rows(connection: &mut PgConnection, mentions: &Mentions, report: Option<Uuid>) -> sqlx::Result<()> {
    for row in report_rows::erase_mentions(connection, mentions, report).await? {
        redact_xml(connection, row.report_id, row.byte, row.length).await?;
    }
    Ok(())
}

/// Erases the rows of a bank report that mention openings whose erasure was before it was read. Their ids are all that is known of
/// them by now.
pub async fn erase_read_late(connection: &mut PgConnection, report: Uuid, erased: &[Opening]) -> sqlx::Result<()> {
    for opening in erased {
        erase_bank_rows(connection, &Mentions::of(opening, None), Some(report)).await?;
    }
    Ok(())
}

async fn redact_as(connection: &mut PgConnection, it: &Range) -> sqlx::Result<()> {
    if it.is_xml {
        redact_xml(connection, it.report_id, it.byte, it.length).await
    } else {
        redact(connection, it.report_id, it.byte, it.length).await
    }
}

async fn redact_xml(connection: &mut PgConnection, report: Uuid, byte: i64, length: i64) -> sqlx::Result<()> {
    keep_range(connection, report, byte, length).await?;
    let mut is_tag = false;
    overwrite(connection, report, (byte, length), |bytes| masked_text(bytes, &mut is_tag)).await
}

/// Overwrites a record of the file, and keeps its range.
pub async fn redact(connection: &mut PgConnection, report: Uuid, byte: i64, length: i64) -> sqlx::Result<()> {
    keep_range(connection, report, byte, length).await?;
    overwrite(connection, report, (byte, length), masked).await
}

async fn keep_range(connection: &mut PgConnection, report: Uuid, byte: i64, length: i64) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- reports::redact
        insert into report_redactions (report_id, byte, length) values ($1, $2, $3)
        on conflict (report_id, byte) do update set length = greatest(report_redactions.length, excluded.length)"#,
        report,
        byte,
        length,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A record may lie in two pieces of the file.
async fn overwrite(
    connection: &mut PgConnection,
    report: Uuid,
    (byte, length): (i64, i64),
    mut mask: impl FnMut(&[u8]) -> Vec<u8>,
) -> sqlx::Result<()> {
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
                mask(&held),
                place.0,
            )
            .execute(&mut *connection)
            .await?;
        }
        at += len;
    }
    Ok(())
}

/// All but what separates values and lines, so that the file keeps its shape; also in UTF-16, by its zero bytes.
fn masked(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|it| if matches!(it, 0 | b',' | b';' | b'"' | b'\r' | b'\n') { *it } else { b'*' }).collect()
}

/// The texts of XML; its tags stay, so that the file stays well-formed.
fn masked_text(bytes: &[u8], is_tag: &mut bool) -> Vec<u8> {
    let mut mask = |byte: u8| {
        *is_tag |= byte == b'<';
        let kept = *is_tag || byte == 0 || byte.is_ascii_whitespace();
        *is_tag &= byte != b'>';
        if kept { byte } else { b'*' }
    };
    bytes.iter().map(|byte| mask(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tags_of_xml_stay_also_where_a_piece_ends_within_one() {
        let mut is_tag = false;
        let (first, second) = (masked_text(b"<Ustrd>a &amp; b</Us", &mut is_tag), masked_text(b"trd>\nx", &mut is_tag));
        assert_eq!([first, second].concat(), b"<Ustrd>* ***** *</Ustrd>\n*");
    }

    #[test]
    fn utf_16_stays_utf_16() {
        let (text, kept) = ("aor_1,\"é\"\r\n", "*****,\"*\"\r\n");
        let [text, kept] = [text, kept].map(|it| it.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
        assert_eq!(masked(&text), kept);
        let xml: Vec<u8> = "<Ref>é</Ref>".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let kept: Vec<u8> = "<Ref>*</Ref>".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(masked_text(&xml, &mut false), kept);
    }
}
