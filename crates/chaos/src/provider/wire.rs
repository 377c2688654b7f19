//! The wire format of the bank's answers and messages: texts cut within a character, and compression that was not
//! requested.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// Stands in a text for a character of which only the first half is sent. A correct reader replaces it, so it reads the
/// same.
pub const CUT: char = '\u{fffd}';
/// The first half of a character beyond U+FFFF, as JSON writes it.
const HALF: &str = "\\ud83d";
/// The maximum size of an uncompressed block.
const BLOCK: usize = 0xffff;

/// A JSON text as it is sent.
pub fn sent(json: &str) -> String {
    json.replace(CUT, HALF)
}

pub fn answer(status: StatusCode, body: &Value, compressed: bool) -> Response {
    let text = body.to_string();
    match (compressed, text.contains(CUT)) {
        (true, _) => (status, json_in("gzip"), gzip(sent(&text).as_bytes())).into_response(),
        (false, true) => (status, [(CONTENT_TYPE, "application/json")], sent(&text)).into_response(),
        (false, false) => (status, Json(body)).into_response(),
    }
}

fn json_in(encoding: &'static str) -> [(axum::http::HeaderName, &'static str); 2] {
    [(CONTENT_TYPE, "application/json"), (CONTENT_ENCODING, encoding)]
}

/// RFC 1952 around uncompressed blocks (RFC 1951, 3.2.4), which every reader accepts as gzip.
fn gzip(body: &[u8]) -> Vec<u8> {
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = body.chunks(BLOCK).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        file.push(u8::from(blocks.peek().is_none()));
        file.extend(length.to_le_bytes());
        file.extend((!length).to_le_bytes());
        file.extend_from_slice(block);
    }
    file.extend(crc32(body).to_le_bytes());
    file.extend(u32::try_from(body.len()).unwrap_or_default().to_le_bytes());
    file
}

/// CRC-32 of RFC 1952, 8.
fn crc32(body: &[u8]) -> u32 {
    let byte = |sum: u32, byte: &u8| {
        (0..8).fold(sum ^ u32::from(*byte), |it, _| if it & 1 == 1 { (it >> 1) ^ 0xedb8_8320 } else { it >> 1 })
    };
    !body.iter().fold(!0, byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_check_value_of_crc_32() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    /// RFC 1952 by hand: header, one last block of two bytes with its length and the length's complement, checksum, size.
    #[test]
    fn a_compressed_answer_has_the_form_of_the_rfc() {
        let file = gzip(b"{}");
        assert_eq!(&file[..15], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1, 2, 0, 0xfd, 0xff]);
        assert_eq!(&file[15..17], b"{}");
        assert_eq!(&file[17..], [crc32(b"{}").to_le_bytes(), 2_u32.to_le_bytes()].concat());
    }

    #[test]
    fn half_a_character_is_no_json_that_a_strict_reader_takes() {
        let text = sent(&serde_json::json!({ "rejection_reason": format!("ends in {CUT}") }).to_string());
        assert_eq!(text, r#"{"rejection_reason":"ends in \ud83d"}"#);
        assert!(serde_json::from_str::<Value>(&text).is_err());
    }
}
