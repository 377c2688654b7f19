//! The meaning of a failed call for the work that made it.
//!
//! Each failure says what comes next: repeat (when), give up (why), or ask a person. That is decided once, here and in
//! [`Answer::judge`](super::Answer::judge); workers read [`CallError::nature`] and never look at a status.

use chrono::TimeDelta;

use crate::db::describe;
use crate::domain::retry::Nature;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The other system's final refusal.
    #[error("refused: {code}")]
    Rejected { code: String, message: String },
    /// The other system, or the way to it, is out of order: the work waits and is repeated.
    #[error("{cause}")]
    Outage {
        /// `timeout`, `transport`, `server_error`, `throttled`, `busy`, `misconfigured`, `shutdown`, `database`
        class: &'static str,
        /// For people; never a body.
        cause: String,
        /// The wait that the other system asked for.
        after: Option<TimeDelta>,
        /// Whether the call may have taken effect.
        indeterminate: bool,
    },
    /// The call was not made: the breaker is open, the other system asked for a pause, or the operation is at capacity.
    #[error("not made: {class}")]
    Deferred {
        /// `breaker_open`, `probing`, `throttled`, `crowded`; for tickets also `index_lag` and `overtaken`
        class: &'static str,
        after: TimeDelta,
    },
    /// An answer without a usable meaning; it counts towards `MAX_ATTEMPTS`.
    #[error("{cause}")]
    Unusable {
        /// For people; never a body.
        cause: String,
        /// Whether the call may have taken effect.
        indeterminate: bool,
    },
}

impl CallError {
    /// The class, for metrics and attempt logs.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Rejected { .. } => "rejected",
            Self::Outage { class, .. } | Self::Deferred { class, .. } => class,
            Self::Unusable { .. } => "unusable",
        }
    }

    /// An answer without a usable meaning, to a call that may have taken effect.
    #[must_use]
    pub fn unusable(cause: impl Into<String>) -> Self {
        Self::Unusable { cause: cause.into(), indeterminate: true }
    }

    /// An answer that refuses our own mistake, such as a wrong mapping: it had no effect, and says nothing about the customer.
    #[must_use]
    pub fn ours(cause: impl Into<String>) -> Self {
        Self::Unusable { cause: cause.into(), indeterminate: false }
    }

    /// Our credentials or our path are wrong: the call had no effect and is repeated, since a person mends the configuration.
    #[must_use]
    pub fn misconfigured(cause: impl Into<String>) -> Self {
        Self::Outage { class: "misconfigured", cause: cause.into(), after: None, indeterminate: false }
    }

    #[must_use]
    pub fn timeout() -> Self {
        Self::unanswered("timeout", "timeout: no complete answer")
    }

    /// A call that the service aborts because it is stopping.
    #[must_use]
    pub fn shutdown() -> Self {
        Self::unanswered("shutdown", "shutdown: given up before its answer")
    }

    fn unanswered(class: &'static str, cause: &str) -> Self {
        Self::Outage { class, cause: cause.to_owned(), after: None, indeterminate: true }
    }

    /// The same error of a call that only reads.
    #[must_use]
    pub fn without_effect(self) -> Self {
        match self {
            Self::Outage { class, cause, after, .. } => Self::Outage { class, cause, after, indeterminate: false },
            Self::Unusable { cause, .. } => Self::Unusable { cause, indeterminate: false },
            deferred @ Self::Deferred { .. } => deferred,
            // A refused read says nothing about the submission, so it is never final.
            Self::Rejected { code, .. } => {
                Self::Unusable { cause: format!("a look was refused: {code}"), indeterminate: false }
            }
        }
    }

    /// Whether the call may have taken effect.
    #[must_use]
    pub fn is_indeterminate(&self) -> bool {
        self.nature() == Nature::Indeterminate
    }

    #[must_use]
    pub fn nature(&self) -> Nature {
        match self {
            Self::Rejected { .. } => Nature::Final,
            Self::Outage { indeterminate: true, .. } | Self::Unusable { indeterminate: true, .. } => {
                Nature::Indeterminate
            }
            Self::Outage { class: "throttled", .. } | Self::Deferred { class: "throttled", .. } => Nature::Throttled,
            Self::Outage { .. } | Self::Deferred { .. } | Self::Unusable { .. } => Nature::Retryable,
        }
    }

    /// Whether our own limit on concurrent calls or probes deferred the call, which says nothing about the other system.
    #[must_use]
    pub fn is_for_want_of_capacity(&self) -> bool {
        matches!(self, Self::Deferred { class: "crowded" | "probing", .. })
    }

    /// Whether the other system is up: every answer but a 5xx shows it, also a refusal or an unusable one. Otherwise one
    /// request that a system cannot digest would open the breaker for all others.
    #[must_use]
    pub fn shows_health(&self) -> bool {
        match self {
            Self::Rejected { .. } | Self::Unusable { .. } | Self::Deferred { .. } => true,
            Self::Outage { class, .. } => !matches!(*class, "timeout" | "transport" | "server_error"),
        }
    }

    /// The pause that the other system asks of all calls: by 429 or any 5xx. RFC 9110 (section 10.2.3) names 503 alone, but a
    /// gateway may ask with another 5xx. With any other status `Retry-After` concerns the one request.
    #[must_use]
    pub fn pause(&self) -> Option<TimeDelta> {
        match self {
            Self::Outage { class: "throttled" | "server_error", after, .. } => *after,
            _ => None,
        }
    }
}

/// A call without a complete answer. A connection that was never made carried nothing.
impl From<reqwest::Error> for CallError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_builder() {
            return Self::ours("a request that cannot be built");
        }
        let class = if error.is_timeout() { "timeout" } else { "transport" };
        let what = if error.is_connect() { "could not connect" } else { "no complete answer" };
        Self::Outage { class, cause: format!("{class}: {what}"), after: None, indeterminate: !error.is_connect() }
    }
}

/// Our own database failed before the call: nothing was sent.
impl From<sqlx::Error> for CallError {
    fn from(error: sqlx::Error) -> Self {
        let cause = format!("our database: {}", describe(&error));
        Self::Outage { class: "database", cause, after: None, indeterminate: false }
    }
}
