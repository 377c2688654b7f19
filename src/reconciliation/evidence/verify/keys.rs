//! Rows of a register or charges file with the same key: equal ones repeat each other, different ones contradict each other.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use super::Findings;
use crate::reconciliation::classify::Class;
use crate::reconciliation::evidence::lines::{self, RowLine};

/// The comparison of the rows of one key with each other.
struct Key {
    digest: [u8; 8],
    has_another: bool,
    /// A line of `rows.jsonl` that is classified as a conflict, and one that is not.
    conflicting: Option<u64>,
    other: Option<u64>,
}

#[derive(Default)]
pub struct Keys(HashMap<[u8; 16], Key>);

impl Keys {
    /// Whether an equal row of the same key stood before it in the file.
    pub fn have(&self, found: &RowLine) -> bool {
        self.0.get(&short(&found.row_key)).is_some_and(|it| it.digest == digest(found))
    }

    pub fn row(&mut self, line: u64, found: &RowLine) {
        let new = digest(found);
        let key = self.0.entry(short(&found.row_key));
        let key = key.or_insert(Key { digest: new, has_another: false, conflicting: None, other: None });
        key.has_another |= key.digest != new;
        let is_conflicting = found.class == Class::ConflictingRows.as_str();
        if is_conflicting { key.conflicting = Some(line) } else { key.other = Some(line) }
    }

    /// Rows of one key with different contents are conflicts, all of them, and no others.
    pub fn conflicts(&self, findings: &mut Findings<'_>) {
        let mut wrong: Vec<(u64, &str)> = Vec::new();
        for key in self.0.values() {
            match (key.has_another, key.conflicting, key.other) {
                (true, _, Some(line)) => {
                    wrong.push((line, "is not CONFLICTING_ROWS, and its key stands in the file with other content"));
                }
                (false, Some(line), _) => {
                    wrong.push((line, "is CONFLICTING_ROWS, and its key stands in the file with one content"));
                }
                _ => {}
            }
        }
        wrong.sort_unstable();
        for (line, what) in wrong {
            findings.at(lines::ROWS, line, what);
        }
    }
}

fn short(key: &str) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
    *digest.first_chunk::<16>().unwrap_or(&[0; 16])
}

fn digest(row: &RowLine) -> [u8; 8] {
    let digest: [u8; 32] = Sha256::digest(row.digest.as_bytes()).into();
    *digest.first_chunk::<8>().unwrap_or(&[0; 8])
}
