//! How long to wait, and what to do then: numbers that decisions are made by.

use chrono::TimeDelta;

/// The waiting rules of one provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Time before the first poll, the second, …; the last one repeats. Never empty.
    pub poll_schedule: Vec<TimeDelta>,
    /// From the start of the wait (before it: of the opening) to the escalation.
    pub escalate_after: TimeDelta,
}

impl Policy {
    /// The time until the next poll when `polls` have been made.
    #[must_use]
    pub fn interval(&self, polls: i32) -> TimeDelta {
        let step = usize::try_from(polls).unwrap_or(0);
        let last = self.poll_schedule.last().copied().unwrap_or(self.escalate_after);
        self.poll_schedule.get(step).copied().unwrap_or(last)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { poll_schedule: vec![TimeDelta::minutes(30)], escalate_after: TimeDelta::hours(12) }
    }
}
