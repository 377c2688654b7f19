//! A constant rate: how much is due now, independent of earlier results.

use std::time::Duration;

use tokio::time::Instant;

/// The maximum backlog to make up for, if there was nothing to send about.
const KEPT: Duration = Duration::from_secs(5);
/// The maximum excess to subtract from the following seconds.
const OVERDRAWN: Duration = Duration::from_millis(50);

/// Sums of fractions end a hair below the whole.
const ROUNDING: f64 = 1e-6;

/// The maximum speed of making up, as a multiple of the rate: a burst would be another load.
const CATCH_UP: f64 = 2.0;

/// A rate, and how far behind it we are.
pub struct Pace {
    rate: f64,
    counted: Instant,
    due: f64,
    /// How much of it may be sent now.
    now: f64,
}

impl Pace {
    pub fn new(per_second: f64, now: Instant) -> Self {
        Self { rate: per_second, counted: now, due: 0.0, now: 0.0 }
    }

    /// Counts the time until now.
    pub fn tick(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.counted).as_secs_f64();
        self.counted = now;
        self.due = (self.due + passed * self.rate).min(KEPT.as_secs_f64() * self.rate);
        self.now = self.now.clamp(0.0, 1.0) + passed * self.rate * CATCH_UP;
    }

    /// Whether one is due.
    pub fn is_due(&self) -> bool {
        self.due.min(self.now) > 1.0 - ROUNDING
    }

    /// Counts one that is sent, due or not.
    pub fn send(&mut self) {
        self.now -= 1.0;
        self.due = (self.due - 1.0).max(-OVERDRAWN.as_secs_f64() * self.rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(pace: &mut Pace) -> u32 {
        let mut sent = 0;
        while pace.is_due() {
            pace.send();
            sent += 1;
        }
        sent
    }

    #[test]
    fn the_rate_is_held_over_uneven_ticks_and_what_is_made_up_for_is_bounded() {
        let begun = Instant::now();
        let mut pace = Pace::new(200.0, begun);
        let mut total = 0;
        for millis in [5, 10, 11, 400, 405, 999, 1_000] {
            pace.tick(begun + Duration::from_millis(millis));
            total += sent(&mut pace);
        }
        assert!((199..=200).contains(&total), "{total}");
        pace.tick(begun + Duration::from_secs(4));
        pace.tick(begun + Duration::from_secs(5));
        assert!((400..=401).contains(&sent(&mut pace)), "twice as fast");
        pace.tick(begun + Duration::from_mins(1));
        assert_eq!(sent(&mut pace), 1_000);
        for _ in 0..100 {
            pace.send();
        }
        pace.tick(begun + Duration::from_secs(61));
        assert!((189..=190).contains(&sent(&mut pace)));
    }
}
