//! How much of what is refused may be written: a bucket of bytes, filled by the clock.
//!
//! The table is bounded in what it holds; without this, a flood would still turn it over as fast as the disk writes, and the
//! inbox's commits wait for the same disk. What finds the bucket empty is counted and let go.

use std::sync::{Mutex, PoisonError};

use crate::clock::Time;

/// Bytes a second, in the long run: a fraction of what a disk takes, and thousands of webhooks.
const A_SECOND: f64 = 8.0 * 1024.0 * 1024.0;
/// So many may come at once, however little the table holds.
const AT_ONCE: i64 = 64 * 1024 * 1024;

/// The bucket; full at the start.
pub(super) struct Rate {
    /// So much may come at once: at least as much as the table holds.
    most: f64,
    left: Mutex<(f64, Option<Time>)>,
}

impl Rate {
    pub fn new(most: i64) -> Self {
        let most = float(most.max(AT_ONCE));
        Self { most, left: Mutex::new((most, None)) }
    }

    /// Whether so many bytes may be written now.
    pub fn take(&self, bytes: i64, now: Time) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let (held, at) = *left;
        // A clock that was set back fills nothing.
        let passed = at.map_or(0.0, |at| (now - at).as_seconds_f64().max(0.0));
        let held = (held + passed * A_SECOND).min(self.most);
        let taken = held >= float(bytes);
        *left = (if taken { held - float(bytes) } else { held }, Some(now));
        taken
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a bound that is far below 2^52")]
const fn float(bytes: i64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn as_much_as_a_table_holds_may_come_at_once_and_then_so_much_a_second() {
        let mib = 1024 * 1024;
        let (rate, mut now) = (Rate::new(mib), Time::UNIX_EPOCH);
        assert!((0..64).all(|_| rate.take(mib, now)));
        assert!(!rate.take(1, now));
        now += TimeDelta::milliseconds(500);
        assert_eq!((0..64).filter(|_| rate.take(mib, now)).count(), 4);
        assert!(!rate.take(mib, now - TimeDelta::hours(1)), "a clock that was set back fills nothing");
        now += TimeDelta::days(1);
        assert_eq!((0..100).filter(|_| rate.take(mib, now)).count(), 64, "no more is saved up than is held");
    }
}
