//! Retry rules: when to try again, and when to give up.

use chrono::TimeDelta;

use super::text::string_enum;
use crate::clock::Time;

string_enum!(
    /// The class of a failure, which decides the next step.
    Nature {
        /// No effect; may be repeated.
        Retryable = "retryable",
        /// No effect; the other side asked us to slow down.
        Throttled = "throttled",
        /// The effect is unknown: a repeat must not cause a second one.
        Indeterminate = "indeterminate",
        /// A final refusal: a repeat would get the same answer.
        Final = "final",
    }
);

/// The retry rules of failed work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The longest delay before the first repeat.
    pub base: TimeDelta,
    /// The longest delay before any repeat. Also caps the delay that the other side asks for, which may have been in
    /// milliseconds.
    pub cap: TimeDelta,
    /// The number of unusable answers and errors of our own after which work is dead.
    pub max_attempts: i32,
    /// How long to keep retrying during an outage of the other side.
    pub retry_for: TimeDelta,
}

/// The next step after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try again at this time.
    RetryAt(Time),
    /// Give up: an operator decides.
    Dead,
}

impl RetryPolicy {
    /// The delay before try number `tries + 1`, with full jitter: a random part of `min(cap, base × 2^tries)`. `jitter`
    /// is in `0.0..1.0`. (Exponential Backoff And Jitter, AWS Architecture Blog, 2015.)
    #[must_use]
    pub fn backoff(&self, tries: i32, jitter: f64) -> TimeDelta {
        let ceiling = self.ceiling(tries);
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "milliseconds of hours")]
        let millis = (ceiling.num_milliseconds() as f64 * jitter.clamp(0.0, 1.0)) as i64;
        TimeDelta::milliseconds(millis)
    }

    fn ceiling(&self, tries: i32) -> TimeDelta {
        let doublings = u32::try_from(tries).unwrap_or(0).min(40);
        let millis = self.base.num_milliseconds().saturating_mul(1_i64 << doublings);
        TimeDelta::milliseconds(millis.min(self.cap.num_milliseconds()))
    }

    /// After an outage (transport, 5xx, throttled, misconfiguration): retries until `RETRY_FOR` has passed since `since`,
    /// when the work was written or last redriven. It retries at least once, because work that a breaker deferred has not
    /// failed yet. `tries` counts earlier calls. No delay is shorter than `after`, which the other side asked for, or
    /// longer than the cap.
    #[must_use]
    pub fn after_outage(&self, since: Time, tries: i32, after: Option<TimeDelta>, now: Time, jitter: f64) -> Next {
        let wait = self.backoff(tries, jitter).max(after.unwrap_or_default().min(self.cap));
        if tries > 0 && now - since >= self.retry_for { Next::Dead } else { Next::RetryAt(now + wait) }
    }

    /// After the `failures`-th unusable answer or error of our own.
    #[must_use]
    pub fn after_failure(&self, failures: i32, now: Time, jitter: f64) -> Next {
        if failures >= self.max_attempts { Next::Dead } else { Next::RetryAt(now + self.backoff(failures, jitter)) }
    }

    /// When to try a parked fact again. The delay grows with the fact's age, so no counter is needed.
    #[must_use]
    pub fn parked_until(&self, received: Time, now: Time, jitter: f64) -> Time {
        let age = (now - received).clamp(self.base, self.cap);
        // Half of the delay is fixed: low jitter must not cause a tight loop.
        now + age / 2 + self.jittered(age / 2, jitter)
    }

    fn jittered(&self, ceiling: TimeDelta, jitter: f64) -> TimeDelta {
        let whole = Self { base: ceiling, ..self.clone() };
        whole.backoff(0, jitter)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            base: TimeDelta::seconds(1),
            cap: TimeDelta::minutes(15),
            max_attempts: 10,
            retry_for: TimeDelta::hours(24),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_cap_and_the_jitter_takes_a_part_of_it() {
        let policy = RetryPolicy::default();
        let ceilings: Vec<i64> = (0..12).map(|tries| policy.ceiling(tries).num_seconds()).collect();
        assert_eq!(ceilings, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        assert_eq!(policy.backoff(3, 0.0), TimeDelta::zero());
        assert_eq!(policy.backoff(3, 0.5), TimeDelta::seconds(4));
        assert_eq!(policy.backoff(i32::MAX, 1.0), TimeDelta::minutes(15));
        assert_eq!(policy.backoff(-1, 1.0), TimeDelta::seconds(1));
    }

    /// P15: an outage does not make work dead.
    #[test]
    fn an_outage_is_waited_out_for_a_day_while_unusable_answers_are_counted() {
        let policy = RetryPolicy::default();
        let created = Time::UNIX_EPOCH;
        let late = created + TimeDelta::hours(24) - TimeDelta::seconds(1);
        assert!(matches!(policy.after_outage(created, 500, None, late, 0.5), Next::RetryAt(_)));
        assert_eq!(policy.after_outage(created, 1, None, created + TimeDelta::hours(24), 0.5), Next::Dead);
        let held_until = created + TimeDelta::days(7);
        assert!(matches!(policy.after_outage(created, 0, None, held_until, 0.5), Next::RetryAt(_)), "the first call");
        let asked = Some(TimeDelta::seconds(90));
        assert_eq!(
            policy.after_outage(created, 0, asked, created, 0.0),
            Next::RetryAt(created + TimeDelta::seconds(90)),
        );
        let milliseconds = Some(TimeDelta::seconds(60_000));
        assert_eq!(
            policy.after_outage(created, 0, milliseconds, created, 0.0),
            Next::RetryAt(created + policy.cap),
            "F2"
        );
        assert!(matches!(policy.after_failure(9, created, 0.5), Next::RetryAt(_)));
        assert_eq!(policy.after_failure(10, created, 0.5), Next::Dead);
    }

    #[test]
    fn a_parked_fact_is_looked_at_less_and_less_often() {
        let policy = RetryPolicy::default();
        let received = Time::UNIX_EPOCH;
        let mut now = received;
        let mut looks = 0;
        while now < received + TimeDelta::hours(24) {
            let next = policy.parked_until(received, now, 0.5);
            assert!(next > now && next - now <= TimeDelta::minutes(15));
            now = next;
            looks += 1;
        }
        assert!((90..160).contains(&looks), "{looks}");
    }
}
