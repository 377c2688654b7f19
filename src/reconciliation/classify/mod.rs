//! Compares a report row with our side, and returns its class and the findings. Pure, so that `evidence verify` can repeat it.

pub mod bank;
pub mod charges;
pub mod register;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Time;
use crate::domain::text::string_enum;

string_enum!(
    /// The result of a comparison.
    Class {
        /// Both sides agree.
        Matched = "MATCHED",
        /// The same row came in an earlier file, and nothing new is found.
        Repeated = "REPEATED",
        /// The same key came with other content; the newest `as of` counts.
        Revised = "REVISED",
        /// The register has a final answer, and our opening still waits.
        MissedAnswer = "MISSED_ANSWER",
        /// One side is ahead of the other, inside its window.
        TimingMismatch = "TIMING_MISMATCH",
        /// Both sides are final and different.
        StatusMismatch = "STATUS_MISMATCH",
        /// Both completed, with another IBAN or bank.
        IbanMismatch = "IBAN_MISMATCH",
        /// A row names nothing of ours.
        MissingInternal = "MISSING_INTERNAL",
        /// Something of ours is in no row of a complete file.
        MissingExternal = "MISSING_EXTERNAL",
        /// An opening of ours has a second tracking id at the provider.
        DuplicateAccount = "DUPLICATE_ACCOUNT",
        /// Tracking id and reference are those of two openings.
        CorrelationMismatch = "CORRELATION_MISMATCH",
        /// Market or currency differ from the request.
        AttributeMismatch = "ATTRIBUTE_MISMATCH",
        /// A row id twice in one file, with different content.
        ConflictingRows = "CONFLICTING_ROWS",
        /// A status or type that the format does not know.
        UnknownWord = "UNKNOWN_WORD",
        /// A charge and its expected fee differ.
        AmountMismatch = "AMOUNT_MISMATCH",
        /// The currencies differ and no original amount fits.
        CurrencyMismatch = "CURRENCY_MISMATCH",
        /// The original amount fits, the converted one is off.
        FxDifference = "FX_DIFFERENCE",
        /// A second charge for one expected fee.
        DuplicateCharge = "DUPLICATE_CHARGE",
        /// A refund without its charge, or larger.
        RefundMismatch = "REFUND_MISMATCH",
        /// An adjustment line.
        Adjustment = "ADJUSTMENT",
        /// A group line that differs from its fees in count or sum.
        GroupMismatch = "GROUP_MISMATCH",
        /// The lines of a settlement do not add up to it.
        SettlementMismatch = "SETTLEMENT_MISMATCH",
        /// A bank entry that names no settlement of ours.
        Unrelated = "UNRELATED",
        /// A bank entry pays a settlement with another amount, or a settlement is unpaid.
        BankMismatch = "BANK_MISMATCH",
        /// A statement does not add up.
        BalanceMismatch = "BALANCE_MISMATCH",
        /// A statement is missing before this one.
        StatementGap = "STATEMENT_GAP",
        /// A file that differs too much to be the right one.
        TooManyDifferences = "TOO_MANY_DIFFERENCES",
    }
);

impl Class {
    /// The kind of the case that a person decides: the class in lower case.
    #[must_use]
    pub fn case_kind(self) -> String {
        self.as_str().to_ascii_lowercase()
    }
}

string_enum!(
    /// Where a mismatch stands.
    MismatchState {
        /// The mismatch may settle by itself until `due_at`.
        Waiting = "waiting",
        /// Acted on; the effect is awaited.
        Applied = "applied",
        /// A person decides.
        Case = "case",
        /// A later fact or file agrees.
        Settled = "settled",
        /// A person has decided.
        Resolved = "resolved",
    }
);

/// A field in which the two sides differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    pub field: String,
    pub ours: Option<String>,
    pub theirs: Option<String>,
    /// Theirs less ours, for amounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<String>,
}

impl Difference {
    #[must_use]
    pub fn new(field: &str, ours: Option<&str>, theirs: Option<&str>) -> Self {
        Self {
            field: field.to_owned(),
            ours: ours.map(ToOwned::to_owned),
            theirs: theirs.map(ToOwned::to_owned),
            delta: None,
        }
    }
}

/// A suggestion for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggestion {
    pub class: Class,
    pub because: Vec<String>,
    pub action: String,
}

/// The automatic consequence of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The row becomes a fact; `decide` moves the opening, or opens the case.
    Fact,
    /// The provider is asked about the opening.
    Poll,
    /// A person decides.
    Case,
    /// Booked already: a difference within its bound.
    Settle,
    /// The difference may settle by itself until then.
    Wait { until: Time },
}

/// A difference between the two sides about one subject and aspect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub class: Class,
    /// An opening's id, else the provider's key.
    pub subject: String,
    pub aspect: &'static str,
    pub act: Act,
    pub ours: Value,
    pub theirs: Value,
    pub differences: Vec<Difference>,
    pub suggested: Suggestion,
}

/// The class of a row, and its findings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classified {
    pub class: Class,
    /// The rule that gave the class.
    pub rule: &'static str,
    pub findings: Vec<Finding>,
}

impl Classified {
    #[must_use]
    pub const fn matched(rule: &'static str) -> Self {
        Self { class: Class::Matched, rule, findings: Vec::new() }
    }

    /// The first finding names the row's class.
    #[must_use]
    pub fn found(rule: &'static str, findings: Vec<Finding>) -> Self {
        match findings.first() {
            Some(first) => Self { class: first.class, rule, findings },
            None => Self::matched(rule),
        }
    }

    /// Whether a person decides about the row.
    #[must_use]
    pub fn is_a_case(&self) -> bool {
        use Class::{ConflictingRows, IbanMismatch, StatusMismatch};
        // `decide` opens the case of a final answer that differs.
        let by_decide = matches!(self.class, StatusMismatch | IbanMismatch | ConflictingRows);
        by_decide || self.findings.first().is_some_and(|it| it.act == Act::Case)
    }
}
