//! Finds openings with very many messages. Their messages go to separate lanes of the inbox, so that they delay neither
//! other markets nor their own.
//!
//! The counts are in bounded memory: only the most frequent openings are kept. A count is never too high, and too low
//! only for an opening with a small share of very many messages, which are no burden. A crash clears the counts, and
//! replicas count separately; until an opening is known, its messages go to its market's lane.
//!
//! Measured with 100,000 facts of one opening: once they wait, the facts of its neighbours are decided within 0.6 s instead of
//! 11 s. While facts are decided as fast as they come, the lanes change nothing (docs/performance-log.md).

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use crate::clock::Time;
use crate::db::inbox::NewFact;

/// More messages than this within a minute or two count as very many: ten times an opening's normal total.
const MANY: u32 = 32;
const MAX_COUNTED: usize = 2_048;
/// The number of separate lanes.
const LANES: u64 = 16;

#[derive(Default)]
pub(super) struct Hot(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    of: HashMap<u64, u32>,
    halved_at: Option<Time>,
}

impl Hot {
    /// Counts a fact; returns the lane if its opening has very many.
    pub fn note(&self, fact: &NewFact, now: Time) -> Option<u64> {
        // Deterministic across processes and restarts, so that an opening keeps its lane.
        let mut hasher = DefaultHasher::new();
        match (&fact.provider_ref, fact.opening_id) {
            (Some(reference), _) => (&fact.provider, reference).hash(&mut hasher),
            (None, Some(opening)) => opening.hash(&mut hasher),
            (None, None) => return None,
        }
        let opening = hasher.finish();
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.cool(now);
        (counts.count(opening) > MANY).then_some(opening % LANES)
    }
}

impl Counts {
    /// Halves the counts for each passed minute. A clock set back changes nothing.
    fn cool(&mut self, now: Time) {
        let since = *self.halved_at.get_or_insert(now);
        let minutes = (now - since).num_minutes();
        if minutes > 0 {
            self.halved_at = Some(now);
            let times = u32::try_from(minutes).unwrap_or(u32::MAX);
            self.keep(|count| count.checked_shr(times).unwrap_or_default());
        }
    }

    fn keep(&mut self, what: impl Fn(u32) -> u32) {
        self.of.retain(|_, count| {
            *count = what(*count);
            *count > 0
        });
    }

    fn count(&mut self, opening: u64) -> u32 {
        if let Some(count) = self.of.get_mut(&opening) {
            *count = count.saturating_add(1);
            return *count;
        }
        if self.of.len() < MAX_COUNTED {
            self.of.insert(opening, 1);
            return 1;
        }
        // All counts decrease by one, and the new one is dropped. Every decrement was counted before, so the cost is
        // amortised.
        self.keep(|count| count - 1);
        0
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use uuid::Uuid;

    use super::*;
    use crate::db::inbox::Arrival;
    use crate::domain::Source;

    fn fact(reference: &str) -> NewFact {
        NewFact {
            id: Uuid::nil(),
            group: "webhook:bank".to_owned(),
            event_id: "msg".to_owned(),
            source: Source::Webhook,
            provider: "bank".to_owned(),
            part: 0,
            body: Vec::new(),
            digest: [0; 32],
            meaning: None,
            headers: "{}".to_owned(),
            opening_id: None,
            provider_ref: Some(reference.to_owned()),
            received_at: Time::UNIX_EPOCH,
            retry_from: Time::UNIX_EPOCH,
            arrival: Arrival::Pending,
            lane: None,
        }
    }

    fn note(hot: &Hot, reference: &str, times: u32, now: Time) -> Option<u64> {
        let fact = fact(reference);
        (0..times).map(|_| hot.note(&fact, now)).last().flatten()
    }

    #[test]
    fn an_opening_is_hot_from_very_many_messages_on_until_there_are_few() {
        let (hot, now) = (Hot::default(), Time::UNIX_EPOCH);
        assert_eq!(note(&hot, "aor_1", MANY, now), None);
        let lane = note(&hot, "aor_1", 1, now).expect("one more");
        assert!((0..16).contains(&lane));
        assert_eq!(note(&hot, "aor_2", 1, now), None, "another is not");
        assert_eq!(note(&Hot::default(), "aor_1", MANY + 1, now), Some(lane), "in every process the same lane");
        assert_eq!(note(&hot, "aor_1", 1, now + TimeDelta::minutes(1)), None, "half of them are long ago");
        assert_eq!(note(&hot, "aor_1", MANY / 2, now + TimeDelta::minutes(1)), Some(lane));
        assert_eq!(note(&hot, "aor_1", 1, now + TimeDelta::days(9_999)), None);
    }

    #[test]
    fn of_any_stream_few_openings_are_counted_and_the_hot_one_among_them() {
        let (hot, now) = (Hot::default(), Time::UNIX_EPOCH);
        let mut lanes = Vec::new();
        for n in 0..100_000 {
            assert_eq!(note(&hot, &format!("aor_{n}"), 1, now), None, "none of them is hot");
            if n % 20 == 0 {
                lanes.push(note(&hot, "the hot one", 1, now));
            }
            assert!(hot.0.lock().unwrap().of.len() <= MAX_COUNTED);
        }
        // One in twenty messages: far more than its share of the counts.
        assert!(lanes.iter().skip(100).all(Option::is_some));
    }
}
