//! When each provider last sent a webhook about each market: by this, silence is seen.
//!
//! Kept in memory, so that a webhook costs no additional write; a periodic task exchanges it with `webhook_marks` every few seconds.
//! Only webhooks that found their opening count: their market is known, and a backfill that starts there misses none. A
//! crash loses seconds of it, which the overlap of a backfill covers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;

use crate::clock::Time;
use crate::db::webhook_marks::Mark;
use crate::telemetry::metrics;

/// The marks of all providers and markets, shared by the workers of this process.
#[derive(Clone, Default)]
pub struct WebhookActivity(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// By provider and market.
    marks: BTreeMap<(String, String), Last>,
    /// Whether this process has requested the backfills of its start.
    has_asked: bool,
}

#[derive(Clone, Copy, Default)]
struct Last {
    /// When the last webhook came.
    at: Option<Time>,
    /// When the first opening began to wait, where no webhook had come before.
    waits_since: Option<Time>,
    /// The database's value of `at`.
    stored: Option<Time>,
    /// Whether the database has a mark at all.
    is_stored: bool,
}

impl Last {
    fn is_unstored(&self) -> bool {
        self.stored < self.at || !self.is_stored
    }
}

impl WebhookActivity {
    /// A provider sent a webhook about an opening of this market.
    pub fn webhook(&self, provider: &str, market: &str, at: Time) {
        let mut inner = self.locked();
        let last = inner.marks.entry((provider.to_owned(), market.to_owned())).or_default();
        last.at = last.at.max(Some(at));
    }

    /// An opening of this market waits for a provider. Without an earlier mark, silence begins here.
    pub fn waits(&self, provider: &str, market: &str, at: Time) {
        let first = Last { waits_since: Some(at), ..Last::default() };
        self.locked().marks.entry((provider.to_owned(), market.to_owned())).or_insert(first);
    }

    /// This process has requested the backfills of its start.
    pub fn asked(&self) {
        self.locked().has_asked = true;
    }

    #[must_use]
    pub fn has_asked(&self) -> bool {
        self.locked().has_asked
    }

    /// The marks to be written. None before the backfills of the start are requested: the first webhook after a start would
    /// move the mark that says from when on they read.
    #[must_use]
    pub fn unstored(&self) -> Vec<Mark> {
        let inner = self.locked();
        let marks = inner.marks.iter().filter(|(_, last)| inner.has_asked && last.is_unstored());
        marks.map(|((provider, market), last)| mark(provider, market, last)).collect()
    }

    /// Takes over the database's marks, also those of other replicas. Marks that lie in the future were made by a clock that ran
    /// ahead: they are dropped, from memory too, so that the next webhook takes their place.
    pub fn learn(&self, marks: &[Mark], now: Time) {
        let mut inner = self.locked();
        inner.marks.retain(|_, last| last.at.max(last.waits_since) <= Some(now));
        for Mark { provider, market, last_received_at, waits_since } in marks {
            if (*last_received_at).max(*waits_since) > Some(now) {
                continue;
            }
            let last = inner.marks.entry((provider.clone(), market.clone())).or_default();
            last.at = last.at.max(*last_received_at);
            last.waits_since = waits_since.or(last.waits_since);
            last.stored = last.stored.max(*last_received_at);
            last.is_stored = true;
        }
    }

    /// The marks that this process knows, those of other replicas with them.
    #[must_use]
    pub fn marks(&self) -> Vec<Mark> {
        self.locked().marks.iter().map(|((provider, market), last)| mark(provider, market, last)).collect()
    }

    /// Sets the gauges as of now. A market without a webhook is as old as its first wait.
    pub fn show(&self, now: Time) {
        let inner = self.locked();
        for ((provider, market), last) in &inner.marks {
            if let Some(since) = last.at.or(last.waits_since) {
                metrics::last_webhook_age(provider, market, (now - since).max(TimeDelta::zero()));
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn mark(provider: &str, market: &str, last: &Last) -> Mark {
    let Last { at: last_received_at, waits_since, .. } = *last;
    Mark { provider: provider.to_owned(), market: market.to_owned(), last_received_at, waits_since }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Time {
        Time::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    fn mark(provider: &str, market: &str, at: Time) -> Mark {
        super::mark(provider, market, &Last { at: Some(at), ..Last::default() })
    }

    #[test]
    fn a_mark_is_written_once_for_each_time_it_moves_and_never_before_the_start_was_asked_for() {
        let activity = WebhookActivity::default();
        activity.webhook("bank", "BE", at(2));
        assert!(activity.unstored().is_empty());
        activity.asked();
        assert_eq!(activity.unstored(), [mark("bank", "BE", at(2))]);
        activity.learn(&[mark("bank", "BE", at(2))], at(10));
        activity.webhook("bank", "BE", at(1));
        assert!(activity.unstored().is_empty(), "neither again nor back");
        activity.webhook("bank", "BE", at(3));
        activity.learn(&[mark("bank", "NL", at(9)), mark("bank", "BE", at(2))], at(10));
        assert_eq!(activity.unstored(), [mark("bank", "BE", at(3))]);
        activity.learn(&[mark("bank", "BE", at(5))], at(10));
        assert!(activity.unstored().is_empty(), "another replica has seen more");
    }

    #[test]
    fn a_mark_in_the_future_gives_way_to_the_next_webhook() {
        let activity = WebhookActivity::default();
        activity.asked();
        activity.webhook("bank", "BE", at(500));
        activity.learn(&[mark("bank", "BE", at(500)), mark("bank", "NL", at(500))], at(10));
        activity.webhook("bank", "BE", at(11));
        assert_eq!(activity.unstored(), [mark("bank", "BE", at(11))]);
    }

    #[test]
    fn a_market_waits_from_its_first_opening_until_its_first_webhook() {
        let activity = WebhookActivity::default();
        activity.asked();
        let waiting = |at| super::mark("bank", "BE", &Last { waits_since: Some(at), ..Last::default() });
        activity.waits("bank", "BE", at(1));
        activity.waits("bank", "BE", at(2));
        assert_eq!(activity.unstored(), [waiting(at(1))]);
        activity.learn(&[waiting(at(1))], at(10));
        assert!(activity.unstored().is_empty(), "it is written once");
        activity.webhook("bank", "BE", at(3));
        activity.waits("bank", "BE", at(4));
        let both = Mark { last_received_at: Some(at(3)), ..waiting(at(1)) };
        assert_eq!(activity.unstored(), [both]);
    }
}
