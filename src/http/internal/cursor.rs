//! Cursors: the key of a row as text.
//!
//! Each kind of key has its own format, described as a pattern. Every text of that format is a valid position, even if
//! no row is there. No format contains a character that URLs escape or the database refuses.

use chrono::DateTime;
use utoipa::openapi::schema::ObjectBuilder;
use uuid::Uuid;

use super::path::uuid;
use crate::clock::Time;
use crate::domain::text;

/// Separates the parts of a composite key.
const BETWEEN: char = '~';

/// The maximum length of a word in a key, in characters.
const MAX_WORD: usize = 64;

/// The maximum number of digits in a key, so that every number fits.
const MAX_DIGITS: usize = 18;

pub trait Key: Sized {
    /// Its format, as a regular expression.
    fn pattern() -> String;

    fn write(&self) -> String;

    fn read(text: &str) -> Option<Self>;
}

/// The schema of a list's cursors.
#[must_use]
pub fn form<K: Key>() -> ObjectBuilder {
    text::matching(&K::pattern())
}

impl Key for Uuid {
    fn pattern() -> String {
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}".to_owned()
    }

    fn write(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        uuid(text)
    }
}

/// Numbers of rows are never negative.
impl Key for i64 {
    fn pattern() -> String {
        format!("[0-9]{{1,{MAX_DIGITS}}}")
    }

    fn write(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        let digits = (1..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_digit());
        if digits { text.parse().ok() } else { None }
    }
}

/// A single digit: the rank of an item's kind.
impl Key for i32 {
    fn pattern() -> String {
        "[0-9]".to_owned()
    }

    fn write(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        if text.len() == 1 { text.parse().ok() } else { None }
    }
}

/// Microseconds since 1970: no row is older.
impl Key for Time {
    fn pattern() -> String {
        i64::pattern()
    }

    fn write(&self) -> String {
        self.timestamp_micros().to_string()
    }

    fn read(text: &str) -> Option<Self> {
        i64::read(text).and_then(DateTime::from_timestamp_micros)
    }
}

/// A name or an id; may be empty.
impl Key for String {
    fn pattern() -> String {
        format!("[A-Za-z0-9._-]{{0,{MAX_WORD}}}")
    }

    fn write(&self) -> String {
        self.clone()
    }

    fn read(text: &str) -> Option<Self> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (text.len() <= MAX_WORD && text.bytes().all(known)).then(|| text.to_owned())
    }
}

impl<A: Key, B: Key> Key for (A, B) {
    fn pattern() -> String {
        format!("{}{BETWEEN}{}", A::pattern(), B::pattern())
    }

    fn write(&self) -> String {
        format!("{}{BETWEEN}{}", self.0.write(), self.1.write())
    }

    fn read(text: &str) -> Option<Self> {
        let (first, second) = text.split_once(BETWEEN)?;
        Some((A::read(first)?, B::read(second)?))
    }
}

impl<A: Key, B: Key, C: Key> Key for (A, B, C) {
    fn pattern() -> String {
        format!("{}{BETWEEN}{}", A::pattern(), <(B, C)>::pattern())
    }

    fn write(&self) -> String {
        format!("{}{BETWEEN}{}{BETWEEN}{}", self.0.write(), self.1.write(), self.2.write())
    }

    fn read(text: &str) -> Option<Self> {
        let (first, rest) = text.split_once(BETWEEN)?;
        let (second, third) = Key::read(rest)?;
        Some((A::read(first)?, second, third))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    fn there_and_back<K: Key + PartialEq + Debug>(key: K, cursor: &str) {
        assert_eq!(key.write(), cursor);
        assert_eq!(K::read(cursor), Some(key));
    }

    #[test]
    fn a_cursor_brings_back_the_key_that_it_was_made_from() {
        let id: Uuid = "01993a4e-7c5b-7d0a-8c4f-3f2b1a0c9d8e".parse().unwrap();
        let at: Time = "2026-01-01T00:00:00.000001Z".parse().unwrap();
        there_and_back(id, "01993a4e-7c5b-7d0a-8c4f-3f2b1a0c9d8e");
        there_and_back(17_i64, "17");
        there_and_back((17_i64, id), "17~01993a4e-7c5b-7d0a-8c4f-3f2b1a0c9d8e");
        there_and_back((at, 3_i32, "0000000001".to_owned()), "1767225600000001~3~0000000001");
        there_and_back((String::new(), "company".to_owned()), "~company");
    }

    #[test]
    fn text_of_another_form_is_no_key() {
        assert!(["", "-1", "+1", "1~", "1234567890123456789", "٣"].iter().all(|it| i64::read(it).is_none()));
        assert!(["", "~", "1~2~3", "1~x", "x~1"].iter().all(|it| <(i64, i64)>::read(it).is_none()));
        assert!(["a\u{0}", "a~b", "é", &"x".repeat(65)].iter().all(|it| String::read(it).is_none()));
        assert!(<(Time, i32, String)>::read("999999999999999999~9~").is_some());
        assert!(<(Time, i32, String)>::read("1~10~x").is_none());
    }
}
