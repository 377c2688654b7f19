//! When each provider last sent a webhook about each market: by this, silence is seen.
//!
//! Kept in memory, so that a webhook costs no write more; the worker `marks` writes it down every few seconds. Only webhooks
//! that found their opening count: the market is known by then, and what a catch-up goes back to is never too late. A crash
//! forgets seconds of it, which the overlap of a catch-up covers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;

use crate::clock::Time;
use crate::db::webhook_marks::Mark;
use crate::telemetry::metrics;

/// What was heard.
#[derive(Clone, Default)]
pub struct Heard(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// By provider and market.
    marks: BTreeMap<(String, String), Last>,
    /// Whether this process has asked for what it missed before it started.
    has_asked: bool,
}

#[derive(Clone, Copy, Default)]
struct Last {
    /// When the last webhook came.
    at: Option<Time>,
    /// When the first opening began to wait, where no webhook had come before.
    waits_since: Option<Time>,
    /// What the database has of the first of these, and whether it has a mark at all.
    stored: Option<Time>,
    is_stored: bool,
}

impl Last {
    fn is_unstored(&self) -> bool {
        self.stored < self.at || !self.is_stored
    }
}

impl Heard {
    /// A webhook of a provider came, about an opening of this market.
    pub fn webhook(&self, provider: &str, market: &str, at: Time) {
        let mut inner = self.locked();
        let last = inner.marks.entry((provider.to_owned(), market.to_owned())).or_default();
        last.at = last.at.max(Some(at));
    }

    /// An opening of this market waits for a provider. Where nothing is known of the two, silence begins here.
    pub fn waits(&self, provider: &str, market: &str, at: Time) {
        let first = Last { waits_since: Some(at), ..Last::default() };
        self.locked().marks.entry((provider.to_owned(), market.to_owned())).or_insert(first);
    }

    /// This process has asked for what it missed.
    pub fn asked(&self) {
        self.locked().has_asked = true;
    }

    /// Whether it has.
    #[must_use]
    pub fn has_asked(&self) -> bool {
        self.locked().has_asked
    }

    /// What is to be written down. Nothing before this process has asked for what it missed: the first webhook after a start
    /// would move the mark that tells since when.
    #[must_use]
    pub fn unstored(&self) -> Vec<Mark> {
        let inner = self.locked();
        let marks = inner.marks.iter().filter(|(_, last)| inner.has_asked && last.is_unstored());
        marks.map(|((provider, market), last)| mark(provider, market, last)).collect()
    }

    /// What the database has, also of what other replicas heard. What lies in the future was heard by a clock that ran ahead:
    /// it is forgotten, here too, so that the next webhook takes its place.
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

    /// Sets the gauges as of now. A market of which no webhook has come is as old as its first wait.
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
        let heard = Heard::default();
        heard.webhook("bank", "BE", at(2));
        assert!(heard.unstored().is_empty());
        heard.asked();
        assert_eq!(heard.unstored(), [mark("bank", "BE", at(2))]);
        heard.learn(&[mark("bank", "BE", at(2))], at(10));
        heard.webhook("bank", "BE", at(1));
        assert!(heard.unstored().is_empty(), "neither again nor back");
        heard.webhook("bank", "BE", at(3));
        heard.learn(&[mark("bank", "NL", at(9)), mark("bank", "BE", at(2))], at(10));
        assert_eq!(heard.unstored(), [mark("bank", "BE", at(3))]);
        heard.learn(&[mark("bank", "BE", at(5))], at(10));
        assert!(heard.unstored().is_empty(), "another replica has heard more");
    }

    #[test]
    fn what_was_heard_in_the_future_gives_way_to_the_next_webhook() {
        let heard = Heard::default();
        heard.asked();
        heard.webhook("bank", "BE", at(500));
        heard.learn(&[mark("bank", "BE", at(500)), mark("bank", "NL", at(500))], at(10));
        heard.webhook("bank", "BE", at(11));
        assert_eq!(heard.unstored(), [mark("bank", "BE", at(11))]);
    }

    #[test]
    fn a_market_waits_from_its_first_opening_until_it_is_heard_of() {
        let heard = Heard::default();
        heard.asked();
        let waiting = |at| super::mark("bank", "BE", &Last { waits_since: Some(at), ..Last::default() });
        heard.waits("bank", "BE", at(1));
        heard.waits("bank", "BE", at(2));
        assert_eq!(heard.unstored(), [waiting(at(1))]);
        heard.learn(&[waiting(at(1))], at(10));
        assert!(heard.unstored().is_empty(), "it is written once");
        heard.webhook("bank", "BE", at(3));
        heard.waits("bank", "BE", at(4));
        let both = Mark { last_received_at: Some(at(3)), ..waiting(at(1)) };
        assert_eq!(heard.unstored(), [both]);
    }
}
