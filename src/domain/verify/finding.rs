//! What can be wrong with a history, in words.

use std::fmt::{Display, Formatter, Result};

use uuid::Uuid;

/// Something that was done to a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whose.
    pub opening: Uuid,
    /// Where: the first row that it is about. 0: the opening as a whole.
    pub version: i64,
    /// What.
    pub flaw: Flaw,
}

/// What was done, as far as it can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The rows up to this version are not those that the chain was made over: the first was edited, or its hash, or it was
    /// put in the place of another.
    Edited {
        /// The last of them.
        to: i64,
    },
    /// The rows up to this version are gone, and others follow.
    Deleted {
        /// The last of them.
        to: i64,
    },
    /// The chain goes on without this row.
    Inserted,
    /// This row and another stand in each other's place.
    Swapped {
        /// The other.
        with: i64,
    },
    /// The rows up to this version, which the anchor knows of, are gone from the end.
    Truncated {
        /// The last of them.
        to: i64,
    },
    /// A step that the table of steps does not have, or that does not start where the one before ended; its hash is right.
    IllegalStep {
        /// From which state, in the words of the row.
        from: Option<String>,
        /// To which.
        to: String,
    },
    /// The history verifies, and the anchor says something else.
    AnchorDisagrees {
        /// Its column.
        about: &'static str,
    },
    /// There is a history and no anchor.
    NoAnchor,
    /// There is neither.
    Removed,
    /// The row that was the last when the heads were exported is gone.
    HeadGone,
    /// The row that was the last when the heads were exported has another hash.
    AnotherHead,
}

impl Flaw {
    /// A word for machines.
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
            Self::Edited { to } => write!(f, "is not what the chain was made over, up to version {to}"),
            Self::Deleted { to } => write!(f, "is gone, up to version {to}, and others follow"),
            Self::Inserted => f.write_str("does not belong there, the chain goes on without it"),
            Self::Swapped { with } => write!(f, "stands in the place of version {with}, and that one in its place"),
            Self::Truncated { to } => write!(f, "is gone, up to version {to}, which the anchor stands at"),
            Self::IllegalStep { from, to } => {
                write!(f, "is an illegal step, from {} to {to}", from.as_deref().unwrap_or("the start"))
            }
            Self::AnchorDisagrees { about } => write!(f, "is the last, and the anchor's {about} is another"),
            Self::NoAnchor => f.write_str("and what follows it have no anchor"),
            Self::Removed => f.write_str("has neither anchor nor history"),
            Self::HeadGone => f.write_str("was the last when the heads were exported, and is gone"),
            Self::AnotherHead => f.write_str("had another hash when the heads were exported"),
        }
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} version {}: {}: {}", self.opening, self.version, self.flaw.name(), self.flaw)
    }
}
