//! The ways in which a file differs from the service, and what reconciliation must make of each.

use serde::Serialize;

/// The file that carries a divergence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum File {
    Register,
    Charges,
    /// The statement of the account that pays.
    Bank,
}

/// A way to differ. Several may lead to the same class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The service never heard of the decision. Dealt with the opening's plan, not with the file.
    MissedAnswer,
    /// The bank's own word `ON_HOLD`, which is in no contract. Dealt with the opening's plan too.
    OnHold,
    /// A decision of a moment ago is not in the register yet.
    NotYetDecided,
    /// An account that the service knows is undecided in the register, long after.
    NeverDecided,
    /// An account that the service knows is refused in the register.
    RefusedAfterAll,
    /// A refusal that the service knows is an account in the register.
    OpenedAfterAll,
    OtherIban,
    OtherBank,
    /// A request under a reference that is not ours.
    Stranger,
    /// A request that the register does not list.
    LeftOut,
    /// A second request under the same reference.
    SecondAccount,
    /// The row names the reference of another opening.
    Swapped,
    OtherMarket,
    OtherCurrency,
    /// The same row twice, with another IBAN.
    Conflicting,
    /// A status outside the contract.
    UnknownStatus,
    /// The register differs so much that it is probably the wrong file.
    TooMany,

    /// An opening is charged that is not open.
    ChargedTooEarly,
    /// An account is not charged, long after.
    NotCharged,
    TaxMissing,
    OldPrice,
    Hundredfold,
    WrongSign,
    Doubled,
    /// The right number in a foreign currency.
    OtherChargeCurrency,
    /// A converted amount that is off by one minor unit.
    FxByACent,
    FxByMore,
    ChargedTwice,
    RefundTooLarge,
    RefundWithoutCharge,
    Adjustment,
    /// A group line for openings that were charged one by one.
    WrongGroup,
    SettlementSum,
    SettlementCount,
    SettlementTax,
    ChargedStranger,
    /// A code that the price list does not know.
    NotPriced,
    /// A charge with the tracking id of one opening and the reference of another.
    SwappedCharge,
    /// One line id twice, with another amount.
    ConflictingLines,
    UnknownType,
    /// A line that the file before has too.
    Repeated,
    /// A line of the file before, with another text.
    Revised,

    /// A settlement is paid with another amount.
    OtherPayment,
    /// A closing balance that is not the opening one with the entries.
    WrongBalance,
    /// A statement is missing before this one.
    Gap,
    /// An entry that pays nothing of the bank's.
    Unrelated,
}

/// The subject that a divergence needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// An account that the service knows.
    Opened,
    /// The same, and both sides have known it for longer than the window.
    OpenedLongAgo,
    /// A decision well within the window.
    DecidedJustNow,
    Rejected,
    Undecided,
    /// The bank bills an account in another currency.
    Converted,
    /// The bank has changed its price since it billed the account.
    Repriced,
    /// No request: a row is added.
    Nothing,
    /// The openings' plans deal it.
    ByPlan,
}

/// The expectation that goes with a kind.
pub(super) struct Rule {
    pub(super) kind: Kind,
    pub(super) file: File,
    pub(super) subject: Subject,
    pub(super) class: &'static str,
    /// The states in which its mismatch may be found. None: its rows have the class, and there is no mismatch.
    pub(super) states: &'static [&'static str],
    /// The class that it has once its window is over.
    pub(super) becomes: Option<&'static str>,
    /// How many rows it adds to those that a file is held for.
    pub(super) weight: usize,
}

const CASE: &[&str] = &["case"];
const WAITING: &[&str] = &["waiting"];
const SETTLED: &[&str] = &["settled"];
const ROWS: &[&str] = &[];

const fn rule(file: File, kind: Kind, subject: Subject, class: &'static str) -> Rule {
    Rule { kind, file, subject, class, states: CASE, becomes: None, weight: 1 }
}

impl Rule {
    /// Not a case, but for one that outlasts its window.
    const fn found(self, states: &'static [&'static str], becomes: Option<&'static str>) -> Self {
        let weight = if becomes.is_some() { 1 } else { 0 };
        Self { states, becomes, weight, ..self }
    }

    const fn of_two_rows(self) -> Self {
        Self { weight: 2, ..self }
    }
}

/// In the order in which they are dealt: those that few requests fit come first.
pub(super) const RULES: &[Rule] = {
    use File::{Bank, Charges, Register};
    use Subject::{ByPlan, Converted, DecidedJustNow, Nothing, Opened, OpenedLongAgo, Rejected, Repriced, Undecided};
    &[
        rule(Register, Kind::MissedAnswer, ByPlan, "MISSED_ANSWER").found(SETTLED, None),
        rule(Register, Kind::OnHold, ByPlan, "UNKNOWN_WORD").found(WAITING, None),
        rule(Register, Kind::NotYetDecided, DecidedJustNow, "TIMING_MISMATCH").found(WAITING, Some("STATUS_MISMATCH")),
        rule(Register, Kind::OpenedAfterAll, Rejected, "STATUS_MISMATCH"),
        rule(Charges, Kind::ChargedTooEarly, Undecided, "TIMING_MISMATCH").found(WAITING, Some("MISSING_INTERNAL")),
        rule(Charges, Kind::FxByMore, Converted, "FX_DIFFERENCE"),
        rule(Charges, Kind::FxByACent, Converted, "FX_DIFFERENCE").found(SETTLED, None),
        rule(Charges, Kind::RefundWithoutCharge, Rejected, "REFUND_MISMATCH"),
        rule(Register, Kind::LeftOut, OpenedLongAgo, "MISSING_EXTERNAL"),
        rule(Register, Kind::NeverDecided, OpenedLongAgo, "STATUS_MISMATCH"),
        rule(Charges, Kind::NotCharged, OpenedLongAgo, "MISSING_EXTERNAL"),
        rule(Charges, Kind::OldPrice, Repriced, "AMOUNT_MISMATCH"),
        rule(Register, Kind::Stranger, Nothing, "MISSING_INTERNAL"),
        rule(Register, Kind::RefusedAfterAll, Opened, "STATUS_MISMATCH"),
        rule(Register, Kind::OtherIban, Opened, "IBAN_MISMATCH"),
        rule(Register, Kind::SecondAccount, Opened, "DUPLICATE_ACCOUNT"),
        rule(Register, Kind::Swapped, Opened, "CORRELATION_MISMATCH"),
        rule(Register, Kind::OtherMarket, Opened, "ATTRIBUTE_MISMATCH"),
        rule(Register, Kind::Conflicting, Opened, "CONFLICTING_ROWS").of_two_rows(),
        rule(Register, Kind::UnknownStatus, Opened, "UNKNOWN_WORD").found(WAITING, None),
        rule(Register, Kind::OtherBank, Opened, "IBAN_MISMATCH"),
        rule(Register, Kind::OtherCurrency, Opened, "ATTRIBUTE_MISMATCH"),
        rule(Charges, Kind::TaxMissing, Opened, "AMOUNT_MISMATCH"),
        rule(Charges, Kind::OtherChargeCurrency, Opened, "CURRENCY_MISMATCH"),
        rule(Charges, Kind::ChargedTwice, Opened, "DUPLICATE_CHARGE"),
        rule(Charges, Kind::RefundTooLarge, Opened, "REFUND_MISMATCH"),
        rule(Charges, Kind::Adjustment, Nothing, "ADJUSTMENT"),
        rule(Charges, Kind::WrongGroup, Nothing, "GROUP_MISMATCH"),
        rule(Charges, Kind::SettlementSum, Nothing, "SETTLEMENT_MISMATCH"),
        rule(Charges, Kind::ChargedStranger, Nothing, "MISSING_INTERNAL"),
        rule(Charges, Kind::SwappedCharge, Opened, "CORRELATION_MISMATCH"),
        rule(Charges, Kind::ConflictingLines, Nothing, "CONFLICTING_ROWS").of_two_rows(),
        rule(Charges, Kind::UnknownType, Nothing, "UNKNOWN_WORD").found(WAITING, None),
        rule(Charges, Kind::Repeated, Opened, "REPEATED").found(ROWS, None),
        rule(Charges, Kind::Revised, Opened, "REVISED").found(ROWS, None),
        rule(Charges, Kind::Hundredfold, Opened, "AMOUNT_MISMATCH"),
        rule(Charges, Kind::WrongSign, Opened, "AMOUNT_MISMATCH"),
        rule(Charges, Kind::Doubled, Opened, "AMOUNT_MISMATCH"),
        rule(Charges, Kind::NotPriced, Opened, "MISSING_INTERNAL"),
        rule(Charges, Kind::SettlementCount, Nothing, "SETTLEMENT_MISMATCH"),
        rule(Charges, Kind::SettlementTax, Nothing, "SETTLEMENT_MISMATCH"),
        rule(Bank, Kind::OtherPayment, Nothing, "BANK_MISMATCH"),
        rule(Bank, Kind::WrongBalance, Nothing, "BALANCE_MISMATCH"),
        rule(Bank, Kind::Gap, Nothing, "STATEMENT_GAP"),
        rule(Bank, Kind::Unrelated, Nothing, "UNRELATED").found(ROWS, None),
        // `Divergences::Many` makes it; once an operator has discarded the file, the mismatch is resolved.
        rule(Register, Kind::TooMany, ByPlan, "TOO_MANY_DIFFERENCES").found(&["case", "resolved"], None),
    ]
};

impl Kind {
    /// Whether a revised file has the line right.
    pub(super) const fn is_corrected(self) -> bool {
        matches!(
            self,
            Self::NotYetDecided
                | Self::TaxMissing
                | Self::OldPrice
                | Self::Hundredfold
                | Self::WrongSign
                | Self::Doubled
                | Self::OtherChargeCurrency
                | Self::FxByMore
        )
    }

    /// Whether a file has it because another one came before.
    pub(super) const fn is_overlap(self) -> bool {
        matches!(self, Self::Repeated | Self::Revised)
    }

    /// Whether it is found because a row is missing.
    pub(super) const fn is_absence(self) -> bool {
        matches!(self, Self::LeftOut | Self::NotCharged)
    }

    pub(super) fn rule(self) -> &'static Rule {
        RULES.iter().find(|rule| rule.kind == self).unwrap_or(&RULES[0])
    }

    pub(super) fn file(self) -> File {
        self.rule().file
    }
}
