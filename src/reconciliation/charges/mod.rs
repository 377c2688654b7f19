//! Charges: the consequences of the rows of charges files.
//!
//! ```text
//! naming.rs   the openings that rows name, and the fee that each row belongs to
//! book.rs     all lines of a fee are judged together, and the ledger is brought to what the judgement says
//! whole.rs    groups and settlements, once every row of a file is in
//! conflict.rs rows of one file that contradict each other
//! sync.rs     mismatches and their cases are brought to what the judgement says
//! preview.rs  the classes of rows before anything has an effect
//! ```
//!
//! `charge_lines` holds each line in its newest version. A judgement depends only on the lines of a fee, so any order, overlap and
//! repetition of files ends in the same bookings and open mismatches. Each step is one transaction under the provider's lock; a
//! crash leaves it undone, and lines that must be judged again stay marked.

mod book;
mod conflict;
mod naming;
mod preview;
pub(super) mod sync;
#[cfg(test)]
mod tests;
mod whole;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rust_decimal::Decimal;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use self::naming::Named;
pub use self::preview::{Again, Previewed, incoming};
use self::sync::Findings;
use super::classify::charges::Rules;
use super::{bank, text};
use crate::clock::{Ids, Time};
use crate::db::charge_lines::{self, ChargeLine, Key};
use crate::domain::fee::PriceList;
use crate::report_files::row::{ChargeRow, ChargeType};

/// Brings ledger and mismatches of a provider to what its charges say.
#[derive(Clone)]
pub struct Charges {
    pub ids: Ids,
    /// The names of the sinks that are told of cases.
    pub sinks: Vec<String>,
    pub provider: String,
    pub prices: Option<Arc<PriceList>>,
    pub rules: Rules,
    /// The report that is applied; none: open mismatches are looked at.
    pub report: Option<Uuid>,
}

/// The file that rows are from.
#[derive(Clone, Copy, Debug)]
pub struct File {
    pub report: Uuid,
    pub as_of: Time,
    pub received_at: Time,
    pub period: Option<(Time, Time)>,
    pub is_complete: bool,
}

/// A row of a file.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Its number among the usable rows of its report.
    pub n: i64,
    pub line: i64,
    pub digest: [u8; 32],
    pub row: ChargeRow,
}

/// A fee: its subject (an opening's id, else what the row names) and its code.
type Fee = (String, String);

/// Lines to be judged: as they are now, and as they were.
#[derive(Default)]
struct Versions {
    lines: Vec<ChargeLine>,
    before: Vec<ChargeLine>,
}

impl Charges {
    /// Takes rows of a file: the newest version of each line counts. Judges the fees that the rows belong to, before and after. Rows
    /// that contradict each other are only reported.
    pub async fn take(
        &self,
        connection: &mut PgConnection,
        file: File,
        rows: Vec<Incoming>,
        conflicting: &[Incoming],
    ) -> sqlx::Result<()> {
        charge_lines::lock(connection, &self.provider).await?;
        let mut sync = Findings::new(self);
        for it in &rows {
            sync.say(sync::key_of(&it.row), file.report, it.line);
        }
        self.conflict(connection, file, conflicting, &mut sync).await?;
        let named = Named::by(connection, &self.provider, rows.iter().map(|it| &it.row)).await?;
        let versions = self.versions(connection, file, &rows, &named).await?;
        // A slice of rows is many megabytes: they are not kept beside the lines that they became.
        drop(rows);
        sync.leave(&versions);
        let (settlements, codes) = wholes_of(versions.lines.iter().chain(&versions.before));
        let asking = asking(versions.lines.iter().chain(&versions.before));
        self.book(connection, versions, named, &mut sync).await?;
        let named: Vec<_> = settlements.iter().map(|it| bank::named(it, asking.contains(it))).collect();
        charge_lines::mark_stale(connection, &self.provider, &settlements, &codes, &named).await?;
        sync.write(connection).await
    }

    /// Judges open mismatches again: a step may have come, or a window may have passed. Groups and settlements are marked, to be
    /// judged by themselves. The caller holds the provider's lock.
    pub async fn review(&self, connection: &mut PgConnection, keys: &[Key]) -> sqlx::Result<()> {
        let of = |aspect: &str| keys.iter().filter(|it| it.1 == aspect).map(|it| it.0.clone()).collect::<Vec<String>>();
        let lines = charge_lines::get(connection, &self.provider, &of("charge")).await?;
        // A line may find its opening, which no group stands for then.
        let changes_groups = |it: &&ChargeLine| it.opening_id.is_none() && !it.code.is_empty();
        let codes: Vec<String> = lines.iter().filter(changes_groups).map(|it| it.code.clone()).collect();
        let (_, lines): (Vec<_>, Vec<_>) = lines.into_iter().partition(|it| is_whole(&it.line_type));
        let rows: Vec<ChargeRow> = lines.iter().filter_map(row).collect();
        let named = Named::by(connection, &self.provider, rows.iter()).await?;
        let mut sync = Findings::new(self);
        // First: a line that is judged now may charge such a fee.
        self.review_fees(connection, &of("fee"), &mut sync).await?;
        self.book(connection, Versions { lines, before: Vec::new() }, named, &mut sync).await?;
        charge_lines::mark_stale(connection, &self.provider, &of("settlement"), &codes, &[]).await?;
        sync.write(connection).await
    }

    /// The lines that these rows change.
    async fn versions(
        &self,
        connection: &mut PgConnection,
        file: File,
        rows: &[Incoming],
        named: &Named,
    ) -> sqlx::Result<Versions> {
        let ids: Vec<String> = rows.iter().map(|it| it.row.line_id.clone()).collect();
        let held = charge_lines::get(connection, &self.provider, &ids).await?;
        let mut held: HashMap<String, ChargeLine> = held.into_iter().map(|it| (it.line_id.clone(), it)).collect();
        // A row that stands twice in a file is the same: it would contradict itself otherwise.
        let rows: HashMap<&str, &Incoming> = rows.iter().map(|it| (it.row.line_id.as_str(), it)).collect();
        let mut versions = Versions { lines: Vec::with_capacity(rows.len()), before: Vec::new() };
        for it in rows.into_values() {
            let before = held.remove(&it.row.line_id);
            let now = before.as_ref().map_or_else(|| Some(line(file, it, named)), |held| newer(held, file, it, named));
            if let Some(now) = now {
                versions.lines.push(now);
                versions.before.extend(before);
            }
        }
        versions.lines.sort_unstable_by(|a, b| a.line_id.cmp(&b.line_id));
        Ok(versions)
    }
}

/// The line after a row of a file, if the row changes it.
fn newer(before: &ChargeLine, file: File, it: &Incoming, named: &Named) -> Option<ChargeLine> {
    let is_same = before.digest == it.digest;
    if (before.as_of, before.digest.as_slice()) >= (file.as_of, it.digest.as_slice()) {
        // The same group or settlement comes in a complete file at last.
        let is_completed = is_same && file.is_complete && !before.is_complete && is_whole(&before.line_type);
        return is_completed.then(|| ChargeLine { is_complete: true, is_stale: true, ..before.clone() });
    }
    Some(ChargeLine {
        received_at: before.received_at.min(file.received_at),
        is_complete: file.is_complete || (is_same && before.is_complete),
        bookings: before.bookings.clone(),
        ledger: before.ledger.clone(),
        generation: before.generation,
        ..line(file, it, named)
    })
}

/// The settlements and codes that lines belong to.
fn wholes_of<'a>(lines: impl Iterator<Item = &'a ChargeLine>) -> (Vec<String>, Vec<String>) {
    let (mut settlements, mut codes) = (BTreeSet::new(), BTreeSet::new());
    for it in lines {
        settlements.extend(it.settlement_id.as_ref());
        codes.insert(&it.code);
    }
    (settlements.into_iter().cloned().collect(), codes.into_iter().filter(|it| !it.is_empty()).cloned().collect())
}

/// The settlements with these lines as their own: their dues change.
fn asking<'a>(lines: impl Iterator<Item = &'a ChargeLine>) -> BTreeSet<String> {
    let own = lines.filter(|it| it.line_type == ChargeType::Settlement.as_str());
    own.filter_map(|it| it.settlement_id.clone()).collect()
}

fn fees_of<'a>(lines: impl Iterator<Item = &'a ChargeLine>) -> Vec<Fee> {
    let single = lines.filter(|it| !is_whole(&it.line_type));
    let mut fees: Vec<Fee> = single.map(|it| (it.subject.clone(), it.code.clone())).collect();
    fees.sort_unstable();
    fees.dedup();
    fees
}

fn is_whole(line_type: &str) -> bool {
    [ChargeType::Group, ChargeType::Settlement].iter().any(|it| it.as_str() == line_type)
}

fn line(file: File, it: &Incoming, named: &naming::Named) -> ChargeLine {
    let row = &it.row;
    let opening = named.opening(row);
    ChargeLine {
        line_id: row.line_id.clone(),
        report_id: file.report,
        line: it.line,
        as_of: file.as_of,
        digest: it.digest.to_vec(),
        received_at: file.received_at,
        period_from: file.period.map(|it| it.0),
        period_until: file.period.map(|it| it.1),
        is_complete: file.is_complete,
        line_type: row.line_type.to_string(),
        subject: naming::subject(row, opening),
        opening_id: opening,
        code: row.code.clone().unwrap_or_default(),
        settlement_id: row.settlement_id.clone(),
        currency: row.currency.clone(),
        amount: row.amount,
        tax: row.tax,
        // The description is free text, which an erasure would have to look for.
        content: Json(text(&ChargeRow { description: None, ..row.clone() })),
        class: String::new(),
        rule: String::new(),
        bookings: Json(text(&[(); 0])),
        ledger: Vec::new(),
        generation: 0,
        is_stale: is_whole(row.line_type.as_str()),
        is_crowded: false,
    }
}

/// The canonical row of a stored line.
fn row(line: &ChargeLine) -> Option<ChargeRow> {
    serde_json::from_str(line.content.get()).ok()
}

/// The settings of the judgement, from durations.
#[must_use]
pub fn rules(tolerance: Decimal, charge: chrono::TimeDelta, settlement: chrono::TimeDelta, now: Time) -> Rules {
    Rules { tolerance, charge_window: charge.num_seconds(), settlement_window: settlement.num_seconds(), now }
}
