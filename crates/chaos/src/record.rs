//! The run's records, one JSON object per line: what the load did and saw (`history.jsonl`), what the outside world did
//! (`ledger.jsonl`), and what the database contains (`dump.jsonl`). The checker reads only these files.
//!
//! Times are microseconds since the epoch by the machine's clock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::provider::Bank;

/// A line of the load's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum Seen {
    /// The first line: the plan.
    Plan(Plan),
    /// The load began, or ended: rates are counted between the two.
    Load { at: i64, running: bool },
    /// An opening is requested under `key`, for the first time (`first`) or again. The customer's reference is the key.
    Open { at: i64, key: String, replica: usize, first: bool, hang_up: bool },
    /// The answer; `status` 0: none.
    Opened { at: i64, key: String, replica: usize, status: u16, id: Option<String>, replayed: bool },
    /// A message of the bank was created. `dropped`: it is never sent. Each is listed once, regardless of copies and
    /// repeats.
    Message {
        at: i64,
        webhook_id: String,
        /// SHA-256 of the body, in hex.
        sha256: String,
        /// Our opening id, as the bank knows it.
        reference: String,
        tracking_id: String,
        status: String,
        dropped: bool,
        reordered: bool,
        /// Copies sent beside the first.
        copies: u32,
    },
    /// A request is sent: a message, a copy, a repeat, or a forgery (then `sha256` is the forged body's).
    Send {
        at: i64,
        number: u64,
        webhook_id: String,
        sha256: String,
        replica: usize,
        forged: bool,
        hang_up: bool,
        /// A proxy on the way rewrites its signature header.
        #[serde(default)]
        folded: bool,
    },
    /// The answer; `status` 0: none.
    Answer { at: i64, number: u64, status: u16 },
    /// An opening as it was read.
    Read { at: i64, replica: usize, id: String, version: i64, state: String },
    /// A reading that was not answered with 200.
    Unread { at: i64, replica: usize, status: u16 },
    /// An event as returned to a reader. Each reader starts at the beginning and follows the cursor.
    Event { at: i64, reader: usize, id: String, kind: String, opening: String, version: i64 },
    /// An event that the subscriber received and acknowledged.
    Delivered { at: i64, webhook_id: String, event: String },
    /// A fault was struck. `evidence`: proof that it happened; none: it was tried without visible effect.
    Fault { at: i64, fault: Fault, target: String, evidence: Option<Value> },
    /// A file of the bank was written.
    File(BankFile),
    /// A file was uploaded; `status` 0: no answer.
    Upload { at: i64, file: u64, replica: usize, status: u16, report: Option<String> },
    /// The database was restored from a dump. `before`, `after`: the next transaction id in the old and in the new
    /// cluster.
    Restored { at: i64, dumped_at: i64, before: i64, after: i64 },
}

/// A file of the bank, and what reconciliation must make of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BankFile {
    pub at: i64,
    pub number: u64,
    /// `register` or `charges`.
    pub kind: String,
    pub text: String,
    pub sha256: String,
    /// Whether it is written to its end.
    pub complete: bool,
    /// The file differs too much, and must be held.
    pub held: bool,
    /// The last one of its kind: what it differs in must be found, and nothing else.
    pub last: bool,
    /// The divergences of this file.
    pub expected: Vec<Divergence>,
}

/// A difference that a file was given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    pub kind: String,
    pub class: String,
    /// The states in which its mismatch may be.
    pub states: Vec<String>,
    /// Its class once its window is over.
    pub becomes: Option<String>,
    /// The lines of its rows; none where a row is missing.
    pub lines: Vec<i64>,
    /// The opening.
    pub reference: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The bank that is played.
    #[serde(default = "first_bank")]
    pub provider: String,
    pub seed: u64,
    pub seconds: u64,
    /// Each replica has a reader of events.
    #[serde(default)]
    pub replicas: usize,
    pub openings_per_second: f64,
    /// Messages of the bank per second: first copies, dropped ones included.
    pub messages_per_second: f64,
    pub reads_per_second: f64,
    /// The services have a price list, so that each priced step owes a fee.
    #[serde(default)]
    pub priced: bool,
    /// How far the clock of the last replica is ahead, in milliseconds; negative where it is behind.
    pub clock_offset: i64,
    /// Faults that must have evidence, with their minimum number.
    pub faults: BTreeMap<Fault, u64>,
}

/// The bank of plans that name none.
fn first_bank() -> String {
    Bank::default().name().to_owned()
}

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    KillService,
    KillPostgres,
    /// SIGSTOP beyond a lease, then SIGCONT.
    PauseService,
    CutConnections,
    HalfClose,
    DelayConnections,
    LoseCommit,
    TerminateBackend,
    LockStorm,
    SkewedClock,
    ProviderError,
    ProviderHang,
    ProviderThrottle,
    ProviderGarbage,
    /// 400 without a code, as from a gateway in front of the bank.
    ProviderGateway,
    /// A correct answer in gzip, although the request did not accept compression.
    ProviderGzip,
    /// An id of the documented maximum length.
    LongId,
    /// A reason that ends in a lone surrogate.
    CutCharacter,
    /// A status that the contract does not know.
    UnknownWord,
    /// A signature header split into lines, joined by commas, or with a space after its version.
    FoldedSignature,
}

impl Fault {
    /// Whether the call that meets it fails.
    #[must_use]
    pub const fn fails_calls(self) -> bool {
        matches!(
            self,
            Self::ProviderError
                | Self::ProviderHang
                | Self::ProviderThrottle
                | Self::ProviderGarbage
                | Self::ProviderGateway
                | Self::ProviderGzip
        )
    }
}

/// A line of the outside world's ledger, on disk before the effect is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum Did {
    /// A profile was made. The same key again makes none.
    Profile { at: i64, reference: String, key: String, profile_id: String },
    /// An account request was taken.
    Request { at: i64, reference: String, key: String, tracking_id: String, profile_id: String },
    Decided {
        at: i64,
        reference: String,
        tracking_id: String,
        status: String,
        iban: Option<String>,
        bic: Option<String>,
        rejection_reason: Option<String>,
    },
    /// A card was issued.
    Card { at: i64, reference: String, key: String, card_id: String, iban: String, profile_id: String },
    /// A call met a fault.
    Suffered { at: i64, endpoint: String, fault: Fault },
}

/// A line of the dump: a row as Postgres' `row_to_json` writes it. `bytea` is `\x` and hex, `timestamptz` is in UTC with
/// microseconds (`2026-01-01T00:00:00.000001+00:00`, trailing zeros cut). Of the inbox, `body` is left out: `body_digest` is
/// what the service says, `body_sha256` (hex) what Postgres counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// A table, such as `account_openings`.
    pub table: String,
    pub row: Value,
}
