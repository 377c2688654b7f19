//! The canonical row: what every format's reader produces, and all that matching and classifying see.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Time;
use crate::domain::text::string_enum;
use crate::domain::{OpeningId, ProviderRef, Report, Verdict};

string_enum!(
    /// The kind of a report, by what it is compared with.
    Kind {
        /// The provider's list of opening requests, compared with our openings.
        Register = "register",
        /// The provider's fee lines, compared with our fee ledger.
        Charges = "charges",
        /// The bank's statements, compared with the settlements of charges.
        Bank = "bank",
    }
);

/// A file's own description. Times where the format has none are absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub kind: Kind,
    pub provider: String,
    /// The period, from (inclusive) until (exclusive).
    pub from: Option<Time>,
    pub until: Option<Time>,
    /// The time at which the provider looked at its own books.
    pub as_of: Option<Time>,
}

/// A row and its place in the decoded file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Located<T> {
    /// The physical line; the file's first is 1.
    pub line: u64,
    /// The offset of the record's first byte.
    pub byte: u64,
    /// The length of the record in bytes, without its line break.
    pub len: u64,
    /// The identity of the row: the provider's row id, else a fingerprint with its number among equal rows.
    pub key: String,
    #[serde(flatten)]
    pub row: T,
}

/// A row in the words of its comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Row {
    Register(RegisterRow),
    Charge(ChargeRow),
    Bank(BankRow),
}

/// An opening request as the provider holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterRow {
    /// The provider's tracking id.
    pub provider_reference: String,
    /// Our reference as the provider wrote it.
    pub reference: Option<String>,
    /// The provider's own word.
    pub status: String,
    pub verdict: Verdict,
    /// In electronic form, checked.
    pub iban: Option<String>,
    pub bic: Option<String>,
    pub rejection_reason: Option<String>,
    pub market: Option<String>,
    pub currency: Option<String>,
    pub created_at: Option<Time>,
    pub decided_at: Option<Time>,
}

impl RegisterRow {
    /// The opening that our reference names.
    #[must_use]
    pub fn opening(&self) -> Option<Uuid> {
        self.reference.as_deref().and_then(OpeningId::echoed).map(|it| it.0)
    }

    /// The row without what an erasure removes.
    #[must_use]
    pub fn redacted(&self) -> Self {
        Self { reference: None, iban: None, bic: None, rejection_reason: None, ..self.clone() }
    }

    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self.verdict, Verdict::Completed | Verdict::Rejected)
    }

    /// The row's report about the opening, as a webhook would give it.
    #[must_use]
    pub fn report(&self) -> Report {
        Report {
            reference: ProviderRef::new(self.provider_reference.as_str()).ok(),
            our_reference: self.reference.clone(),
            verdict: self.verdict,
            word: self.status.clone(),
            iban: self.iban.clone(),
            bic: self.bic.clone(),
            reason: self.rejection_reason.clone(),
        }
    }
}

string_enum!(
    /// The purpose of a fee line.
    ChargeType {
        /// A fee for one opening.
        Charge = "charge",
        /// A line for the fees of several openings.
        Group = "group",
        /// Gives a fee back; negative.
        Refund = "refund",
        /// A correction outside the price list.
        Adjustment = "adjustment",
        /// The total of the lines that are paid together.
        Settlement = "settlement",
        /// A word that the reader does not know.
        Unknown = "unknown",
    }
);

/// A fee line. Positive means that we owe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChargeRow {
    pub line_id: String,
    pub line_type: ChargeType,
    /// The provider's own word for the type.
    pub word: String,
    /// The purpose of the fee.
    pub code: Option<String>,
    pub quantity: u64,
    pub provider_reference: Option<String>,
    pub reference: Option<String>,
    /// Includes `tax`.
    pub amount: Decimal,
    pub tax: Decimal,
    /// ISO 4217.
    pub currency: String,
    /// The amount before the provider converted it.
    pub original_amount: Option<Decimal>,
    pub original_currency: Option<String>,
    /// Units of `currency` for one of `original_currency`.
    pub fx_rate: Option<Decimal>,
    pub settlement_id: Option<String>,
    pub occurred_at: Option<Time>,
    pub booked_on: Option<chrono::NaiveDate>,
    pub description: Option<String>,
}

/// An entry of a bank statement, or one transaction of it where the entry has details.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BankRow {
    /// The number in the file of the statement or notification that holds it, from 1: see [`Statement::number_in_file`].
    pub statement: u64,
    /// Its id, which two accounts may share.
    pub statement_id: String,
    /// Masked.
    pub account: String,
    /// Positive means that we paid.
    pub amount: Decimal,
    pub currency: String,
    pub booked_on: Option<chrono::NaiveDate>,
    pub is_reversal: bool,
    /// The bank's own reference of the transaction, else of its entry. It may be used twice.
    pub servicer_reference: Option<String>,
    /// The payer's own id of the payment.
    pub end_to_end_id: Option<String>,
    /// The texts in which a settlement id may stand.
    pub references: Vec<String>,
}

impl BankRow {
    /// The entry, whichever statement says it.
    #[must_use]
    pub fn entry(&self) -> Self {
        Self { statement: 0, statement_id: String::new(), ..self.clone() }
    }
}

/// A bank statement or notification after its last entry: what it says about itself, and what of that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    pub line: u64,
    pub byte: u64,
    /// From 1; rows name their statement by it.
    pub number_in_file: u64,
    pub id: String,
    /// Masked.
    pub account: String,
    /// Tells accounts apart: a digest of the account's number and currency.
    pub account_key: String,
    /// The bank's number of the statement: the electronic one, else the legal one.
    pub number: Option<u64>,
    /// The page, if the statement is split over messages.
    pub page: Option<u64>,
    /// A notification (camt.054) has entries and no balances; its numbers are not those of statements.
    pub is_notification: bool,
    /// When the bank made it, by the bank's own clock.
    pub made_at: Option<chrono::NaiveDateTime>,
    pub opening: Option<Balance>,
    pub closing: Option<Balance>,
    /// Of booked entries, per currency; credits are positive, as the bank sees them.
    pub movements: Vec<super::Sum>,
    pub rows: u64,
    /// Nothing of a statement with a flaw is settled.
    pub flaws: Vec<Flaw>,
}

/// Positive means that the bank owes the account's holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    pub amount: Decimal,
    pub currency: String,
    pub date: Option<chrono::NaiveDate>,
}

string_enum!(
    /// The part of a statement that does not add up.
    Aspect {
        /// Opening balance and entries are not the closing balance.
        Entries = "entries",
        /// The transactions of an entry are not the entry.
        Details = "details",
        /// The opening balance is not the closing balance of the statement before.
        Opening = "opening",
        /// A number is missing between this statement and the one before.
        Number = "number",
    }
);

/// A statement that does not add up ([`Aspect::Number`]: a gap before it).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flaw {
    pub aspect: Aspect,
    pub line: u64,
    pub byte: u64,
    /// An amount, or a statement's number.
    pub expected: String,
    pub found: String,
    pub currency: Option<String>,
}
