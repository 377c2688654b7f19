//! The raw line that says a mismatch, with its neighbours.

use crate::db::reports::Around;
use crate::http::dashboard::parts::Privacy;

/// Lines that are shown before and behind.
const NEIGHBOURS: usize = 2;

pub struct Line {
    pub number: i64,
    pub text: String,
    /// The line itself, and no neighbour.
    pub is_it: bool,
}

/// The lines of a piece around the record at `line`. A record may have several physical lines.
#[must_use]
pub fn lines(around: &Around, line: i64, privacy: &Privacy) -> Vec<Line> {
    let size = around.bytes.len();
    let offset = |it: i64| usize::try_from(it).unwrap_or_default().min(size);
    let begins = offset(around.byte - around.first);
    let ends = offset(around.byte - around.first + around.length).max(begins);
    let (before, own, behind) = (&around.bytes[..begins], &around.bytes[begins..ends], &around.bytes[ends..]);
    let mut before = split(before);
    if around.first > 0 && !before.is_empty() {
        // The piece begins within a line.
        before.remove(0);
    }
    let before = &before[before.len().saturating_sub(NEIGHBOURS)..];
    let own: Vec<&[u8]> = own.split(|it| *it == b'\n').collect();
    let behind = split(behind.strip_prefix(b"\r").unwrap_or(behind).strip_prefix(b"\n").unwrap_or(behind));
    let behind = &behind[..behind.len().min(NEIGHBOURS)];
    let first = line - i64::try_from(before.len()).unwrap_or_default();
    let all = before.iter().map(|it| (*it, false)).chain(own.iter().map(|it| (*it, true)));
    let all = all.chain(behind.iter().map(|it| (*it, false)));
    all.zip(first..).map(|((bytes, is_it), number)| Line { number, text: shown(bytes, privacy), is_it }).collect()
}

/// Without the empty rest behind a last line break.
fn split(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = bytes.split(|it| *it == b'\n').collect();
    if lines.last().is_some_and(|it| it.is_empty()) {
        lines.pop();
    }
    lines
}

/// Operators see what came, also where it is no text.
fn shown(bytes: &[u8], privacy: &Privacy) -> String {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => privacy.free_text(text),
        Err(_) if privacy.sees_all() => bytes.escape_ascii().to_string(),
        Err(_) => privacy.free_text(&String::from_utf8_lossy(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown_around(first: i64, byte: i64, length: i64, bytes: &[u8], sees_all: bool) -> Vec<(i64, String, bool)> {
        let around = Around { first, byte, length, redacted: false, bytes: bytes.to_vec() };
        let lines = lines(&around, 4, &Privacy::new(sees_all, None));
        lines.into_iter().map(|it| (it.number, it.text, it.is_it)).collect()
    }

    #[test]
    fn a_line_has_two_neighbours_on_each_side() {
        let line = |n, text: &str, is_it| (n, text.to_owned(), is_it);
        assert_eq!(
            shown_around(0, 6, 1, b"a\nb\nc\nd\ne\nf\ng\n", true),
            [line(2, "b", false), line(3, "c", false), line(4, "d", true), line(5, "e", false), line(6, "f", false)]
        );
        assert_eq!(
            shown_around(100, 108, 3, b"cut\r\nc\r\n\"d\"\r\n", true),
            [line(3, "c", false), line(4, "\"d\"", true)]
        );
        assert_eq!(
            shown_around(0, 0, 5, b"\"a\nb\"\nc", true),
            [line(4, "\"a", true), line(5, "b\"", true), line(6, "c", false)]
        );
        assert_eq!(shown_around(0, 9, 9, b"ab", true).len(), 2);
        assert_eq!(shown_around(0, 0, 2, b"a\xff", true)[0].1, "a\\xff");
    }

    #[test]
    fn readers_see_neither_names_nor_ibans_of_any_line() {
        let bytes = b"aor_9,Acme Trading BV,BE68539007547034,ops@acme.example\naor_1,STUDIO54,COMPLETED,BE,EUR,6.05";
        let shown = format!("{:?}", shown_around(0, 56, 37, bytes, false));
        for secret in ["Acme", "Trading", "539007547034", "ops@", "STUDIO54"] {
            assert!(!shown.contains(secret), "{secret}: {shown}");
        }
        for kept in ["aor_9", "aor_1", "COMPLETED", "BE", "EUR", "6.05"] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
    }
}
