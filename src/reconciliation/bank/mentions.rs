//! The ids of openings that bank entries may mention: an entry about an erased opening is erased as it is read.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::report_files::row::BankRow;

/// A shorter word is no tracking id: an erasure does not search for it either.
const SHORTEST: usize = 6;
/// The hexadecimal digits of our ids.
const DIGITS: usize = 32;

/// The ids and words by which entries may mention openings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mentioned {
    pub ids: Vec<Uuid>,
    /// Words that may be tracking ids.
    pub references: Vec<String>,
}

impl Mentioned {
    /// By all texts of these rows.
    #[must_use]
    pub fn of<'a>(rows: impl Iterator<Item = &'a BankRow>) -> Self {
        let (mut ids, mut references) = (BTreeSet::new(), BTreeSet::new());
        for text in rows.flat_map(texts) {
            ids.extend(our_ids(text));
            references.extend(words(text));
        }
        Self { ids: ids.into_iter().collect(), references: references.into_iter().map(str::to_owned).collect() }
    }
}

fn texts(row: &BankRow) -> impl Iterator<Item = &str> {
    let ids = [&row.servicer_reference, &row.end_to_end_id].into_iter().flatten();
    ids.chain(&row.references).map(String::as_str)
}

/// Words with a digit, as tracking ids are written.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let all = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
    all.filter(|it| it.len() >= SHORTEST && it.contains(|c: char| c.is_ascii_digit()))
}

/// Our ids, with or without hyphens, also where other letters touch them: a bank joins texts.
fn our_ids(text: &str) -> Vec<Uuid> {
    let runs = text.split(|c: char| !c.is_ascii_hexdigit() && c != '-');
    let runs = runs.map(|run| run.replace('-', "")).filter(|run| run.len() >= DIGITS);
    let all = |run: String| {
        let places = 0..=run.len() - DIGITS;
        places.filter_map(|at| Uuid::parse_str(&run[at..at + DIGITS]).ok()).collect::<Vec<_>>()
    };
    // Ours are of version 7: of a long number few places are left.
    runs.flat_map(all).filter(|it| it.get_version_num() == 7).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0199b3c2-7c01-7a4e-8123-456789abcdef";

    #[test]
    fn our_id_is_found_in_each_form_and_where_other_digits_touch_it() {
        let id: Uuid = ID.parse().unwrap();
        let bare = ID.replace('-', "");
        for text in [ID.to_owned(), bare.to_uppercase(), format!("EREF+{bare}"), format!("fee {ID}.")] {
            assert_eq!(our_ids(&text), [id], "{text}");
        }
        assert!(our_ids(&format!("12{bare}34")).contains(&id));
        assert!(our_ids("Invoice 2026/071").is_empty());
    }

    #[test]
    fn words_with_a_digit_may_be_tracking_ids() {
        let found: Vec<&str> = words("paid (aor_12x) for A-1, see aor-77_b; thanks").collect();
        assert_eq!(found, ["aor_12x", "aor-77_b"]);
    }
}
