//! The waiting rules of a provider: poll schedule, jitter and deadline.

use chrono::TimeDelta;
use sha2::{Digest, Sha256};

use super::ids::OpeningId;
use super::opening::Opening;

/// The maximum jitter in percent, so that an interval never shrinks to nothing.
pub const MAX_JITTER: u8 = 50;

/// The waiting rules of one provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Delays before the first poll, the second, …; the last one repeats. Never empty.
    pub poll_schedule: Vec<TimeDelta>,
    /// Repeated polls come earlier by up to this many percent, so that timers that an outage aligned drift apart. Never
    /// later: a lost webhook is found within one interval.
    pub poll_jitter: u8,
    /// The time to the deadline, counted from the opening's start, anew from the start of the wait, and anew from the start
    /// of the card's issue.
    pub escalate_after: TimeDelta,
    /// The shortest and the longest wait between look-ups of an account that the provider owes.
    pub look_again: (TimeDelta, TimeDelta),
}

impl Policy {
    /// The time until the next poll of a waiting opening. The first poll has no jitter. Later jitter is derived from
    /// the opening's id and the poll's number, so the decision stays deterministic.
    #[must_use]
    pub fn wait_of(&self, opening: &Opening) -> TimeDelta {
        let polls = opening.polls.saturating_sub(opening.polls_before_wait);
        let interval = self.interval(polls);
        if polls <= 0 { interval } else { interval - self.earlier(interval, opening.id, polls) }
    }

    fn earlier(&self, interval: TimeDelta, id: OpeningId, polls: i32) -> TimeDelta {
        let digest = Sha256::new().chain_update(id.0.as_bytes()).chain_update(polls.to_be_bytes()).finalize();
        let drawn = digest.iter().take(4).fold(0_i64, |drawn, byte| (drawn << 8) | i64::from(*byte));
        let most = interval.num_milliseconds().saturating_mul(self.poll_jitter.min(MAX_JITTER).into()) / 100;
        TimeDelta::milliseconds(i64::try_from((i128::from(most) * i128::from(drawn)) >> 32).unwrap_or_default())
    }

    /// The wait before the next look-up of an account that the provider has owed for so long. It doubles with the time, so that
    /// no counter is needed.
    #[must_use]
    pub fn look_again_after(&self, owed_for: TimeDelta) -> TimeDelta {
        let (least, most) = self.look_again;
        owed_for.max(least).min(most)
    }

    /// The scheduled time until the next poll after `polls` polls.
    #[must_use]
    pub fn interval(&self, polls: i32) -> TimeDelta {
        let step = usize::try_from(polls).unwrap_or(0);
        let last = self.poll_schedule.last().copied().unwrap_or(self.escalate_after);
        self.poll_schedule.get(step).copied().unwrap_or(last)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            poll_schedule: vec![TimeDelta::minutes(30)],
            poll_jitter: 0,
            escalate_after: TimeDelta::hours(12),
            look_again: (TimeDelta::seconds(1), TimeDelta::minutes(15)),
        }
    }
}
