//! Reads `.env` in the working directory: `NAME=value` lines, with literal values.
//!
//! The available crates expand `$NAME`, which corrupts passwords that contain a dollar sign. The values are passed to
//! the argument parser only; the process environment is never modified.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

pub(super) type Variables = BTreeMap<String, String>;

/// The error of a line. It quotes nothing of the file, which may contain secrets.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
struct WrongLine {
    line: usize,
    why: &'static str,
}

/// Reads the file; a missing file counts as empty.
///
/// # Errors
/// The wrong line's number and problem.
pub(super) fn read(path: &Path) -> Result<Variables, String> {
    match std::fs::read(path) {
        Ok(bytes) => parse(&bytes).map_err(|wrong| format!("{}: {wrong}", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Variables::new()),
        Err(error) => Err(format!("{}: cannot be read: {error}", path.display())),
    }
}

fn parse(bytes: &[u8]) -> Result<Variables, WrongLine> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut variables = Variables::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let wrong = |why| WrongLine { line: index + 1, why };
        let line = std::str::from_utf8(line).map_err(|_| wrong("is not UTF-8"))?;
        if line.contains('\0') {
            return Err(wrong("contains a NUL character"));
        }
        if let Some((name, value)) = assignment(line).map_err(wrong)?
            && variables.insert(name.to_owned(), value).is_some()
        {
            // The program cannot know which of the two values was meant.
            return Err(wrong("sets a name that an earlier line has set"));
        }
    }
    Ok(variables)
}

fn assignment(line: &str) -> Result<Option<(&str, String)>, &'static str> {
    const SYNTAX: &str = "invalid line; expected NAME=value";
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (name, value) = line.split_once('=').ok_or(SYNTAX)?;
    let name = name.trim();
    let name = name.strip_prefix("export").filter(|it| it.starts_with(char::is_whitespace)).unwrap_or(name).trim();
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !begins || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c)) {
        return Err(SYNTAX);
    }
    Ok(Some((name, literal(value)?)))
}

/// Parses a value. Single quotes: literal. Double quotes: with `\"`, `\\`, `\$` and `\n`. Unquoted: up to a comment, which begins with white space and `#`.
fn literal(text: &str) -> Result<String, &'static str> {
    const UNCLOSED: &str = "has an unclosed quote";
    let trimmed = text.trim_start();
    let (value, rest) = match trimmed.chars().next() {
        Some('\'') => {
            let (value, rest) = trimmed[1..].split_once('\'').ok_or(UNCLOSED)?;
            (value.to_owned(), rest)
        }
        Some('"') => double_quoted(&trimmed[1..]).ok_or(UNCLOSED)?,
        _ => (before_comment(text).trim().to_owned(), ""),
    };
    let rest = rest.trim_start();
    if rest.is_empty() || rest.starts_with('#') { Ok(value) } else { Err("has text after the closing quote") }
}

/// The value and the text after its closing quote.
fn double_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                c @ ('"' | '\\' | '$') => value.push(c),
                c => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
}

fn before_comment(text: &str) -> &str {
    let comment = text.match_indices('#').find(|(at, _)| text[..*at].ends_with(char::is_whitespace));
    comment.map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &str) -> Result<String, usize> {
        parse(line.as_bytes()).map(|it| it["X"].clone()).map_err(|wrong| wrong.line)
    }

    /// G19
    #[test]
    fn values_are_taken_literally() {
        for (line, held) in [
            ("X=", ""),
            ("X= # a comment", ""),
            ("X=#1", "#1"),
            ("X=a#b #c", "a#b"),
            ("X=$HOME${X}$$", "$HOME${X}$$"),
            (r"X=a\b\\c", r"a\b\\c"),
            (r#"X="a\"\\\$\n\t""#, "a\"\\$\n\\t"),
            (r#"X='a"\n$'"#, r#"a"\n$"#),
            ("export X=1", "1"),
            ("export\tX = 1 ", "1"),
            ("\n\nX=a=b", "a=b"),
        ] {
            assert_eq!(value(line).as_deref(), Ok(held), "{line}");
        }
        assert_eq!(parse(b"\xef\xbb\xbf# nothing\r\n\r\n"), Ok(Variables::new()));
        assert_eq!(parse(b"export=1").map(|it| it["export"].clone()), Ok("1".to_owned()));
    }

    /// G19
    #[test]
    fn an_unreadable_line_is_named_by_its_number() {
        for (text, line) in [
            ("X", 1),
            ("A=1\n=2", 2),
            ("A=1\n\n1X=2", 3),
            ("X Y=2", 1),
            ("X='a", 1),
            ("X=\"a\\\"", 1),
            ("X='a'b", 1),
            ("X=a\0b", 1),
            ("X=1\nX=1", 2),
        ] {
            assert_eq!(parse(text.as_bytes()).map_err(|wrong| wrong.line), Err(line), "{text:?}");
        }
        assert_eq!(parse(b"X=1\nX=\xff").map_err(|wrong| wrong.line), Err(2));
    }
}
