//! The plan of one opening in the simulated world: data only.
//!
//! A plan is assigned when an opening's reference is first seen, and is then read-only. The ledger shows it beside the
//! record, so that a failed test shows its faults.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::millis;

/// In a rejection reason this stands for half of a surrogate pair, which a Rust string cannot contain; it is sent as
/// `\ud83d`.
pub const HALF_A_CHARACTER: char = '\u{e000}';

/// A fault of one call. "Before": nothing happened. "After": the effect happened and only its answer is lost, which is
/// what an idempotency key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Answers with this status and does nothing.
    ErrorBefore {
        /// Any HTTP status, for instance 500, 401 or 422.
        status: u16,
    },
    /// Does what was asked, then answers with this status.
    ErrorAfter {
        /// Any HTTP status.
        status: u16,
    },
    /// Does nothing and holds the connection, for [`super::HANG`] or until the simulator stops.
    HangBefore,
    /// Does what was asked and holds the connection.
    HangAfter,
    /// Answers 429 with `Retry-After` and does nothing.
    Throttle {
        /// The value of `Retry-After`.
        retry_after_seconds: u32,
    },
    /// Does what was asked and answers 2xx with a page of HTML.
    Garbage,
    /// Does nothing and refuses with this status, in another form than the ledger's own.
    Refuse {
        /// 400 or 422, for instance.
        status: u16,
        /// The form of the body.
        form: RefusalForm,
    },
    /// Does what was asked and answers properly, compressed with gzip, even if the request does not accept it.
    Compressed,
}

/// The form of a refusal's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalForm {
    /// `{"message":"Bad request"}`: a gateway in front of the system, which knows no codes.
    Gateway,
    /// `{"status":400,"error":"Bad Request","message":""}`: a web framework that could not read the request.
    Framework,
    /// The system's own, with a number for a code: `{"code":1002,"message":"…"}`.
    Numbered,
    /// The system's own, with a message that ends in half a character: `{"code":"name_invalid","message":"… \ud83d"}`.
    Cut,
}

impl Fault {
    /// The fault for the first `n` attempts; the next one goes through.
    #[must_use]
    pub fn times(self, n: usize) -> Vec<Self> {
        vec![self; n]
    }

    /// Whether the fault precludes the effect.
    #[must_use]
    pub const fn is_before(self) -> bool {
        matches!(self, Self::ErrorBefore { .. } | Self::HangBefore | Self::Throttle { .. } | Self::Refuse { .. })
    }
}

/// The bank's final answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Verdict {
    /// The account is open.
    Complete {
        /// The IBAN to report, even if invalid or already used. None: a valid, fresh one of the opening's market.
        #[serde(default)]
        iban: Option<String>,
        /// The BIC to report. None: the simulated bank's.
        #[serde(default)]
        bic: Option<String>,
    },
    /// The bank's final refusal.
    Reject {
        /// Becomes `rejection_reason`; may contain [`HALF_A_CHARACTER`].
        reason: String,
    },
}

impl Verdict {
    /// An open account with a fresh IBAN.
    #[must_use]
    pub const fn complete() -> Self {
        Self::Complete { iban: None, bic: None }
    }

    #[must_use]
    pub fn reject(reason: impl Into<String>) -> Self {
        Self::Reject { reason: reason.into() }
    }
}

/// Whether and how an opening is decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The bank never answers.
    Never,
    /// Decided by [`super::Simulator::decide`]. (Any undecided opening may be decided manually.)
    ByHand,
    /// Automatically, [`Plan::decide_after`] the submission.
    #[serde(untagged)]
    By(Verdict),
}

/// How the signature header arrives: proxies may rewrite header lines (RFC 9110, 5.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fold {
    /// As the bank sends it.
    #[default]
    AsSent,
    /// A space after the comma inside a signature, as if it separated values: `v1, <signature>`.
    Spaced,
    /// One line per signature; the bank's new key after its old one.
    Lines,
    /// One line, with commas between the signatures.
    Joined,
}

/// How the bank sends its decision.
#[expect(clippy::struct_excessive_bools, reason = "faults that combine freely are not the states of one machine")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhooks {
    /// Between the decision and its webhook; meanwhile only a lookup returns it.
    #[serde(rename = "delay_ms", with = "millis")]
    pub delay: Duration,
    /// Concurrent copies of the message, with the same id and body. 1 is normal.
    pub copies: u32,
    /// Sends the same news again after this delay, with a new id and timestamp.
    #[serde(rename = "resend_after_ms", with = "millis::optional")]
    pub resend_after: Option<Duration>,
    /// `IN_PROGRESS` is sent after the decision. Needs [`Plan::progress`].
    pub reordered: bool,
    /// The decision's message is never sent (a resend still is).
    pub dropped: bool,
    /// Decided and sent before the submission is answered; the answer is held back until then (at most
    /// [`super::EARLY_HOLD`]). Needs a [`Decision::By`]; `decide_after` is ignored.
    pub early: bool,
    /// First sends a message with the same id, a stranger's IBAN and a wrong signature.
    pub forged_first: bool,
    pub fold: Fold,
    /// Omits IBAN and BIC, which then must be looked up.
    pub thin: bool,
    /// Sends the opposite decision after this delay. The bank's own record does not change.
    #[serde(rename = "contradiction_after_ms", with = "millis::optional")]
    pub contradiction_after: Option<Duration>,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            copies: 1,
            resend_after: None,
            reordered: false,
            dropped: false,
            early: false,
            forged_first: false,
            fold: Fold::AsSent,
            thin: false,
            contradiction_after: None,
        }
    }
}

#[expect(clippy::struct_excessive_bools, reason = "faults that combine freely are not the states of one machine")]
/// The plan of an opening. Default: no faults, completed at once, one webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// Faults of the first calls of `POST /v1/profiles`, in order; later calls succeed.
    pub profile: Vec<Fault>,
    /// The same for `POST /v1/account-opening-requests`.
    pub submit: Vec<Fault>,
    /// The same for `POST /v1/accounts`.
    pub open: Vec<Fault>,
    /// The same for lookups by tracking id and by reference.
    pub lookup: Vec<Fault>,
    /// The same for `POST /v1/virtual-cards`.
    pub card: Vec<Fault>,
    pub decision: Decision,
    /// Real time between the submission and the decision.
    #[serde(rename = "decide_after_ms", with = "millis")]
    pub decide_after: Duration,
    /// Whether the bank reports `IN_PROGRESS` halfway.
    pub progress: bool,
    /// Reports `ON_HOLD` instead, which is not in its contract. Needs [`Plan::progress`].
    pub on_hold: bool,
    /// The status API never shows the decision: it keeps reporting progress. With a dropped webhook, only the register tells.
    pub silent: bool,
    /// Whether profile, request and card ids have 255 characters, the documented maximum.
    pub long_ids: bool,
    pub webhooks: Webhooks,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            profile: Vec::new(),
            submit: Vec::new(),
            open: Vec::new(),
            lookup: Vec::new(),
            card: Vec::new(),
            decision: Decision::By(Verdict::complete()),
            decide_after: Duration::ZERO,
            progress: false,
            on_hold: false,
            silent: false,
            long_ids: false,
            webhooks: Webhooks::default(),
        }
    }
}

impl Plan {
    /// No faults; decided only by [`super::Simulator::decide`], as most tests need.
    #[must_use]
    pub fn by_hand() -> Self {
        Self { decision: Decision::ByHand, ..Self::default() }
    }
}
