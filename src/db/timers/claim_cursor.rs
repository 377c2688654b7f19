//! Where each look at a line of timers goes on: behind what the last one took.
//!
//! A claim moves its timers to the back, and what it leaves in the index is dead: until a vacuum has been there, every look from
//! the beginning reads over all of it, and while an old snapshot is open, over the rows too. So while there is more in a line
//! than a look takes, the next one goes on behind it. One from the beginning comes as soon as a look took all there was,
//! and every few seconds in any case: it finds what was left behind, by a claim whose commit failed or a clock that runs
//! late.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::TimeDelta;
use uuid::Uuid;

use crate::clock::Time;

/// The longest that looks go on without one from the beginning.
const ANEW: TimeDelta = TimeDelta::seconds(5);

/// Timers that are claimed in one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Line {
    /// What cannot wait for room.
    Urgent,
    /// The polls of a provider.
    Polls(&'static str),
}

/// A place in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Since when it is due, or cannot wait.
    pub at: Time,
    /// Tells those of the same time apart.
    pub opening_id: Uuid,
}

const BEGINNING: Place = Place { at: Time::UNIX_EPOCH, opening_id: Uuid::nil() };

/// How far the looks of this process have come. Replicas share nothing, and a crash begins anew.
#[derive(Clone, Debug, Default)]
pub struct ClaimCursor(Arc<Mutex<BTreeMap<Line, Front>>>);

#[derive(Clone, Copy, Debug)]
struct Front {
    place: Place,
    /// When the line was last read from its beginning.
    began: Time,
}

impl ClaimCursor {
    /// Behind which place a look begins.
    pub(super) fn begin(&self, line: Line, now: Time) -> Place {
        let mut cursor = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match cursor.get(&line) {
            // A clock that was set back begins anew.
            Some(front) if front.began <= now && now < front.began + ANEW => front.place,
            _ => {
                cursor.remove(&line);
                BEGINNING
            }
        }
    }

    /// How far it came. None: to the end.
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
        // Two looks at once end in any order.
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
