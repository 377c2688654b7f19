//! Remembers where the next claim in a queue of timers continues: after the last one.
//!
//! A claim moves its timers to the back and leaves dead index entries at the front. Until a vacuum, every scan from the
//! front reads all of them, and while an old snapshot is open, their rows, too. So while a queue holds more than a
//! claim takes, the next claim continues after the last one. A scan from the front follows when a claim reached the
//! end, and every few seconds: it finds timers left behind by a failed commit or a slow clock.
//!
//! Measured at a million due, against claims that always begin at the front: 13,800 instead of 5,000 claims a second while an old
//! snapshot is open, as a backup holds it; no clear difference without (docs/performance-log.md).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::TimeDelta;
use uuid::Uuid;

use crate::clock::Time;

/// The maximum time between two scans from the front.
const ANEW: TimeDelta = TimeDelta::seconds(5);

/// A queue of timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Line {
    /// Timers that may not wait for capacity.
    Urgent,
    /// The polls of a provider.
    Polls(&'static str),
}

/// A position in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The time since when it is due, or urgent.
    pub at: Time,
    /// Orders timers of the same time.
    pub opening_id: Uuid,
}

const BEGINNING: Place = Place { at: Time::UNIX_EPOCH, opening_id: Uuid::nil() };

/// The positions of this process. Replicas share nothing, and a crash starts from the front.
#[derive(Clone, Debug, Default)]
pub struct ClaimCursor(Arc<Mutex<BTreeMap<Line, Front>>>);

#[derive(Clone, Copy, Debug)]
struct Front {
    place: Place,
    /// The time of the last scan from the front.
    began: Time,
}

impl ClaimCursor {
    /// The position after which a claim starts.
    pub(super) fn begin(&self, line: Line, now: Time) -> Place {
        let mut cursor = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match cursor.get(&line) {
            // After the clock was set back, start from the front.
            Some(front) if front.began <= now && now < front.began + ANEW => front.place,
            _ => {
                cursor.remove(&line);
                BEGINNING
            }
        }
    }

    /// Records the position that a claim reached. None: the end.
    pub(super) fn end(&self, line: Line, now: Time, place: Option<Place>) {
        let mut cursor = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match place {
            Some(place) => {
                let front = cursor.entry(line).or_insert(Front { place, began: now });
                front.place = front.place.max(place);
            }
            None => {
                cursor.remove(&line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time::UNIX_EPOCH + TimeDelta::seconds(1_000 + second)
    }

    fn place(second: i64) -> Place {
        Place { at: at(second), opening_id: Uuid::from_u128(1) }
    }

    #[test]
    fn a_look_goes_on_behind_the_last_one_until_there_is_no_more() {
        let (cursor, line) = (ClaimCursor::default(), Line::Polls("bank"));
        assert_eq!(cursor.begin(line, at(100)), BEGINNING);
        cursor.end(line, at(100), Some(place(7)));
        assert_eq!((cursor.begin(line, at(101)), cursor.begin(Line::Urgent, at(101))), (place(7), BEGINNING));
        // Concurrent claims end in any order.
        cursor.end(line, at(101), Some(place(9)));
        cursor.end(line, at(101), Some(place(8)));
        assert_eq!(cursor.begin(line, at(102)), place(9));
        cursor.end(line, at(102), None);
        assert_eq!(cursor.begin(line, at(102)), BEGINNING);
    }

    #[test]
    fn a_look_begins_anew_every_few_seconds_and_when_the_clock_is_set_back() {
        let (cursor, line) = (ClaimCursor::default(), Line::Urgent);
        for later in [ANEW, TimeDelta::microseconds(-1)] {
            cursor.end(line, at(100), Some(place(7)));
            cursor.end(line, at(103), Some(place(8)));
            assert_eq!(cursor.begin(line, at(100) + ANEW - TimeDelta::microseconds(1)), place(8));
            assert_eq!(cursor.begin(line, at(100) + later), BEGINNING);
        }
    }
}
