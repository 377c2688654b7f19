//! The kinds of damage that the verifier reports.

use std::fmt::{Display, Formatter, Result};

use uuid::Uuid;

/// A piece of damage to a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The opening that the history belongs to.
    pub opening: Uuid,
    /// The version of the first damaged row. 0: the opening as a whole.
    pub version: i64,
    /// The kind of damage.
    pub flaw: Flaw,
}

/// The kind of damage, as far as it can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The rows up to this version are not the chained ones: a row or its hash was edited, or a row was replaced.
    Edited {
        /// The last damaged version.
        to: i64,
    },
    /// The rows up to this version are missing, and later rows exist.
    Deleted {
        /// The last missing version.
        to: i64,
    },
    /// The chain continues without this row.
    Inserted,
    /// This row and another one were exchanged.
    Swapped {
        /// The version of the other row.
        with: i64,
    },
    /// The last rows, up to the anchor's version, are missing.
    Truncated {
        /// The last missing version.
        to: i64,
    },
    /// The transition is not allowed, or does not start where the previous row ended; its hash is right.
    IllegalStep {
        /// The old state, as the row spells it.
        from: Option<String>,
        /// The new state, as the row spells it.
        to: String,
    },
    /// The history verifies but the anchor differs from it.
    AnchorDisagrees {
        /// The anchor's column that differs.
        about: &'static str,
    },
    /// The history has no anchor.
    NoAnchor,
    /// Both history and anchor are missing.
    Removed,
    /// The row that was last in the exported heads is missing.
    HeadGone,
    /// The row that was last in the exported heads has another hash.
    AnotherHead,
}

impl Flaw {
    /// The stable name for programs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Edited { .. } => "edited",
            Self::Deleted { .. } => "deleted",
            Self::Inserted => "inserted",
            Self::Swapped { .. } => "swapped",
            Self::Truncated { .. } => "truncated",
            Self::IllegalStep { .. } => "illegal_step",
            Self::AnchorDisagrees { .. } => "anchor_disagrees",
            Self::NoAnchor => "no_anchor",
            Self::Removed => "removed",
            Self::HeadGone => "head_gone",
            Self::AnotherHead => "another_head",
        }
    }
}

impl Display for Flaw {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Edited { to } => write!(f, "does not match the chain, up to version {to}"),
            Self::Deleted { to } => write!(f, "is missing, up to version {to}, and later rows exist"),
            Self::Inserted => f.write_str("was inserted; the chain continues without it"),
            Self::Swapped { with } => write!(f, "was exchanged with version {with}"),
            Self::Truncated { to } => write!(f, "is missing, up to version {to}, which the anchor has reached"),
            Self::IllegalStep { from, to } => {
                write!(f, "is an illegal transition, from {} to {to}", from.as_deref().unwrap_or("the start"))
            }
            Self::AnchorDisagrees { about } => write!(f, "is the last row, but the anchor has another {about}"),
            Self::NoAnchor => f.write_str("and the rows after it have no anchor"),
            Self::Removed => f.write_str("has neither anchor nor history"),
            Self::HeadGone => f.write_str("was the last row in the exported heads and is missing"),
            Self::AnotherHead => f.write_str("had another hash in the exported heads"),
        }
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} version {}: {}: {}", self.opening, self.version, self.flaw.name(), self.flaw)
    }
}
