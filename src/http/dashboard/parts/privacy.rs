//! Texts from outside: operators see them as they came, for all others IBANs, e-mail addresses and the customer's name are masked.

use super::{masked_email, masked_iban, masked_name};

/// The fewest letters and digits that may be an IBAN.
const SHORTEST_IBAN: usize = 12;
/// Shorter words of a name, such as `BV`, are masked in the name alone: a text without them could not be read.
const SHORTEST_NAME: usize = 3;

#[derive(Clone, Debug)]
pub struct Privacy {
    sees_all: bool,
    /// Words of the customer's name, in lower case.
    names: Vec<String>,
}

impl Privacy {
    #[must_use]
    pub fn new(sees_all: bool, name: Option<&str>) -> Self {
        let words = name.unwrap_or_default().split_whitespace().map(str::to_lowercase);
        Self { sees_all, names: words.filter(|it| it.chars().count() >= SHORTEST_NAME).collect() }
    }

    /// A text as this person may see it.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        if self.sees_all { text.to_owned() } else { self.masked(text) }
    }

    fn masked(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let between = rest.find(is_of_word).unwrap_or(rest.len());
            shown.push_str(&rest[..between]);
            rest = &rest[between..];
            let iban = iban_at(rest);
            let word = rest.find(|it| !is_of_word(it)).unwrap_or(rest.len());
            let (length, masked) = match iban {
                0 => (word, self.word(&rest[..word])),
                iban => (iban, masked_iban(&plain(&rest[..iban]))),
            };
            shown.push_str(&masked);
            rest = &rest[length..];
        }
        shown
    }

    fn word(&self, word: &str) -> String {
        let is_name = |part: &str| self.names.iter().any(|it| *it == part.to_lowercase());
        if word.contains('@') {
            return masked_email(word);
        }
        if word.split(|c: char| !c.is_alphanumeric()).any(is_name) { masked_name(word) } else { word.to_owned() }
    }
}

/// Whether a word of a text, such as an e-mail address, may hold this sign.
fn is_of_word(sign: char) -> bool {
    sign.is_alphanumeric() || "@._%+-".contains(sign)
}

fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// The length of what may be an IBAN at the start of a text, printed in groups or in one. 0: none.
fn iban_at(text: &str) -> usize {
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
        assert_eq!(Privacy::new(true, Some("Acme")).text("Acme BE68539007547034"), "Acme BE68539007547034");
    }
}
