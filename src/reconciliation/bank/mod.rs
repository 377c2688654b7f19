//! Bank: the consequences of the entries of bank statements.
//!
//! ```text
//! gather.rs      settlements with what they ask for, and all entries that name them
//! book.rs        settlements are judged; ledger, mismatches and cases are brought to what the judgement says
//! statements.rs  the statements of an account are judged together: which entries count
//! mentions.rs    the openings that entries may mention
//! preview.rs     the classes of rows before anything has an effect
//! ```
//!
//! A judgement depends only on the charges and bank rows that count, so any order, overlap and repetition of files ends in the same
//! payments and open mismatches. Each step is one transaction under the provider's lock, which charges take too; a crash leaves it
//! undone, and settlements that must be judged again stay marked.

mod book;
mod gather;
mod mentions;
mod preview;
mod statements;

use std::collections::{HashMap, HashSet};

use chrono::TimeDelta;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

pub use self::mentions::Mentioned;
pub use self::preview::{Incoming, Previewed, shown};
use super::classify::bank::Rules;
use super::classify::bank::chain::Outcome;
use super::classify::bank::names;
use crate::clock::{Ids, Time};
use crate::db::settlements::{self, Named};
use crate::db::{bank_statements, charge_lines};
use crate::report_files::row::BankRow;

/// Brings the payments and mismatches of a provider to what its bank statements say.
#[derive(Clone)]
pub struct Bank {
    pub ids: Ids,
    /// The names of the sinks that are told of cases.
    pub sinks: Vec<String>,
    pub provider: String,
    /// `SETTLEMENT_WINDOW`
    pub window: TimeDelta,
    pub now: Time,
    /// The report that is applied; none: windows are looked at.
    pub report: Option<Uuid>,
}

/// The reports that count: those that are applied, and one that is previewed.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub report: Option<Uuid>,
    /// Outcomes by report and number, where they differ from the stored ones.
    pub outcomes: HashMap<(Uuid, i64), Outcome>,
    /// Statements that do not count because of a newer version in another file.
    pub by_newer: HashSet<(Uuid, i64)>,
}

impl Bank {
    /// The rules of judgements, beside settlements and entries.
    pub async fn rules(&self, connection: &mut PgConnection, seen: &Seen) -> sqlx::Result<Rules> {
        let has_statements = bank_statements::has_complete(connection, &self.provider, seen.report).await?;
        Ok(Rules { window: self.window.num_seconds(), now: self.now, has_statements })
    }

    /// Marks the settlements that rows of a report name, and adds those that only their form tells.
    pub async fn mark(&self, connection: &mut PgConnection, report: Uuid, rows: (i64, i64)) -> sqlx::Result<()> {
        charge_lines::lock(connection, &self.provider).await?;
        settlements::mark_named(connection, &self.provider, report, rows, names::FORM).await
    }
}

/// A settlement that a charge names; whether it must be judged again, since what it asks for has changed.
#[must_use]
pub fn named(id: &str, has_changed: bool) -> Named<'_> {
    Named { id, word: names::word_of(id), has_changed }
}

/// The row as it was stored.
fn row(theirs: &Value) -> Option<BankRow> {
    serde_json::from_value(theirs.clone()).ok()
}
