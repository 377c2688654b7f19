//! Reconciliation: compares what the service holds with what a provider reports in bulk, repairs what is safe to repair, and puts
//! the rest in front of a person.
//!
//! ```text
//! ingest     the file is stored as it came, in one commit before the answer
//! pull       a provider without files: its list becomes a file
//! reading    one canonical row per report row, one error per bad row (`report_files`)
//! matching   the openings and expected fees that the rows name, in a fixed number of statements per slice
//! classify   pure: a row and what we hold become a class, differences and a suggestion
//! resolve    facts, polls and cases; never a write to an opening
//! charges    what charges files say: ledger lines, mismatches and cases
//! bank       what bank statements say: payments, mismatches and cases
//! calendar   pure: which days have their reports
//! evidence   a bundle that an auditor verifies without us
//! ```

mod bank;
pub mod calendar;
pub mod charges;
pub mod classify;
mod events;
pub mod evidence;
pub mod ingest;
pub mod masking;
mod matching;
mod pull;
mod reading;
mod resolve;
pub mod resource;
mod worker;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

pub use self::worker::{Reconciled, Reconciler};

/// A value as JSON.
fn text(it: &impl Serialize) -> Box<RawValue> {
    to_raw_value(it).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
