//! The clock as a value that is passed in: a test moves it through twelve hours in milliseconds.
//!
//! Times are truncated to microseconds, the resolution of Postgres' `timestamptz`: a time read from the database equals
//! the time written.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

/// A point in time, UTC, in whole microseconds.
pub type Time = DateTime<Utc>;

/// A source of the current time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    /// The machine's clock plus an offset.
    System(TimeDelta),
    /// Microseconds since the epoch, moved by tests.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    #[must_use]
    pub fn system() -> Self {
        Self::wrong_by(TimeDelta::zero())
    }

    /// The machine's clock plus `offset`, for fault tests.
    #[must_use]
    pub const fn wrong_by(offset: TimeDelta) -> Self {
        Self(Source::System(offset))
    }

    /// A clock that stands still until [`Clock::advance`].
    #[must_use]
    pub fn manual(start: Time) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(start.timestamp_micros()))))
    }

    /// The current time in whole microseconds.
    #[must_use]
    pub fn now(&self) -> Time {
        match &self.0 {
            Source::System(offset) => {
                #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
                let now = Utc::now() + *offset;
                now.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(now)
            }
            Source::Manual(micros) => {
                DateTime::from_timestamp_micros(micros.load(Ordering::SeqCst)).unwrap_or(DateTime::UNIX_EPOCH)
            }
        }
    }

    /// Moves a manual clock forward; does nothing on the machine's clock.
    pub fn advance(&self, by: TimeDelta) {
        if let Source::Manual(micros) = &self.0 {
            micros.fetch_add(by.num_microseconds().unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::days(20_000));
        let before = clock.now();
        assert_eq!(clock.now(), before);
        clock.advance(TimeDelta::hours(12));
        assert_eq!(clock.now() - before, TimeDelta::hours(12));
    }
}
