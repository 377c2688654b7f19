//! Clock, ids and randomness of the shell, passed as values.
//!
//! Nothing else in the service reads the system's time or randomness; `clippy.toml` forbids it.

use std::sync::Arc;

use chrono::TimeDelta;
use uuid::{ContextV7, Timestamp, Uuid};

pub use ::clock::{Clock, Time};

/// The maximum difference between the clock of a ready replica and the database's. Two replicas may differ by twice as
/// much, so times written by another replica may lie in the future.
pub const MAX_SKEW: TimeDelta = TimeDelta::seconds(5);

/// Makes ids and jitter. Ids are `UUIDv7`: they sort by creation time and, within one process, by creation order, even
/// within one microsecond.
#[derive(Clone, Debug)]
pub struct Ids {
    clock: Clock,
    order: Arc<std::sync::Mutex<ContextV7>>,
}

impl Ids {
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, order: Arc::new(std::sync::Mutex::new(ContextV7::new().with_additional_precision())) }
    }

    #[must_use]
    pub fn next(&self) -> Uuid {
        let now = self.clock.now();
        let order = self.order.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
        Uuid::new_v7(Timestamp::from_unix(&*order, seconds, now.timestamp_subsec_nanos()))
    }

    /// A random number in `0.0..1.0`, for retry jitter.
    #[must_use]
    pub fn jitter(&self) -> f64 {
        #[expect(clippy::disallowed_methods, reason = "the one place that draws randomness for the workers")]
        rand::random::<f64>()
    }

    /// 32 random bytes that no other process can guess, for a session's cookie.
    #[must_use]
    pub fn secret(&self) -> [u8; 32] {
        #[expect(clippy::disallowed_methods, reason = "the one place that draws secrets")]
        rand::random()
    }
}

/// The largest id that could have been made within the millisecond of `time`.
#[must_use]
pub fn last_id_of(time: Time) -> Uuid {
    let millis = u128::try_from(time.timestamp_millis()).unwrap_or_default();
    Uuid::from_u128((millis << 80) | (u128::MAX >> 48))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn ids_sort_in_the_order_they_were_made() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::days(20_000));
        let ids = Ids::new(clock);
        let made: Vec<Uuid> = (0..10_000).map(|_| ids.next()).collect();
        let mut sorted = made.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(made, sorted);
    }

    #[test]
    fn the_last_id_of_a_time_is_not_below_those_that_are_made_then_and_below_all_later_ones() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::microseconds(20_000_000_000_999));
        let ids = Ids::new(clock.clone());
        let (now, last) = (ids.next(), last_id_of(clock.now()));
        clock.advance(TimeDelta::microseconds(1));
        assert!(now <= last && last < ids.next());
        assert_eq!(last_id_of(DateTime::UNIX_EPOCH - TimeDelta::days(1)), last_id_of(DateTime::UNIX_EPOCH));
    }
}
