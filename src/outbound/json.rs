//! Lenient JSON parsing: broken text for people does not make the rest of an answer unreadable.
//!
//! JSON may contain half of a surrogate pair (`"\ud83d"`, where a sender cut a text), and some senders write bytes that
//! are not UTF-8. A Rust string holds neither, so a strict parser refuses the whole document. Fields for people are
//! parsed as [`Prose`], which accepts both and any JSON type. All other fields are strict: an id, a status or an IBAN
//! with such a defect is refused.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// Replaces bytes that are not UTF-8: a lone surrogate, which a strict field refuses and a [`Prose`] accepts.
const HALF: &str = r"\ud800";

/// Text for people, with U+FFFD for invalid characters. A number or an object is kept as its JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prose(pub String);

impl<'de> Deserialize<'de> for Prose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let json = whole(raw.get());
        Ok(Self(serde_json::from_str(&json).unwrap_or_else(|_| json.into_owned())))
    }
}

/// Parses a JSON object; the encoding of its [`Prose`] fields may be broken.
///
/// # Errors
/// If it is not an object of this shape. An array is refused, although serde would read its elements as fields.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(serde::de::Error::custom("no object"));
    }
    match str::from_utf8(body) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_str(&with(body, |_| HALF.to_owned())),
    }
}

/// A document of nested nodes for people; null if unreadable.
#[must_use]
pub fn nodes(raw: &RawValue) -> Value {
    serde_json::from_str(&whole(raw.get())).unwrap_or_default()
}

/// The body with a `?` for each byte that is not UTF-8, so that positions stay the same.
#[must_use]
pub fn in_place(body: &[u8]) -> Cow<'_, str> {
    str::from_utf8(body).map_or_else(|_| Cow::Owned(with(body, |bytes| "?".repeat(bytes))), Cow::Borrowed)
}

/// Replaces each run of bytes that are not UTF-8; `replacement` gets their number.
fn with(body: &[u8], replacement: impl Fn(usize) -> String) -> String {
    let mut text = String::with_capacity(body.len());
    for chunk in body.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push_str(&replacement(chunk.invalid().len()));
        }
    }
    text
}

/// Replaces lone surrogates in JSON escapes by U+FFFD.
fn whole(json: &str) -> Cow<'_, str> {
    if !json.contains(r"\u") {
        return Cow::Borrowed(json);
    }
    let (mut text, mut rest) = (String::with_capacity(json.len()), json);
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        text.push_str(before);
        let (length, is_half) = match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, false),
            (Some(unit), _) => (6, (0xd800..=0xdfff).contains(&unit)),
            (None, _) => (2, false),
        };
        let (escape, after) = escape.split_at_checked(length).unwrap_or((escape, ""));
        text.push_str(if is_half { "\u{fffd}" } else { escape });
        rest = after;
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// The UTF-16 unit of the escape `\uXXXX` at the start of a text.
fn unit(escape: &str) -> Option<u16> {
    u16::from_str_radix(escape.strip_prefix(r"\u")?.get(..4)?, 16).ok()
}

/// Where and how JSON is wrong, without the text at that place.
#[must_use]
pub fn place(error: &serde_json::Error) -> String {
    format!("{:?} at line {} column {}", error.classify(), error.line(), error.column())
}

/// Text from outside, fit to be stored and shown: at most 200 characters, none of them a control character (Postgres refuses
/// U+0000). A tab or a line end becomes a space. The raw bytes stay in the inbox.
#[must_use]
pub fn sanitize(text: &str) -> String {
    let shown = |c: char| match c {
        c if !c.is_control() => c,
        c if c.is_whitespace() => ' ',
        _ => char::REPLACEMENT_CHARACTER,
    };
    text.chars().take(200).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Answer {
        status: String,
        why: Option<Prose>,
    }

    fn why(body: &[u8]) -> Option<String> {
        read::<Answer>(body).unwrap().why.map(|it| it.0)
    }

    /// F3
    #[test]
    fn a_half_of_a_pair_becomes_one_replacement_character_and_a_whole_pair_stays() {
        for (written, read) in [
            (r"\ud83d", "\u{fffd}"),
            (r"\uDE00", "\u{fffd}"),
            (r"\ud83d\ud83d\ude00x", "\u{fffd}\u{1f600}x"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\\ud83d \u005cud83d", r"\ud83d \ud83d"),
            (r"\ud83d\n\t\u00e9", "\u{fffd}\n\t\u{e9}"),
        ] {
            let body = format!(r#"{{"status":"X","why":"{written}"}}"#);
            assert_eq!(why(body.as_bytes()).as_deref(), Some(read), "{written}");
        }
    }

    /// F3
    #[test]
    fn a_strict_field_refuses_what_a_text_for_people_takes() {
        for status in [&br#""\ud83d""#[..], b"\"caf\xe9\"", b"7", b"{}"] {
            let body = [br#"{"why":""#, &b"caf\xe9"[..], br#"","status":"#, status, b"}"].concat();
            assert!(read::<Answer>(&body).is_err(), "{}", String::from_utf8_lossy(&body));
        }
        assert!(read::<Answer>(br#"["X","no"]"#).is_err(), "the fields have names");
        let answer: Answer = read(b"{\"status\":\"X\",\"why\":\"caf\xe9\"}").unwrap();
        assert_eq!((answer.status.as_str(), answer.why), ("X", Some(Prose("caf\u{fffd}".to_owned()))));
        assert_eq!((why(br#"{"status":"X"}"#), why(br#"{"status":"X","why":null}"#)), (None, None));
    }

    proptest! {
        /// F3: for any text, even with half of such an escape, the status beside it is read.
        #[test]
        fn no_text_keeps_the_status_from_being_read(parts in proptest::collection::vec(prop_oneof![
            Just(&b"\\ud83d"[..]), Just(&b"\\ude00"[..]), Just(&b"\\ud800"[..]), Just(&b"\\udfff"[..]), Just(&b"\xff"[..]),
            Just(&b"\xed\xa0\xbd"[..]), Just(&b"\xf0\x9f"[..]), Just(&b"\\\\"[..]), Just(&b"u"[..]), Just("\u{1f600}".as_bytes()),
        ], 0..12)) {
            let body = [&br#"{"why":""#[..], &parts.concat(), br#"","status":"REJECTED"}"#].concat();
            let answer: Answer = read(&body).unwrap();
            prop_assert_eq!(answer.status, "REJECTED");
            prop_assert_eq!(in_place(&body).len(), body.len());
        }
    }
}
