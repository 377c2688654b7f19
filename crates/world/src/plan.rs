//! What happens to one opening in the simulated world: pure data, no behaviour.
//!
//! A plan is dealt to an opening when its reference is first seen, and then only read. The ledger shows it next to what
//! truly happened, so that a failed test says what it was up against.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::millis;

/// In a verdict's reason it stands for half of a UTF-16 pair, which no Rust text can hold: on the wire it becomes `\ud83d`.
pub const HALF_A_CHARACTER: char = '\u{e000}';

/// One call that goes wrong. "Before" means nothing happened; "after" means the effect exists and only its answer is lost,
/// which is what an idempotency key is for.
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
        /// What the body looks like.
        form: RefusalForm,
    },
    /// Does what was asked and answers properly, compressed with gzip, whatever the request accepts.
    Compressed,
}

/// The body of a refusal.
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

    /// Whether nothing happens at the other side.
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
        /// As given, also when it is invalid or already somebody's; none: a valid, fresh one of the opening's market.
        #[serde(default)]
        iban: Option<String>,
        /// As given; none: the simulated bank's.
        #[serde(default)]
        bic: Option<String>,
    },
    /// The bank's final no.
    Reject {
        /// Becomes `rejection_reason`; it may hold [`HALF_A_CHARACTER`].
        reason: String,
    },
}

impl Verdict {
    /// An open account with a fresh IBAN.
    #[must_use]
    pub const fn complete() -> Self {
        Self::Complete { iban: None, bic: None }
    }

    /// A rejection.
    #[must_use]
    pub fn reject(reason: impl Into<String>) -> Self {
        Self::Reject { reason: reason.into() }
    }
}

/// Whether and by whom an opening is decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The bank never answers.
    Never,
    /// Waits for [`super::Simulator::decide`]. (Any opening that is still undecided may be decided by hand.)
    ByHand,
    /// By itself, [`Plan::decide_after`] the submission.
    #[serde(untagged)]
    By(Verdict),
}

/// How the header with the signature arrives: proxies write header lines anew, and RFC 9110 (5.3) lets them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fold {
    /// As the bank sends it.
    #[default]
    AsSent,
    /// The comma within a signature is taken for one between values: `v1, <signature>`.
    Spaced,
    /// A line for each signature, the bank's new key after its old one.
    Lines,
    /// One line, with commas between the signatures.
    Joined,
}

/// How the bank tells its decision.
#[expect(clippy::struct_excessive_bools, reason = "faults that combine freely are not the states of one machine")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhooks {
    /// Between the decision and the webhook; meanwhile only a lookup can know.
    #[serde(rename = "delay_ms", with = "millis")]
    pub delay: Duration,
    /// How often the message is sent at once: same id, same body. 1 is the honest number.
    pub copies: u32,
    /// The same news once more, this long after the first: a new id and a new timestamp.
    #[serde(rename = "resend_after_ms", with = "millis::optional")]
    pub resend_after: Option<Duration>,
    /// `IN_PROGRESS` is sent after the decision. Needs [`Plan::progress`].
    pub reordered: bool,
    /// The message about the decision is never sent (a resend still is).
    pub dropped: bool,
    /// Decided and told before the submission is answered, which is held back until then (at most
    /// [`super::EARLY_HOLD`]). Needs a [`Decision::By`]; `decide_after` does not count then.
    pub early: bool,
    /// First comes a message under the same id that tells of a stranger's IBAN, signed with a wrong secret.
    pub forged_first: bool,
    /// How the signatures of its messages arrive.
    pub fold: Fold,
    /// Leaves IBAN and BIC out of the message: they must be looked up.
    pub thin: bool,
    /// This long after the decision's message the opposite is told. The bank's own record does not change.
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

/// Everything that happens to one opening. The default: no fault, completed at once, one honest webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// What befalls the first calls of `POST /v1/profiles`, in order; the calls after these go through.
    pub profile: Vec<Fault>,
    /// The same for `POST /v1/account-opening-requests`.
    pub submit: Vec<Fault>,
    /// The same for `POST /v1/accounts`.
    pub open: Vec<Fault>,
    /// The same for lookups by tracking id and by reference.
    pub lookup: Vec<Fault>,
    /// The same for `POST /v1/virtual-cards`.
    pub card: Vec<Fault>,
    /// The bank's answer.
    pub decision: Decision,
    /// Real time between the submission and the decision.
    #[serde(rename = "decide_after_ms", with = "millis")]
    pub decide_after: Duration,
    /// Whether the bank says `IN_PROGRESS` half-way.
    pub progress: bool,
    /// It says `ON_HOLD` there instead, which is no word of its contract. Needs [`Plan::progress`].
    pub on_hold: bool,
    /// Whether the ids of profile, request and card are 255 characters long, the most that providers document.
    pub long_ids: bool,
    /// How the bank tells its decision.
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
            long_ids: false,
            webhooks: Webhooks::default(),
        }
    }
}

impl Plan {
    /// No fault, and decided only by [`super::Simulator::decide`]: what most tests want.
    #[must_use]
    pub fn by_hand() -> Self {
        Self { decision: Decision::ByHand, ..Self::default() }
    }
}
