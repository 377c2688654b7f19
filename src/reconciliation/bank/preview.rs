//! The classes of rows before anything has an effect: of a slice by what it names, then of the whole file beside all others.

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Bank, Seen, row};
use crate::db::bank_words;
use crate::db::report_rows::RowOfReport;
use crate::reconciliation::classify::bank::{Basis, JudgedEntry, Rules, chain, judge, names};
use crate::reconciliation::classify::{Act, Class};
use crate::report_files::row::BankRow;

/// The rule of rows that the whole file judges.
pub const NAMES: &str = "names_a_settlement";

/// A row of a file.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Its number among the usable rows of its report.
    pub n: i64,
    pub key: String,
    pub digest: [u8; 32],
    pub row: BankRow,
}

/// The result that a row will have.
#[derive(Clone, Debug)]
pub struct Previewed {
    pub n: i64,
    pub class: Class,
    pub rule: &'static str,
    /// Whether a person will decide about it.
    pub is_case: bool,
    /// The first settlement that it names.
    pub settlement: Option<String>,
    /// The basis of the judgement.
    pub basis: Option<Basis>,
}

impl Bank {
    /// Previews a slice of a file, in one statement. `known`: the settlements that have words of these rows.
    pub async fn preview(
        &self,
        connection: &mut PgConnection,
        report: Uuid,
        rows: &[Incoming],
        known: &[String],
    ) -> sqlx::Result<Vec<Previewed>> {
        let keys: Vec<String> = rows.iter().map(|it| it.key.clone()).collect();
        let alike = bank_words::alike(connection, &self.provider, &keys, report).await?;
        let mut by_word: HashMap<&str, Vec<&str>> = HashMap::new();
        for id in known {
            by_word.entry(names::word_of(id).unwrap_or_default()).or_default().push(id);
        }
        let mut held: HashMap<&str, Vec<&[u8]>> = HashMap::new();
        let mut seen: HashMap<&str, Vec<&[u8]>> = HashMap::new();
        for it in &alike {
            let of = if it.is_here { &mut seen } else { &mut held };
            of.entry(&it.row_key).or_default().push(&it.digest);
        }
        let mut previewed = Vec::new();
        for it in rows {
            let settlement = first_named(&it.row, &by_word);
            let before = held.get(it.key.as_str()).map(Vec::as_slice).unwrap_or_default();
            let in_file = seen.entry(&it.key).or_default();
            let (class, rule) = provisional(it, before, in_file, settlement.is_some());
            in_file.push(&it.digest);
            previewed.push(Previewed { n: it.n, class, rule, is_case: false, settlement, basis: None });
        }
        Ok(previewed)
    }

    /// Previews rows of a report that name settlements, beside the whole file and all others.
    pub async fn preview_named(
        &self,
        connection: &mut PgConnection,
        (seen, rules): (&Seen, Rules),
        rows: &[RowOfReport],
    ) -> sqlx::Result<Vec<Previewed>> {
        let ids: BTreeSet<String> = rows.iter().filter_map(|it| it.reference.clone()).collect();
        let gathered = self.gather(connection, &ids.into_iter().collect::<Vec<_>>(), seen).await?;
        let mut judged: HashMap<String, (JudgedEntry, Basis)> = HashMap::new();
        for settlement in &gathered.settlements {
            let entries = gathered.entries_of(&settlement.id);
            let of_settlement = judge(settlement, &entries, &rules);
            for it in of_settlement.entries {
                let basis = Basis::of(&it.key, settlement, &entries, (&of_settlement.payments, rules));
                judged.insert(it.key.clone(), (it, basis));
            }
        }
        Ok(rows.iter().filter_map(|it| whole(it, judged.get(&it.row_key), seen)).collect())
    }
}

fn first_named(row: &BankRow, by_word: &HashMap<&str, Vec<&str>>) -> Option<String> {
    let words = names::words(&row.references);
    let known = words.iter().filter_map(|word| by_word.get(word)).flatten().copied();
    let candidates: BTreeSet<&str> = known.chain(names::formed(&row.references)).collect();
    names::named(&row.references, &candidates).into_iter().next()
}

/// The class of a row without regard to the settlement that it names.
fn provisional(it: &Incoming, before: &[&[u8]], in_file: &[&[u8]], names: bool) -> (Class, &'static str) {
    let same = |digest: &&[u8]| **digest == it.digest;
    if in_file.iter().any(same) {
        return (Class::Repeated, "same_row_of_this_file");
    }
    if before.iter().any(same) {
        return (Class::Repeated, "came_before");
    }
    let is_revised = !before.is_empty() || !in_file.is_empty();
    match (is_revised, names) {
        (true, true) => (Class::Revised, NAMES),
        (true, false) => (Class::Revised, "came_before_with_other_texts"),
        (false, true) => (Class::Matched, NAMES),
        (false, false) => (Class::Unrelated, "names_no_settlement"),
    }
}

/// None: the row keeps its class.
fn whole(stored: &RowOfReport, judged: Option<&(JudgedEntry, Basis)>, seen: &Seen) -> Option<Previewed> {
    let plain = |class, rule| Previewed {
        n: stored.n,
        class,
        rule,
        is_case: false,
        settlement: stored.reference.clone(),
        basis: None,
    };
    let Some((judged, basis)) = judged else {
        let statement = i64::try_from(row(&stored.theirs)?.statement).ok()?;
        let statement = (seen.report?, statement);
        let outcome = seen.outcomes.get(&statement)?;
        let rule = if seen.by_newer.contains(&statement) { chain::NEWER } else { chain::OWN };
        return Some(plain(outcome.class()?, rule));
    };
    let is_revised = judged.class == Class::Matched && stored.class == Class::Revised.as_str();
    let class = if is_revised { Class::Revised } else { judged.class };
    let is_case = judged.finding.as_ref().is_some_and(|it| it.act == Act::Case);
    Some(Previewed { is_case, basis: Some(basis.clone()), ..plain(class, judged.rule) })
}

/// The statements with a row that has their class.
#[must_use]
pub fn shown(rows: &[RowOfReport], previewed: &[Previewed]) -> HashSet<i64> {
    let flawed = previewed.iter().filter(|it| matches!(it.class, Class::BalanceMismatch | Class::StatementGap));
    let numbers: HashSet<i64> = flawed.map(|it| it.n).collect();
    let of = rows.iter().filter(|it| numbers.contains(&it.n));
    of.filter_map(|it| i64::try_from(row(&it.theirs)?.statement).ok()).collect()
}
