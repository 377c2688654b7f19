//! The settlements that the texts of a bank entry name.
//!
//! An id is named where it stands as a whole: no letter, digit or underscore touches it, and no hyphen joins it to one. So `stl_9`
//! is not named in `stl_90` or `stl_9-2`, but in `(stl_9)`, `EREF+stl_9` and `fees/stl_9`. Where a longer id covers a shorter one,
//! the longer one is meant. A text that is nothing but an id goes before ids within sentences.

use std::collections::BTreeSet;
use std::ops::Range;

/// Words of one entry that are looked up.
const MAX_WORDS: usize = 1_000;
/// How the ids of settlements begin where they have a form of their own, known or not.
pub const FORM: &str = "stl_";

const fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}

/// The words of a text that hold a digit, by which ids are looked up.
#[must_use]
pub fn words(texts: &[String]) -> BTreeSet<&str> {
    let all = texts.iter().flat_map(|text| split(text)).filter(|word| word.contains(|c: char| c.is_ascii_digit()));
    all.take(MAX_WORDS).collect()
}

/// The word by which an id is looked up: its longest with a digit. None: an id without a digit is not looked for.
#[must_use]
pub fn word_of(id: &str) -> Option<&str> {
    let with_digit = split(id).filter(|word| word.contains(|c: char| c.is_ascii_digit()));
    with_digit.max_by_key(|word| word.len())
}

/// Words by their letters, digits and underscores; a hyphen between two of these belongs to the word.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(|c: char| !is_word(c) && c != '-');
    parts.map(|part| part.trim_matches('-')).filter(|part| !part.is_empty())
}

/// Words in the form of a settlement id, whether there is such a settlement or not.
#[must_use]
pub fn formed(texts: &[String]) -> BTreeSet<&str> {
    words(texts).into_iter().filter(|word| word.starts_with(FORM)).collect()
}

/// Those of some ids that the texts name.
#[must_use]
pub fn named(texts: &[String], ids: &BTreeSet<&str>) -> Vec<String> {
    let whole: BTreeSet<&str> = texts.iter().map(|it| it.trim()).filter(|it| ids.contains(it)).collect();
    let found = if whole.is_empty() { texts.iter().flat_map(|text| within(text, ids)).collect() } else { whole };
    found.into_iter().map(str::to_owned).collect()
}

fn within<'a>(text: &str, ids: &BTreeSet<&'a str>) -> Vec<&'a str> {
    let places = |id: &&'a str| {
        let id = *id;
        text.match_indices(id).map(move |(at, _)| (at..at + id.len(), id)).collect::<Vec<_>>()
    };
    let places: Vec<(Range<usize>, &str)> = ids.iter().filter(|it| !it.is_empty()).flat_map(places).collect();
    let places: Vec<_> = places.into_iter().filter(|(place, _)| stands_alone(text, place)).collect();
    let is_covered = |(place, id): &(Range<usize>, &str)| {
        let covers = |(other, longer): &(Range<usize>, &str)| {
            longer.len() > id.len() && other.start <= place.start && place.end <= other.end
        };
        places.iter().any(covers)
    };
    places.iter().filter(|it| !is_covered(it)).map(|(_, id)| *id).collect()
}

fn stands_alone(text: &str, place: &Range<usize>) -> bool {
    let inside = &text[place.clone()];
    let (first, last) = (inside.chars().next(), inside.chars().next_back());
    let before = text[..place.start].chars().rev();
    let after = text[place.end..].chars();
    let (joined_before, joined_after) = (continues(before), continues(after));
    !(first.is_some_and(is_word) && joined_before || last.is_some_and(is_word) && joined_after)
}

/// Whether the characters next to an id, the nearest first, make it part of a longer word.
fn continues(mut next: impl Iterator<Item = char>) -> bool {
    match next.find(|c| *c != '-') {
        Some(c) => is_word(c),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named_in(text: &str, ids: &[&str]) -> Vec<String> {
        named(&[text.to_owned()], &ids.iter().copied().collect())
    }

    #[test]
    fn an_id_is_named_where_it_stands_as_a_whole() {
        for (text, is_named) in [
            ("stl_9", true),
            (" stl_9 ", true),
            ("Fees, settlement stl_9", true),
            ("(stl_9)", true),
            ("stl_9.", true),
            ("EREF+stl_9", true),
            ("/RFB/stl_9/INV", true),
            ("stl_9 - January", true),
            ("-stl_9-", true),
            ("stl_90", false),
            ("xstl_9", false),
            ("stl_9a", false),
            ("stl_9_1", false),
            ("stl_9-2", false),
            ("Bank-stl_9", false),
            ("stl_9é", false),
            ("STL_9", false),
            ("", false),
        ] {
            assert_eq!(named_in(text, &["stl_9"]), if is_named { vec!["stl_9"] } else { vec![] }, "{text}");
            let is_looked_up = words(&[text.to_owned()]).contains("stl_9");
            assert!(is_looked_up || !is_named, "{text}");
        }
    }

    #[test]
    fn the_longest_id_is_meant_and_a_text_of_its_own_goes_first() {
        assert_eq!(named_in("stl_90", &["stl_9", "stl_90"]), ["stl_90"]);
        assert_eq!(named_in("paid 2026/07/A", &["2026/07", "2026/07/A"]), ["2026/07/A"]);
        assert_eq!(named_in("paid 2026/07/A and 2026/07", &["2026/07", "2026/07/A"]), ["2026/07", "2026/07/A"]);
        assert_eq!(named_in("stl_9 stl_10", &["stl_9", "stl_10", "stl_1"]), ["stl_10", "stl_9"]);
        let texts = ["after stl_8".to_owned(), "stl_9".to_owned()];
        assert_eq!(named(&texts, &["stl_8", "stl_9"].into()), ["stl_9"]);
    }

    #[test]
    fn an_id_is_looked_up_by_a_word_of_every_text_that_names_it() {
        assert_eq!(word_of("stl_9"), Some("stl_9"));
        assert_eq!(word_of("2026/071/A"), Some("2026"));
        assert_eq!(word_of("no digit"), None);
        let text = ["Invoice 2026/071/A of 3 March, A-7".to_owned()];
        assert_eq!(words(&text).into_iter().collect::<Vec<_>>(), ["071", "2026", "3", "A-7"]);
        assert_eq!(formed(&["pay stl_7, stl_ and estl_8".to_owned()]).into_iter().collect::<Vec<_>>(), ["stl_7"]);
    }
}
