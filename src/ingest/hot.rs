//! Which openings very many messages come about at once: theirs go to lanes of the inbox apart, so that they delay nobody
//! else's, their own market's neither.
//!
//! Counted in memory, which is bounded whatever comes: of the openings that are named only those are kept that are named more
//! often than others. One is never counted too high, and too low only by its share of very many; then its messages are few
//! among them and no burden. A crash forgets the counts, and a replica knows its own alone: an opening's messages then go to
//! its market's lane until it is known again.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use crate::clock::Time;
use crate::db::inbox::NewFact;

/// More messages than these, within a minute or two, are very many: ten times what any opening's life takes.
const MANY: u32 = 32;
/// The most openings that are counted.
const MAX_COUNTED: usize = 2_048;
/// So many lanes share them.
const LANES: u64 = 16;

/// The counts.
#[derive(Default)]
pub(super) struct Hot(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    of: HashMap<u64, u32>,
    halved_at: Option<Time>,
}

impl Hot {
    /// Counts a fact. The lane that it goes to if there are very many about its opening.
    pub fn note(&self, fact: &NewFact, now: Time) -> Option<u64> {
        // The same in every process and at every start, so that an opening has one lane.
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
    /// Halves the counts, once for each minute that has passed. A clock that was set back cools nothing.
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
        // Everybody gives up one, this one its first: what is taken away was counted before, so each message pays for itself.
        self.keep(|count| count - 1);
        0
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;
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
            headers: json!({}),
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
    fn whatever_comes_few_are_counted_and_the_hot_one_among_them() {
        let (hot, now) = (Hot::default(), Time::UNIX_EPOCH);
        let mut lanes = Vec::new();
        for n in 0..100_000 {
            assert_eq!(note(&hot, &format!("aor_{n}"), 1, now), None, "none of them is hot");
            if n % 20 == 0 {
                lanes.push(note(&hot, "the hot one", 1, now));
            }
            assert!(hot.0.lock().unwrap().of.len() <= MAX_COUNTED);
        }
        // It is one in twenty: far more than its share of what is counted.
        assert!(lanes.iter().skip(100).all(Option::is_some));
    }
}
