//! Whether bytes that nobody parsed speak of an opening: the one pattern that an erasure searches with.
//!
//! Invariant: it matches whole ids, so that whoever has an id that ours begins keeps what is theirs. It is written for what
//! `encode(body, 'escape')` makes of a body, where a backslash is two and a byte beyond ASCII is one with three octal digits,
//! and serves the text of `jsonb` too.

use crate::domain::{Opening, ProviderRef};

/// A tracking id that is shorter says too little: it would be found where it is not meant.
const SHORTEST: usize = 6;
/// What may stand before a tracking id: the beginning, what no id is made of, the end of a byte beyond ASCII, or that of an
/// escape in JSON (`\n`, `\u0020`).
const BEFORE: &str = r"(^|[^A-Za-z0-9_-]|\\[0-7]{3}|\\\\[bfnrt]|\\\\u[0-9A-Fa-f]{4})";
const AFTER: &str = "([^A-Za-z0-9_-]|$)";

/// A regular expression of Postgres, to be matched with case: our id in either case and with or without its hyphens, since providers
/// give it back in both forms, or the provider's as it is.
pub fn pattern(opening: &Opening) -> String {
    let ours = in_any_form(&opening.id.to_string());
    match opening.state.reference().map(ProviderRef::as_str).filter(|it| it.len() >= SHORTEST) {
        Some(theirs) => format!("{ours}|{BEFORE}{}{AFTER}", escaped(theirs)),
        None => ours,
    }
}

fn in_any_form(id: &str) -> String {
    let either = |c: char| match c {
        'a'..='z' | 'A'..='Z' => format!("[{}{}]", c.to_ascii_lowercase(), c.to_ascii_uppercase()),
        '-' => "-?".to_owned(),
        c => c.to_string(),
    };
    id.chars().map(either).collect()
}

/// As `encode(…, 'escape')` writes it, each character standing for itself.
fn escaped(id: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
        b'\\' => r"\\\\".to_owned(),
        0 | 128.. => format!(r"\\{byte:03o}"),
        byte => format!(r"\{}", char::from(byte)),
    };
    id.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_id_is_found_in_each_form_and_theirs_stands_for_itself() {
        assert_eq!(in_any_form("01-9a"), "01-?9[aA]");
        assert_eq!(escaped("aor_12.(x)-é"), r"aor_12\.\(x\)\-\\303\\251");
        assert_eq!(escaped(r"a\b"), r"a\\\\b");
    }
}
