//! Bytes from outside: operators see them as they came, as text and in hexadecimal.
//!
//! Of JSON all others see the names of its fields, numbers, times, ids, and words such as a status. Any other text could be a name,
//! so that its initials are shown. Of bytes that are no JSON they see the number alone.

use std::fmt::Write as _;

use askama::Template;
use askama::filters::HtmlSafe;
use serde_json::Value;
use uuid::Uuid;

use super::{Privacy, masked_name};
use crate::clock::Time;

/// Bytes in a line of hexadecimal.
const LINE: usize = 16;
/// The longest word and id that is shown to all.
const MAX_WORD: usize = 64;
/// Fields that hold a word of the sender's protocol.
const WORDS: [&str; 12] =
    ["status", "state", "type", "event", "event_type", "kind", "code", "currency", "market", "country", "bic", "topic"];

#[derive(Clone, Debug, Template)]
#[template(path = "parts/payload.html")]
pub struct Payload {
    /// For the labels of its regions; a word of ours.
    name: &'static str,
    size: usize,
    text: Option<String>,
    hex: Option<String>,
}

impl HtmlSafe for Payload {}

impl Payload {
    #[must_use]
    pub fn new(name: &'static str, bytes: &[u8], privacy: &Privacy) -> Self {
        let size = bytes.len();
        if privacy.sees_all() {
            let text = (size > 0).then(|| String::from_utf8_lossy(bytes).into_owned());
            return Self { name, size, text, hex: (size > 0).then(|| hex_dump(bytes)) };
        }
        let json = serde_json::from_slice::<Value>(bytes).ok().map(|it| for_readers("", it, privacy));
        let text = json.and_then(|it| serde_json::to_string_pretty(&it).ok());
        Self { name, size, text, hex: None }
    }
}

/// Lines of offset, bytes and their ASCII.
fn hex_dump(bytes: &[u8]) -> String {
    let mut dump = String::with_capacity(bytes.len() * 5);
    for (at, line) in bytes.chunks(LINE).enumerate() {
        let pairs: Vec<String> = line.iter().map(|it| format!("{it:02x}")).collect();
        let shown = |it: &u8| if it.is_ascii_graphic() || *it == b' ' { char::from(*it) } else { '.' };
        let ascii: String = line.iter().map(shown).collect();
        // Writing to a string does not fail.
        let _ = writeln!(dump, "{:08x}  {:<47}  {ascii}", at * LINE, pairs.join(" "));
    }
    dump
}

/// A value of a field as this person may see it.
#[must_use]
pub fn shown(field: &str, value: &Value, privacy: &Privacy) -> Value {
    if privacy.sees_all() { value.clone() } else { for_readers(field, value.clone(), privacy) }
}

fn for_readers(field: &str, value: Value, privacy: &Privacy) -> Value {
    match value {
        Value::Object(fields) => {
            let shown = |(name, value): (String, Value)| {
                let value = for_readers(&name, value, privacy);
                (if is_word(&name) { privacy.text(&name) } else { masked_name(&name) }, value)
            };
            Value::Object(fields.into_iter().map(shown).collect())
        }
        Value::Array(items) => items.into_iter().map(|it| for_readers(field, it, privacy)).collect(),
        Value::String(text) => text_for_readers(field, &text, privacy).into(),
        other => other,
    }
}

fn text_for_readers(field: &str, text: &str, privacy: &Privacy) -> String {
    let field = field.to_ascii_lowercase();
    let is_id = ["id", "reference", "ref"].iter().any(|it| field.ends_with(it));
    let has_digit = text.bytes().any(|it| it.is_ascii_digit());
    let is_plain = text.parse::<Time>().is_ok()
        || Uuid::try_parse(text).is_ok()
        || (is_word(text) && (WORDS.contains(&field.as_str()) || (is_id && has_digit)));
    let masked = privacy.text(text);
    if is_plain {
        masked
    } else if masked != text {
        // An IBAN or an address is recognisable masked; a name may stand beside it.
        privacy.free_text(text)
    } else {
        masked_name(text)
    }
}

fn is_word(text: &str) -> bool {
    let fits = |it: u8| it.is_ascii_alphanumeric() || b"_-.:".contains(&it);
    (1..=MAX_WORD).contains(&text.len()) && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn readers_see_words_ids_and_times_and_no_text_that_could_be_a_name() {
        let privacy = Privacy::new(false, None);
        let value = json!({
            "type": "account.completed", "id": "evt_17", "at": "2026-01-01T00:00:00Z", "n": 3, "ok": true, "none": null,
            "customer": {"name": "Acme BV", "email": "ops@acme.example"}, "status": "COMPLETED",
            "iban": "BE68539007547034", "id_of": "Acme", "reason": "Jane left", "list": ["Jane"], "Jane Doe": 1,
            "note": "Jane Doe, BE68 5390 0754 7034, ops@acme.example",
        });
        let shown = for_readers("", value, &privacy);
        assert_eq!(
            shown,
            json!({
                "type": "account.completed", "id": "evt_17", "at": "2026-01-01T00:00:00Z", "n": 3, "ok": true,
                "none": null, "customer": {"name": "A… B…", "email": "o…@acme.example"}, "status": "COMPLETED",
                "iban": "BE68 •••• •••• 7034", "id_of": "A…", "reason": "J… l…", "list": ["J…"], "J… D…": 1,
                "note": shown["note"],
            })
        );
        let note = shown["note"].as_str().unwrap();
        assert!(note.contains("BE68 •••• •••• 7034") && !note.contains("Jane") && !note.contains("Doe"), "{note}");
    }

    #[test]
    fn operators_see_the_bytes_and_readers_the_number_of_those_that_are_no_json() {
        let payload = |sees| Payload::new("body", b"<Acme>\0", &Privacy::new(sees, None));
        let dump = payload(true).hex.unwrap();
        assert_eq!(dump, format!("00000000  {:<47}  <Acme>.\n", "3c 41 63 6d 65 3e 00"));
        assert_eq!(payload(true).text.as_deref(), Some("<Acme>\0"));
        let Payload { size, text, hex, .. } = payload(false);
        assert_eq!((size, text, hex), (7, None, None));
    }
}
