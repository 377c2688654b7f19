//! The breaker's promises (P16), as a table and as properties, and what the gate adds to them.

mod breaker;
mod gate;

use chrono::TimeDelta;

use super::breaker::Rules;
use crate::clock::Time;

const OPEN_FOR: TimeDelta = TimeDelta::seconds(30);
const LONGEST_PAUSE: TimeDelta = TimeDelta::minutes(15);

fn rules(failures: u32, probes: usize) -> Rules {
    Rules { failures, open_for: OPEN_FOR, probes, longest_pause: LONGEST_PAUSE }
}

fn start() -> Time {
    Time::UNIX_EPOCH + TimeDelta::days(20_000)
}
