//! The lines in the files of a bundle. The service writes them as the database makes them (`src/db/evidence`); `verify` reads them.
//!
//! Files ending in `.jsonl` hold one JSON object per line. Amounts are strings, so that no program rounds them.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::clock::Time;
use crate::report_files::Sum;
use crate::report_files::row::Kind;

pub const README: &str = "data/README.txt";
pub const REPORT: &str = "data/report.json";
pub const REDACTIONS: &str = "data/redactions.jsonl";
pub const PROFILE: &str = "data/profile.toml";
pub const ROWS: &str = "data/rows.jsonl";
pub const MATCHES: &str = "data/matches.csv";
pub const ERRORS: &str = "data/errors.jsonl";
pub const MISMATCHES: &str = "data/mismatches.jsonl";
pub const FACTS: &str = "data/facts.jsonl";
pub const ACTS: &str = "data/acts.jsonl";
pub const CHARGE_LINES: &str = "data/charge-lines.jsonl";
pub const LEDGER: &str = "data/ledger.jsonl";
pub const BALANCES: &str = "data/balances.jsonl";
pub const OPENINGS: &str = "data/openings.jsonl";

/// The form of bundles that this version writes, and the newest that it verifies.
pub const FORM: u32 = 1;

/// The report file as it was received. It has no `.csv` in its name: a spreadsheet would run what begins with `=` in it.
#[must_use]
pub fn raw(format: &str) -> &'static str {
    if format == "camt" { "data/received-file.xml" } else { "data/received-file.txt" }
}

#[must_use]
pub fn price_list(sha256: &str) -> String {
    format!("data/price-list-{sha256}.csv")
}

/// `report.json`: the report as it stands, and what it was judged by.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReportFacts {
    /// [`FORM`].
    pub form: u32,
    /// Which version of the service made the bundle, and when.
    pub software: String,
    pub made_at: Time,
    pub id: Uuid,
    pub provider: String,
    pub kind: Kind,
    pub format: String,
    /// SHA-256 of the profile that read the file.
    pub profile_sha256: Option<String>,
    pub file_name: Option<String>,
    /// Of the file as it was received.
    pub bytes: u64,
    /// None: the list of a pull could not be read, so there is no file.
    pub sha256: Option<String>,
    pub state: String,
    pub complete: bool,
    pub period_from: Option<Time>,
    pub period_until: Option<Time>,
    pub as_of: Option<Time>,
    pub rows: u64,
    pub bad_rows: u64,
    /// Rows per class; `MISSING_EXTERNAL` counts what is absent.
    pub counts: Value,
    pub sums: Vec<Sum>,
    pub dry_run: bool,
    pub released: bool,
    pub supersedes: Option<Uuid>,
    /// Why it failed.
    pub error: Option<String>,
    pub received_by: String,
    pub received_at: Time,
    pub finished_at: Option<Time>,
}

/// A line of `redactions.jsonl`: bytes that an erasure overwrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Redaction {
    pub byte: u64,
    pub length: u64,
}

/// A line of `rows.jsonl`.
#[derive(Clone, Debug, Deserialize)]
pub struct RowLine {
    pub n: u64,
    pub line: u64,
    pub byte: u64,
    pub length: u64,
    pub kind: Kind,
    pub row_key: String,
    /// SHA-256 of the canonical row, in hexadecimal. An erasure leaves it.
    pub digest: String,
    pub class: String,
    pub rule: String,
    pub opening_id: Option<Uuid>,
    /// An erasure overwrote its values.
    pub redacted: bool,
    /// The canonical row.
    pub theirs: Value,
    /// The values that it was classified by.
    pub ours: Value,
    /// Rows of other reports under the same key, where the class says that there are some.
    pub earlier: Option<Vec<Earlier>>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Earlier {
    pub report_id: Uuid,
    pub line: u64,
    pub digest: String,
}

/// A line of `errors.jsonl`.
#[derive(Clone, Debug, Deserialize)]
pub struct ErrorLine {
    pub line: u64,
    pub byte: u64,
    pub field: Option<String>,
    pub code: String,
    pub detail: String,
}

/// A line of `mismatches.jsonl`, with its rows, its steps and its case.
#[derive(Clone, Debug, Deserialize)]
pub struct MismatchLine {
    pub id: Uuid,
    pub class: String,
    pub state: String,
    pub opening_id: Option<Uuid>,
    pub reports: Vec<Said>,
    pub steps: Vec<StepLine>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Said {
    pub id: Uuid,
    /// 0 where a row is missing.
    pub line: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct StepLine {
    pub n: u64,
    pub from_state: Option<String>,
    pub to_state: String,
    pub class: String,
}

/// A line of `ledger.jsonl`.
#[derive(Clone, Debug, Deserialize)]
pub struct LedgerLine {
    pub id: Uuid,
    pub cause: String,
    pub provider: String,
    pub debit: String,
    pub credit: String,
    pub amount: Decimal,
    pub tax: Decimal,
    pub currency: String,
    pub opening_id: Option<Uuid>,
    pub code: Option<String>,
    /// SHA-256 of the price list, of an expected fee.
    pub price_list: Option<String>,
    pub report_id: Option<Uuid>,
    pub line: Option<u64>,
    pub reverses: Option<Uuid>,
}

/// A line of `balances.jsonl`: credits less debits of the enclosed lines.
#[derive(Clone, Debug, Serialize)]
pub struct BalanceLine {
    pub provider: String,
    pub account: String,
    pub currency: String,
    pub balance: Decimal,
}

/// A line of `charge-lines.jsonl`: a line of the provider whose newest version stands in this report, and what it came to by now.
#[derive(Clone, Debug, Deserialize)]
pub struct ChargeLineLine {
    pub line_id: String,
    pub line: u64,
    pub line_type: String,
    pub currency: String,
    pub amount: Decimal,
    pub bookings: Value,
    /// The lines of the ledger that book it.
    pub ledger: Vec<Uuid>,
}

/// A line of `openings.jsonl`: an opening that the report names, and its history.
#[derive(Clone, Debug, Deserialize)]
pub struct OpeningLine {
    pub id: Uuid,
    pub state: String,
    pub version: u64,
    /// In hexadecimal.
    pub head_hash: String,
    pub history: Vec<HistoryLine>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct HistoryLine {
    pub version: u64,
    pub from_state: Option<String>,
    pub to_state: String,
    /// In hexadecimal.
    pub hash: String,
}
