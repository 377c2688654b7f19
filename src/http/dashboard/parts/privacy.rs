//! Texts from outside: operators see them as they came, for all others IBANs, e-mail addresses and the customer's name are masked.

use super::{masked_email, masked_iban, masked_name};
use crate::domain::bank::Iban;

/// The fewest letters and digits that may be an IBAN.
const SHORTEST_IBAN: usize = 12;
/// ISO 13616.
const LONGEST_IBAN: usize = 34;
/// Signs between two groups of an IBAN.
const MAX_BETWEEN: usize = 3;
/// Shorter words of a name, such as `BV`, are masked in the name alone: a text without them could not be read.
const SHORTEST_NAME: usize = 3;

/// The fewest hexadecimal digits of an id without a prefix.
const SHORTEST_ID: usize = 8;

/// The prefixes of ids, before the underscore; `jan_12` is a name.
const KINDS_OF_IDS: [&str; 4] = ["acc", "aor", "chg", "stl"];

/// Words of report files that are no names.
const WORDS: [&str; 19] = [
    "header",
    "trailer",
    "register",
    "charges",
    "bank",
    "charge",
    "group",
    "refund",
    "adjustment",
    "settlement",
    "completed",
    "rejected",
    "pending",
    "created",
    "amount",
    "currency",
    "in",
    "progress",
    "initiated",
];

#[derive(Clone, Debug)]
pub struct Privacy {
    sees_all: bool,
    /// The customer's name, in pieces of letters and digits, in lower case.
    name: Vec<String>,
}

impl Privacy {
    #[must_use]
    pub fn new(sees_all: bool, name: Option<&str>) -> Self {
        let pieces = name.unwrap_or_default().split(|it: char| !it.is_alphanumeric()).filter(|it| !it.is_empty());
        Self { sees_all, name: pieces.map(str::to_lowercase).collect() }
    }

    /// Whether this person sees texts and bytes from outside as they came.
    #[must_use]
    pub const fn sees_all(&self) -> bool {
        self.sees_all
    }

    /// A text as this person may see it.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        if self.sees_all { text.to_owned() } else { self.masked(text) }
    }

    /// A text that may name any customer, such as a line of a file. Words that cannot be told apart from a name are masked too.
    #[must_use]
    pub fn free_text(&self, text: &str) -> String {
        if self.sees_all { text.to_owned() } else { without_names(&self.masked(text)) }
    }

    fn masked(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut before = None;
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let begins_word = is_of_word(first) && !before.is_some_and(is_of_word);
            let (length, masked) = self.at(rest, begins_word).unwrap_or_else(|| {
                let piece = piece_at(rest).max(first.len_utf8());
                (piece, rest[..piece].to_owned())
            });
            shown.push_str(&masked);
            before = rest[..length].chars().next_back();
            rest = &rest[length..];
        }
        shown
    }

    /// The length of what is masked at the start of a text, and what is shown of it.
    fn at(&self, text: &str, begins_word: bool) -> Option<(usize, String)> {
        if begins_word {
            let length = iban_like_at(text);
            if length > 0 {
                return Some((length, masked_iban(&plain(&text[..length]))));
            }
            let word = &text[..text.find(|it| !is_of_word(it)).unwrap_or(text.len())];
            if word.contains('@') || word.contains("%40") {
                return Some((word.len(), masked_email(&word.replace("%40", "@"))));
            }
        }
        if let Some(length) = iban_at(text) {
            return Some((length, masked_iban(&plain(&text[..length]))));
        }
        self.name_at(text).map(|length| (length, masked_name(&text[..length])))
    }

    /// The length of the whole name, else of one of its words, at the start of a text. The short words of a name, such as `BV`, are
    /// masked within the whole name alone.
    fn name_at(&self, text: &str) -> Option<usize> {
        let piece = piece_at(text);
        let is_here = |at: usize, name: &String| text[at..at + piece_at(&text[at..])].to_lowercase() == *name;
        let mut at = 0;
        let is_whole = !self.name.is_empty()
            && self.name.iter().enumerate().all(|(n, name)| {
                if n > 0 {
                    at += text[at..].find(char::is_alphanumeric).unwrap_or(text.len() - at);
                }
                let is_here = is_here(at, name);
                at += piece_at(&text[at..]);
                is_here
            });
        let is_long = |it: &String| it.chars().count() >= SHORTEST_NAME;
        let is_word = || piece > 0 && self.name.iter().any(|it| is_long(it) && is_here(0, it));
        if is_whole { Some(at) } else { is_word().then_some(piece) }
    }
}

/// Keeps of a text the words that are no names: numbers, ids, short codes, and words of report files.
fn without_names(text: &str) -> String {
    let is_of_token = |it: char| it.is_alphanumeric() || "_-…•@.".contains(it);
    let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
    while !rest.is_empty() {
        let length = rest.find(|it| !is_of_token(it)).unwrap_or(rest.len());
        let between = if length > 0 { 0 } else { rest.find(is_of_token).unwrap_or(rest.len()) };
        shown.push_str(&rest[..between]);
        let token = &rest[between..length.max(between)];
        rest = &rest[length.max(between)..];
        let is_field = shown.chars().next_back().is_none_or(ends_field) && rest.chars().next().is_none_or(ends_field);
        let is_shown = is_no_name(token) || is_field && is_known_code(token);
        shown.push_str(&if is_shown { token.to_owned() } else { masked_name(token) });
    }
    shown
}

fn is_no_name(token: &str) -> bool {
    let is_of_words =
        || token.split(['_', '-', '.']).all(|it| is_code(it) || WORDS.contains(&it.to_lowercase().as_str()));
    is_masked(token) || is_id(token) || is_of_words()
}

/// Whether a token is the rest of a masked word or e-mail address: `A…`, `o…@acme.example`.
fn is_masked(token: &str) -> bool {
    let word = token.split_once('@').map_or(token, |(local, _)| local);
    word.ends_with('…') && word.chars().count() <= 2
}

/// Whether a sign stands between two fields of a file.
fn ends_field(sign: char) -> bool {
    ",;|\t\"\r\n".contains(sign)
}

/// The code of a country or a currency. As a field alone: within a text `LI` is a name.
fn is_known_code(token: &str) -> bool {
    let is_upper = token.bytes().all(|it| it.is_ascii_uppercase());
    is_upper && (celes::Country::from_alpha2(token).is_ok() || iso_currency::Currency::from_code(token).is_some())
}

/// A UUID, or an id in a provider's form, such as `aor_01993a4e7c5b` and `chg_9`.
fn is_id(token: &str) -> bool {
    let is_numbered = || token.split_once('_').is_some_and(|(kind, id)| KINDS_OF_IDS.contains(&kind) && is_hex(id));
    uuid::Uuid::try_parse(token).is_ok() || is_numbered()
}

/// Hexadecimal digits, a decimal one among them.
fn is_hex(text: &str) -> bool {
    text.bytes().any(|it| it.is_ascii_digit()) && text.bytes().all(|it| it.is_ascii_hexdigit())
}

/// A number, a time, or digits among which at most two letters stand together, such as `BE68` and `08Z`.
fn is_code(piece: &str) -> bool {
    let letters = || piece.split(|it: char| !it.is_alphabetic());
    let are_few = || letters().all(|it| it.len() <= 2) && piece.contains(|it: char| it.is_ascii_digit());
    let is_long_hex = || piece.len() >= SHORTEST_ID && is_hex(piece);
    is_long_hex() || letters().all(str::is_empty) || are_few()
}

/// The letters and digits at the start of a text.
fn piece_at(text: &str) -> usize {
    text.find(|it: char| !it.is_alphanumeric()).unwrap_or(text.len())
}

/// Whether a word of a text, such as an e-mail address, may hold this sign.
fn is_of_word(sign: char) -> bool {
    sign.is_alphanumeric() || "@._%+-".contains(sign)
}

fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// The length of a valid IBAN at the start of a text, with any separators between its groups.
fn iban_at(text: &str) -> Option<usize> {
    let (mut compact, mut ends, mut between) = (String::new(), Vec::new(), 0);
    if !text.starts_with(|it: char| it.is_ascii_alphanumeric()) {
        return None;
    }
    for (at, sign) in text.char_indices() {
        if sign.is_ascii_alphanumeric() {
            compact.push(sign);
            ends.push(at + 1);
            between = 0;
        } else {
            between += 1;
        }
        if between > MAX_BETWEEN || compact.len() == LONGEST_IBAN {
            break;
        }
    }
    let is_iban = |length: &usize| compact.get(..*length).is_some_and(|it| Iban::parse(it).is_ok());
    let length = (SHORTEST_IBAN..=compact.len()).rev().find(is_iban)?;
    ends.get(length - 1).copied()
}

/// The length of what may be an IBAN at the start of a text, printed in groups or in one, whether or not it is valid. 0: none.
fn iban_like_at(text: &str) -> usize {
    let (mut end, mut at) = (0, 0);
    loop {
        let group = text[at..].find(|it: char| !it.is_ascii_alphanumeric()).unwrap_or(text.len() - at);
        let has_digit = text[at..at + group].contains(|it: char| it.is_ascii_digit());
        // A word after the IBAN is no part of it.
        if group == 0 || (at > 0 && !has_digit) {
            break;
        }
        end = at + group;
        match text[end..].chars().next().filter(|it| it.is_whitespace() || "-.".contains(*it)) {
            Some(separator) => at = end + separator.len_utf8(),
            None => break,
        }
    }
    let plain = plain(&text[..end]);
    let looks_so = matches!(plain.as_bytes(), [a, b, c, d, ..]
        if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() && c.is_ascii_digit() && d.is_ascii_digit());
    if looks_so && plain.len() >= SHORTEST_IBAN { end } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_readers_ibans_addresses_and_the_customers_name_are_masked_in_any_text() {
        let privacy = Privacy::new(false, Some("Acme Trading BV"));
        for (text, shown) in [
            ("IN_PROGRESS", "IN_PROGRESS"),
            ("", ""),
            ("account BE68539007547034 is open", "account BE68 •••• •••• 7034 is open"),
            ("BE68 5390 0754 7034\nis open", "BE68 •••• •••• 7034\nis open"),
            ("be68-5390-0754-7034", "be68 •••• •••• 7034"),
            (
                "{\"iban\":\"BE71096123456769\",\"bic\":\"NEXUBEBB\"}",
                "{\"iban\":\"BE71 •••• •••• 6769\",\"bic\":\"NEXUBEBB\"}",
            ),
            ("{\"name\":\"Acme\",\"to\":\"ops@acme.example\"}", "{\"name\":\"A…\",\"to\":\"o…@acme.example\"}"),
            ("mail ops@acme.example now", "mail o…@acme.example now"),
            ("ACME, trading since 2020", "A…, t… since 2020"),
            ("aor_01993a4e", "aor_01993a4e"),
        ] {
            assert_eq!(privacy.text(text), shown);
        }
        for text in [
            "NL91 ABNA 0417 1643 00",
            "pays NL91ABNA0417164300.",
            "BE68  5390  0754  7034",
            "BE68/5390/0754/7034",
            "acc_BE68539007547034",
            "iban.BE68539007547034",
            "IBAN-BE68 5390 0754 7034",
        ] {
            let shown = plain(&privacy.text(text));
            assert!(!shown.contains("539007547034") && !shown.contains("ABNA0417"), "{text}: {shown}");
        }
        for (name, text, shown) in [
            ("Jean-Pierre", "for jean pierre", "for j… p…"),
            ("O'Brien", "ask Brien, now", "ask B…, now"),
            ("Li Wu", "to Li Wu only", "to L… W… only"),
            ("王伟", "给 王伟 的", "给 王… 的"),
            ("Acme", "to=ops%40acme.example", "to=o…@acme.example"),
        ] {
            assert_eq!(Privacy::new(false, Some(name)).text(text), shown);
        }
        for (text, shown) in [
            (
                "aor_01993a4e7c5b,,IN_PROGRESS,,6.05,EUR,2026-01-01T08:00:00Z",
                "aor_01993a4e7c5b,,IN_PROGRESS,,6.05,EUR,2026-01-01T08:00:00Z",
            ),
            ("charge_group-1 for BE68539007547034", "charge_group-1 f… BE68 •••• •••• 7034"),
            ("jan_jansen,JAN_JANSEN,Jansen_2024", "j…,J…,J…"),
            ("Jan…Jansen J…", "J… J…"),
            ("LEE,WU LI,VAN", "L…,W… L…,V…"),
            ("Jansen123456 jan_12 王1 ops@acme.example", "J… j… 王… o…@acme.example"),
        ] {
            assert_eq!(Privacy::new(false, None).free_text(text), shown);
        }
        assert_eq!(Privacy::new(true, Some("Acme")).text("Acme BE68539007547034"), "Acme BE68539007547034");
    }
}
