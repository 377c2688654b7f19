//! Charges: what follows from the rows of charges files.
//!
//! ```text
//! naming.rs   the openings that rows name, and the fee that each row belongs to
//! book.rs     all lines of a fee are judged together, and the ledger is brought to what the judgement says
//! whole.rs    groups and settlements, once every row of a file is in
//! sync.rs     mismatches and their cases are brought to what the judgement says
//! preview.rs  the classes of rows before anything has an effect
//! ```
//!
//! `charge_lines` holds each line in its newest version. A judgement depends only on the lines of a fee, so any order, overlap and
//! repetition of files ends in the same bookings and open mismatches. Each step is one transaction under the provider's lock; a
//! crash leaves it undone, and lines that must be judged again stay marked.

mod book;
mod naming;
mod preview;
mod sync;
mod whole;

use std::sync::Arc;

use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

pub use self::preview::{Again, Previewed, incoming};
use self::sync::{Desired, Findings};
use super::classify::charges::{Rules, conflicting};
use super::normalise::row::{ChargeRow, ChargeType};
use crate::clock::{Ids, Time};
use crate::db::charge_lines::{self, ChargeLine};
use crate::domain::fee::PriceList;

/// Brings ledger and mismatches of a provider to what its charges say.
#[derive(Clone)]
pub struct Charges {
    pub ids: Ids,
    /// The names of the sinks that are told of cases.
    pub sinks: Vec<String>,
    pub provider: String,
    pub prices: Option<Arc<PriceList>>,
    pub rules: Rules,
}

/// The file that rows are from.
#[derive(Clone, Copy, Debug)]
pub struct File {
    pub report: Uuid,
    pub as_of: Time,
    pub received_at: Time,
    pub period: Option<(Time, Time)>,
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

impl Charges {
    /// Takes rows of a file: the newest version of each line counts. Judges the fees that the rows belong to, before and after.
    pub async fn take(&self, connection: &mut PgConnection, file: File, rows: &[Incoming]) -> sqlx::Result<()> {
        charge_lines::lock(connection, &self.provider).await?;
        let ids: Vec<String> = rows.iter().map(|it| it.row.line_id.clone()).collect();
        let held = charge_lines::get(connection, &self.provider, &ids).await?;
        let said: Vec<(String, Uuid, i64)> =
            rows.iter().map(|it| (it.row.line_id.clone(), file.report, it.line)).collect();
        let named = naming::Named::by(connection, &self.provider, rows.iter().map(|it| &it.row)).await?;
        let mut newest: Vec<ChargeLine> = Vec::new();
        for it in rows {
            let new = line(file, it, &named);
            match newest.iter_mut().find(|other| other.line_id == new.line_id) {
                Some(other) => *other = new,
                None => newest.push(new),
            }
        }
        let mut touched: Vec<ChargeLine> = Vec::new();
        let mut written: Vec<ChargeLine> = Vec::new();
        for mut new in newest {
            let before = held.iter().find(|it| it.line_id == new.line_id);
            if before.is_some_and(|it| (it.as_of, &it.digest) >= (new.as_of, &new.digest)) {
                continue;
            }
            if let Some(before) = before {
                (new.bookings, new.ledger, new.generation) =
                    (before.bookings.clone(), before.ledger.clone(), before.generation);
                touched.push(before.clone());
            }
            written.push(new);
        }
        charge_lines::write(connection, &self.provider, &written).await?;
        touched.extend(written);
        self.judge(connection, &touched).await?;
        Findings::new(self).link(connection, &said).await
    }

    /// Says that rows of a file contradict each other; none of them counts.
    pub async fn conflict(&self, connection: &mut PgConnection, file: File, rows: &[Incoming]) -> sqlx::Result<()> {
        let mut sync = Findings::new(self);
        for it in rows {
            let desired = Desired {
                finding: Some(conflicting(&it.row)),
                provider_reference: it.row.provider_reference.clone(),
                said: Some((file.report, it.line)),
                as_of: Some(file.as_of),
                ..Desired::default()
            };
            sync.add(vec![((it.row.line_id.clone(), "rows".to_owned()), desired)]);
        }
        sync.write(connection).await
    }

    /// Judges the fees of these lines, and marks the groups and settlements that they are part of.
    async fn judge(&self, connection: &mut PgConnection, lines: &[ChargeLine]) -> sqlx::Result<()> {
        let single = lines.iter().filter(|it| !is_whole(&it.line_type));
        let mut fees: Vec<Fee> = single.map(|it| (it.subject.clone(), it.code.clone())).collect();
        fees.sort_unstable();
        fees.dedup();
        self.book(connection, &fees).await?;
        let settlements: Vec<String> = lines.iter().filter_map(|it| it.settlement_id.clone()).collect();
        let codes: Vec<String> = lines.iter().map(|it| it.code.clone()).filter(|it| !it.is_empty()).collect();
        charge_lines::mark_stale(connection, &self.provider, &settlements, &codes).await
    }
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
        line_type: row.line_type.to_string(),
        subject: naming::subject(row, opening),
        opening_id: opening,
        code: row.code.clone().unwrap_or_default(),
        settlement_id: row.settlement_id.clone(),
        currency: row.currency.clone(),
        amount: row.amount,
        tax: row.tax,
        // The description is free text, which an erasure would have to look for.
        content: serde_json::to_value(ChargeRow { description: None, ..row.clone() }).unwrap_or_default(),
        class: String::new(),
        rule: String::new(),
        bookings: Value::Array(Vec::new()),
        ledger: Vec::new(),
        generation: 0,
        is_stale: is_whole(row.line_type.as_str()),
    }
}

/// The canonical row of a stored line.
fn row(line: &ChargeLine) -> Option<ChargeRow> {
    serde_json::from_value(line.content.clone()).ok()
}

/// The settings of the judgement, from durations.
#[must_use]
pub fn rules(tolerance: Decimal, charge: chrono::TimeDelta, settlement: chrono::TimeDelta, now: Time) -> Rules {
    Rules { tolerance, charge_window: charge.num_seconds(), settlement_window: settlement.num_seconds(), now }
}
