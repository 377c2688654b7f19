//! The consequences of findings: facts, polls and cases. Nothing here writes to an opening.
//!
//! ```text
//! apply.rs    a batch of findings becomes mismatches, facts, polls and cases, in one commit
//! review.rs   open mismatches are compared again: settled by a step or file that agrees, due after their window
//! ```

mod apply;
mod review;

use chrono::TimeDelta;

use crate::db::mismatches::{Mismatch, NewStep};

pub use self::apply::{Found, Writer};
pub use self::review::{Reviewed, Reviewer};

/// The name under which cases are closed that a later fact or file settles.
pub const RECONCILIATION: &str = "reconciliation";

/// How often a mismatch is looked at that a person decides: the opening may come to agree.
pub const SELDOM: TimeDelta = TimeDelta::minutes(15);

/// The step that brought a mismatch to where it stands.
pub(super) fn step(now: &Mismatch, from: Option<String>, reason: String) -> NewStep {
    NewStep {
        mismatch_id: now.id,
        from_state: from,
        to_state: now.state.clone(),
        class: now.class.clone(),
        by: RECONCILIATION.to_owned(),
        reason,
    }
}
