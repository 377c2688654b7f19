//! Settlements with what they ask for, and all entries that name them, in a fixed number of statements.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Bank, Seen, row};
use crate::db::bank_words::{self, BankEntry};
use crate::db::settlements;
use crate::reconciliation::classify::bank::chain::Outcome;
use crate::reconciliation::classify::bank::{Due, Entry, Settlement, names};

/// Settlements and the entries that name them.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub settlements: Vec<Settlement>,
    /// By key.
    pub entries: BTreeMap<String, Known>,
    /// The keys of the entries that name a settlement.
    naming: HashMap<String, Vec<String>>,
    /// The rows of settlements among the charges.
    pub rows: HashMap<String, Vec<(Uuid, i64)>>,
}

/// An entry, and where reports have it.
#[derive(Debug)]
pub(super) struct Known {
    pub entry: Entry,
    texts: Vec<String>,
    /// The settlements that have one of its words.
    settlements: BTreeSet<String>,
    pub places: Vec<(Uuid, i64)>,
}

impl Gathered {
    /// The entries that name a settlement.
    pub fn naming(&self, id: &str) -> impl Iterator<Item = &Known> {
        let keys = self.naming.get(id).map(Vec::as_slice).unwrap_or_default();
        keys.iter().filter_map(|key| self.entries.get(key))
    }

    pub fn entries_of(&self, id: &str) -> Vec<Entry> {
        self.naming(id).map(|it| it.entry.clone()).collect()
    }
}

impl Bank {
    /// Gathers these settlements and those that share an entry with them.
    pub(super) async fn gather(
        &self,
        connection: &mut PgConnection,
        ids: &[String],
        seen: &Seen,
    ) -> sqlx::Result<Gathered> {
        let near = self.entries(connection, ids, seen).await?;
        let named = near.values().flat_map(|it| it.entry.names.iter().cloned());
        let all: BTreeSet<String> = ids.iter().cloned().chain(named).collect();
        let all: Vec<String> = all.into_iter().collect();
        let entries = if all.len() == ids.len() { near } else { self.entries(connection, &all, seen).await? };
        let mut gathered = Gathered { entries, ..Gathered::default() };
        for (key, known) in &gathered.entries {
            for name in &known.entry.names {
                gathered.naming.entry(name.clone()).or_default().push(key.clone());
            }
        }
        let mut dues: HashMap<String, BTreeMap<String, Due>> = HashMap::new();
        for it in settlements::dues(connection, &self.provider, &all).await? {
            gathered.rows.entry(it.settlement_id.clone()).or_default().push((it.report_id, it.line));
            let (currency, said_at) = (it.currency, it.said_at);
            let due = dues.entry(it.settlement_id).or_default().entry(currency.clone()).or_insert(Due {
                currency,
                amount: rust_decimal::Decimal::ZERO,
                said_at,
            });
            (due.amount, due.said_at) = (due.amount + it.amount, due.said_at.max(said_at));
        }
        let settlement = |id: String| {
            let dues = dues.remove(&id).map(|it| it.into_values().collect()).unwrap_or_default();
            Settlement { id, dues }
        };
        gathered.settlements = all.into_iter().map(settlement).collect();
        Ok(gathered)
    }

    /// The entries with the words of these ids in their texts, each with all settlements that it names.
    async fn entries(
        &self,
        connection: &mut PgConnection,
        ids: &[String],
        seen: &Seen,
    ) -> sqlx::Result<BTreeMap<String, Known>> {
        let words = distinct(ids.iter().filter_map(|id| names::word_of(id)));
        let rows = bank_words::entries(connection, &self.provider, &words, seen.report).await?;
        let mut entries: BTreeMap<String, Known> = BTreeMap::new();
        for it in rows {
            join(&mut entries, it, seen);
        }
        for it in entries.values_mut() {
            let known = it.settlements.iter().map(String::as_str);
            let candidates: BTreeSet<&str> = known.chain(names::formed(&it.texts)).collect();
            it.entry.names = names::named(&it.texts, &candidates);
        }
        Ok(entries)
    }
}

fn distinct<'a>(words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let words: BTreeSet<&str> = words.collect();
    words.into_iter().map(ToOwned::to_owned).collect()
}

/// Adds a row to its entry. The entry is the one of its first row; texts of all rows count, and one statement that adds up is enough.
fn join(entries: &mut BTreeMap<String, Known>, it: BankEntry, seen: &Seen) {
    let Some(row) = row(&it.theirs) else { return };
    // A statement that is not decided yet does not count.
    let stored = || it.outcome.as_deref().and_then(|word| word.parse().ok());
    let statement = (it.report_id, i64::try_from(row.statement).unwrap_or(i64::MAX));
    let is_sound = seen.outcomes.get(&statement).copied().or_else(stored) == Some(Outcome::Sound);
    let place = (it.report_id, it.line);
    let key = it.row_key.clone();
    let known = entries.entry(key).or_insert_with(|| Known {
        entry: Entry {
            key: it.row_key,
            amount: it.amount,
            currency: it.currency,
            booked_on: row.booked_on,
            is_reversal: row.is_reversal,
            names: Vec::new(),
            received_at: it.received_at,
            is_sound,
            statement_id: row.statement_id,
            account: row.account,
            servicer_reference: row.servicer_reference,
        },
        texts: Vec::new(),
        settlements: BTreeSet::new(),
        places: Vec::new(),
    });
    known.entry.is_sound |= is_sound;
    known.entry.received_at = known.entry.received_at.min(it.received_at);
    known.places.push(place);
    known.settlements.extend(it.settlements);
    known.texts.extend(row.references.into_iter().filter(|text| !known.texts.contains(text)).collect::<Vec<_>>());
}
