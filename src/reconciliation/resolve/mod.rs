//! What follows from findings: facts, polls and cases. Nothing here writes to an opening.
//!
//! ```text
//! apply.rs    a batch of findings becomes mismatches, facts, polls and cases, in one commit
//! review.rs   open mismatches are compared again: settled by a step or file that agrees, due after their window
//! ```

mod apply;
mod review;

pub use self::apply::{Found, Writer};
pub use self::review::{Reviewed, Reviewer};

/// The name under which cases are closed that a later fact or file settles.
pub const RECONCILIATION: &str = "reconciliation";
