//! What a failed call means for the work that it was made for.

use chrono::TimeDelta;

use crate::db::describe;
use crate::domain::retry::Nature;

/// What a failed call means.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The other side's final no.
    #[error("refused: {code}")]
    Rejected {
        /// Its code for why.
        code: String,
        /// Its words for why.
        message: String,
    },
    /// The other side, or the way to it, is out of order: it is waited out.
    #[error("{cause}")]
    Outage {
        /// `timeout`, `transport`, `server_error`, `throttled`, `busy`, `misconfigured`, `shutdown`, `database`
        class: &'static str,
        /// For people; never a body.
        cause: String,
        /// How long the other side asked us to wait.
        after: Option<TimeDelta>,
        /// Whether the call may have taken effect.
        indeterminate: bool,
    },
    /// It was not made: the breaker is open, the other side asked for a pause, or too many are under way.
    #[error("not made: {class}")]
    Deferred {
        /// `breaker_open`, `probing`, `throttled`, `crowded`; of tickets, `index_lag` and `overtaken`
        class: &'static str,
        /// When it may be let through.
        after: TimeDelta,
    },
    /// An answer that is none: it counts towards `MAX_ATTEMPTS`.
    #[error("{cause}")]
    Unusable {
        /// For people; never a body.
        cause: String,
        /// Whether the call may have taken effect.
        indeterminate: bool,
    },
}

impl CallError {
    /// The class, for metrics and attempts.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Rejected { .. } => "rejected",
            Self::Outage { class, .. } | Self::Deferred { class, .. } => class,
            Self::Unusable { .. } => "unusable",
        }
    }

    /// An answer that is none, to a call that may have taken effect.
    #[must_use]
    pub fn unusable(cause: impl Into<String>) -> Self {
        Self::Unusable { cause: cause.into(), indeterminate: true }
    }

    /// No answer within the deadline.
    #[must_use]
    pub fn timeout() -> Self {
        let cause = "timeout: no complete answer".to_owned();
        Self::Outage { class: "timeout", cause, after: None, indeterminate: true }
    }

    /// Given up by us, since we are stopping.
    #[must_use]
    pub fn shutdown() -> Self {
        let cause = "shutdown: given up before its answer".to_owned();
        Self::Outage { class: "shutdown", cause, after: None, indeterminate: true }
    }

    /// The same error, of a call that only looked.
    #[must_use]
    pub fn without_effect(self) -> Self {
        match self {
            Self::Outage { class, cause, after, .. } => Self::Outage { class, cause, after, indeterminate: false },
            Self::Unusable { cause, .. } => Self::Unusable { cause, indeterminate: false },
            deferred @ Self::Deferred { .. } => deferred,
            // A look is never refused for good: its answer says nothing about the submission.
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

    /// What it says about what comes next.
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

    /// Whether it is we alone who did not make the call: as many are under way as we make at once, of all calls or of probes.
    /// That says nothing about the other side.
    #[must_use]
    pub fn is_for_want_of_capacity(&self) -> bool {
        matches!(self, Self::Deferred { class: "crowded" | "probing", .. })
    }

    /// Whether somebody was there: any answer but a server's error shows it, also a refusal and one that cannot be used.
    /// Otherwise one request that a system cannot digest would keep all others from it.
    #[must_use]
    pub fn shows_health(&self) -> bool {
        match self {
            Self::Rejected { .. } | Self::Unusable { .. } | Self::Deferred { .. } => true,
            Self::Outage { class, .. } => !matches!(*class, "timeout" | "transport" | "server_error"),
        }
    }

    /// The pause that the other side asked of everybody: with 429 for our part, with 503 because it is not available
    /// (RFC 9110, section 10.2.3). With any other status it is about that one request.
    #[must_use]
    pub fn pause(&self) -> Option<TimeDelta> {
        match self {
            Self::Outage { class: "throttled" | "server_error", after, .. } => *after,
            _ => None,
        }
    }
}

/// Our own database, in the midst of a call: it is waited out, and nothing was sent for it.
impl From<sqlx::Error> for CallError {
    fn from(error: sqlx::Error) -> Self {
        let cause = format!("our database: {}", describe(&error));
        Self::Outage { class: "database", cause, after: None, indeterminate: false }
    }
}
