//! Regular expressions that find an opening or its customer in unparsed bytes; an erasure searches with them.
//!
//! Invariant: they match only whole ids, IBANs, addresses and references, so that a longer value that starts with ours
//! is left alone. They match the text of `encode(body, 'escape')`, where a backslash is doubled and a non-ASCII byte is
//! a backslash with three octal digits, and the text of `jsonb`. The syntax is Postgres'.

use serde_json::Value;

use crate::domain::{Opening, ProviderRef};

/// A shorter tracking id, address or reference would match unrelated text.
const SHORTEST: usize = 6;
/// The boundary before a tracking id: the start, a character that ids do not contain, the end of an escaped non-ASCII byte
/// or of a JSON escape (`\n`, `\u0020`).
const BEFORE: &str = r"(^|[^A-Za-z0-9_-]|\\[0-7]{3}|\\\\[bfnrt]|\\\\u[0-9A-Fa-f]{4})";
const AFTER: &str = "([^A-Za-z0-9_-]|$)";
/// The boundary before the other values: the same, or the end of a URL escape (`%20`).
const BEFORE_IBAN: &str = r"(^|[^a-z0-9]|\\[0-7]{3}|\\\\[bfnrt]|\\\\u[0-9a-f]{4}|%[0-9a-f]{2})";
const BEFORE_ADDRESS: &str = r"(^|[^a-z0-9._%+-]|\\[0-7]{3}|\\\\[bfnrt]|\\\\u[0-9a-f]{4}|%[0-9a-f]{2})";
const BEFORE_REFERENCE: &str = r"(^|[^a-z0-9_-]|\\[0-7]{3}|\\\\[bfnrt]|\\\\u[0-9a-f]{4}|%[0-9a-f]{2})";
const AFTER_IBAN: &str = "([^a-z0-9]|$)";
/// An address ends where no host name continues; a full stop may end a sentence.
const AFTER_ADDRESS: &str = r"([^a-z0-9.-]|\.[^a-z0-9]|\.?$)";
/// The separators in a printed IBAN: white space in any spelling, full stops and hyphens.
const BETWEEN: &str = r"([[:space:].\u00a0\u2007\u2009\u202f-]|\\[0-7]{3}|\\\\[nrt]|\\\\u[0-9a-f]{4}|%20|\+)*";

/// The patterns of one erasure.
pub struct Mentions {
    /// Matches the opening's ids, case-sensitively.
    pub ids: String,
    /// Matches IBAN, e-mail and reference of the customer, case-insensitively. Known only at the first erasure. None:
    /// nothing to search for.
    pub customer: Option<String>,
}

impl Mentions {
    /// Patterns for an opening and, while they are known, its account and `customer`.
    pub fn of(opening: &Opening, customer: Option<&Value>) -> Self {
        Self { ids: ids(opening), customer: customer.and_then(|it| personal(opening, it)) }
    }
}

/// Our id in either case, with or without hyphens (providers return both), or the provider's id as it is.
fn ids(opening: &Opening) -> String {
    let ours = in_any_form(&opening.id.to_string());
    match opening.state.reference().map(ProviderRef::as_str).filter(|it| it.len() >= SHORTEST) {
        Some(theirs) => format!("{ours}|{BEFORE}{}{AFTER}", escaped(theirs)),
        None => ours,
    }
}

/// Personal values. The name is not searched for: many people share it.
fn personal(opening: &Opening, customer: &Value) -> Option<String> {
    let iban = opening.state.account().map(|it| it.iban.as_str());
    let email = customer["email"].as_str().map(str::trim).filter(|it| it.len() >= SHORTEST && it.contains('@'));
    let reference = Some(opening.request.customer_reference.trim()).filter(|it| is_telling(it));
    let iban = iban.map(|it| format!("{BEFORE_IBAN}{}{AFTER_IBAN}", spelled(it).join(BETWEEN)));
    let email = email.map(|it| format!("{BEFORE_ADDRESS}{}{AFTER_ADDRESS}", spelled(it).concat()));
    let reference = reference.map(|it| format!("{BEFORE_REFERENCE}{}{AFTER}", spelled(it).concat()));
    let patterns: Vec<String> = [iban, email, reference].into_iter().flatten().collect();
    (!patterns.is_empty()).then(|| patterns.join("|"))
}

/// Whether a reference identifies one customer: long enough, and not a plain word that appears in unrelated text.
fn is_telling(reference: &str) -> bool {
    reference.len() >= SHORTEST && !reference.chars().all(char::is_alphabetic)
}

fn in_any_form(id: &str) -> String {
    let either = |c: char| match c {
        'a'..='z' | 'A'..='Z' => format!("[{}{}]", c.to_ascii_lowercase(), c.to_ascii_uppercase()),
        '-' => "-?".to_owned(),
        c => c.to_string(),
    };
    id.chars().map(either).collect()
}

/// The text as `encode(…, 'escape')` writes it, with special characters quoted.
fn escaped(id: &str) -> String {
    id.bytes().map(escaped_byte).collect()
}

fn escaped_byte(byte: u8) -> String {
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
        b'\\' => r"\\\\".to_owned(),
        0 | 128.. => format!(r"\\{byte:03o}"),
        byte => format!(r"\{}", char::from(byte)),
    }
}

/// Each character in every spelling that a body may use: plain, JSON escape, URL escape. The match ignores case, but an
/// escape encodes one case, so both are listed.
fn spelled(text: &str) -> Vec<String> {
    let both = |c: char| c.to_lowercase().chain(c.to_uppercase());
    let ways = |c: char| {
        let mut ways: Vec<String> = both(c).flat_map(ways_of).collect();
        ways.sort_unstable();
        ways.dedup();
        format!("({})", ways.join("|"))
    };
    text.chars().map(ways).collect()
}

fn ways_of(c: char) -> Vec<String> {
    let (mut bytes, mut units) = ([0; 4], [0; 2]);
    let bytes = c.encode_utf8(&mut bytes).as_bytes();
    let as_it_is: String = bytes.iter().map(|it| escaped_byte(*it)).collect();
    let in_url = bytes.iter().map(|it| format!("%{it:02x}")).collect::<Vec<_>>().concat();
    let in_json = c.encode_utf16(&mut units).iter().map(|it| format!(r"\\\\u{it:04x}")).collect::<Vec<_>>().concat();
    let mut ways = vec![as_it_is, in_url, in_json];
    match c {
        // For the text of `jsonb`, which does not escape bytes, and for files in UTF-16 or Latin-1.
        _ if !c.is_ascii() => {
            ways.extend([c.to_string(), in_units(c, u16::to_le_bytes), in_units(c, u16::to_be_bytes)]);
        }
        '/' => ways.push(r"\\\\\/".to_owned()),
        _ => {}
    }
    ways
}

/// A character in UTF-16 without its zero bytes, which are left out of what is searched. Below U+0100 that is Latin-1.
fn in_units(c: char, bytes: fn(u16) -> [u8; 2]) -> String {
    let mut units = [0; 2];
    let bytes = c.encode_utf16(&mut units).iter().flat_map(|it| bytes(*it));
    bytes.filter(|byte| *byte != 0).map(escaped_byte).collect()
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

    #[test]
    fn a_character_is_spelled_in_every_way_that_a_body_may_write_it() {
        assert_eq!(spelled("a"), [r"(%41|%61|A|\\\\u0041|\\\\u0061|a)"]);
        assert_eq!(spelled("/"), [r"(%2f|\/|\\\\\/|\\\\u002f)"]);
        assert_eq!(spelled("é").concat(), r"(%c3%89|%c3%a9|\\303\\211|\\303\\251|\\311|\\351|\\\\u00c9|\\\\u00e9|É|é)");
        assert!(spelled("🦀").concat().contains(r"\\\\ud83e\\\\udd80"));
    }

    #[test]
    fn a_reference_is_looked_for_only_where_it_tells_its_customer_from_others() {
        for (reference, telling) in
            [("1", false), ("cus_1", false), ("company", false), ("cus_12", true), ("123456", true), ("acme-bv", true)]
        {
            assert_eq!(is_telling(reference), telling, "{reference}");
        }
    }
}
