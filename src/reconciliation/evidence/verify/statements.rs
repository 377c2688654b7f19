//! The data that bank rows need beside their own values: equal rows before them, and the statements that they stand in.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use sha2::{Digest as _, Sha256};

use super::Findings;
use crate::reconciliation::classify::Class;
use crate::reconciliation::classify::bank::{chain, names};
use crate::reconciliation::evidence::lines::{self, Earlier, RowLine};
use crate::report_files::row::{BankRow, Statement};

/// Rows and statements of a bank file, in its order.
#[derive(Default)]
pub struct Statements {
    /// Of key and digest of each row.
    rows: HashSet<[u8; 16]>,
    keys: HashSet<[u8; 16]>,
    /// The rows of the statement at hand that do not count.
    left_out: Vec<LeftOut>,
    /// The lines of the statements in the file.
    pub lines: BTreeSet<u64>,
    /// Statements without a row of the class, by whether they do not add up in themselves.
    untold: BTreeMap<bool, u64>,
}

struct LeftOut {
    /// In `rows.jsonl`.
    line: u64,
    class: Class,
    /// Its rule says that a newer version of the statement, which another file has, does not count.
    by_newer: bool,
}

impl Statements {
    /// The error in a row that was classified by no values of ours.
    pub fn unjudged(&self, row: &BankRow, found: &RowLine, is_partial: bool) -> Option<String> {
        let (class, rule) = (found.class.as_str(), found.rule.as_str());
        let names_none = names::named(&row.references, &names::formed(&row.references)).is_empty();
        let mut earlier = found.earlier.iter().flatten();
        let same = |it: &Earlier| it.digest == found.digest;
        let fits = match (class, rule) {
            ("UNRELATED", "names_no_settlement") => names_none,
            ("REPEATED", "same_row_of_this_file") => self.rows.contains(&row_of(found)),
            ("REPEATED", "came_before") => earlier.any(same),
            ("REVISED", "came_before_with_other_texts") => {
                names_none && (self.have(found) || earlier.any(|it| !same(it)))
            }
            // The end of the statement tells.
            ("BALANCE_MISMATCH" | "STATEMENT_GAP", chain::OWN | chain::NEWER) => true,
            // The service stopped before it judged the whole file.
            ("MATCHED" | "REVISED", "names_a_settlement") => is_partial,
            _ => false,
        };
        (!fits).then(|| format!("is {class} by {rule}, which the provider's file does not bear out"))
    }

    /// Whether a row of the same key stood before it in the file.
    pub fn have(&self, found: &RowLine) -> bool {
        self.keys.contains(&short(&[&found.row_key]))
    }

    pub fn row(&mut self, line: u64, found: &RowLine) {
        self.rows.insert(row_of(found));
        self.keys.insert(short(&[&found.row_key]));
        if let Ok(class @ (Class::BalanceMismatch | Class::StatementGap)) = found.class.parse() {
            self.left_out.push(LeftOut { line, class, by_newer: found.rule == chain::NEWER });
        }
    }

    /// Ends a statement: its rows are left out for what it says itself, or for what other files show: a gap before it, or a newer
    /// version.
    pub fn end(&mut self, statement: &Statement, is_complete: bool, findings: &mut Findings<'_>) {
        let is_flawed = is_complete && chain::has_own_flaw(statement);
        let class = if is_flawed { Class::BalanceMismatch } else { Class::StatementGap };
        self.lines.insert(statement.line);
        if self.left_out.is_empty() {
            *self.untold.entry(is_flawed).or_default() += 1;
        }
        let may_have_gap = is_complete && !statement.is_notification;
        for it in self.left_out.drain(..) {
            let fits = if it.by_newer { !is_flawed } else { it.class == class && (is_flawed || may_have_gap) };
            if !fits {
                let adds_up = if is_flawed { "does not add up" } else { "adds up" };
                findings.at(lines::ROWS, it.line, format!("is {} by its rule, and its statement {adds_up}", it.class));
            }
        }
    }

    /// Whether so many statements without a row of the class may be counted under it.
    pub fn may_count(&self, class: Class, more: u64, is_partial: bool) -> bool {
        let untold = |is_flawed| self.untold.get(&is_flawed).copied().unwrap_or_default();
        match class {
            Class::BalanceMismatch if is_partial => more <= untold(true),
            // The newest version of a statement may not add up, in another file.
            Class::BalanceMismatch => (untold(true)..=untold(true) + untold(false)).contains(&more),
            Class::StatementGap => more <= untold(false),
            _ => more == 0,
        }
    }
}

fn row_of(found: &RowLine) -> [u8; 16] {
    short(&[&found.row_key, &found.digest])
}

fn short(parts: &[&str]) -> [u8; 16] {
    let hash = parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part).chain_update([0]));
    let digest: [u8; 32] = hash.finalize().into();
    *digest.first_chunk::<16>().unwrap_or(&[0; 16])
}
