//! The results of the run, and the limits that were not kept.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use account_opening::clock::Time;
use chrono::TimeDelta;
use tokio::time::Instant;
use world::{Endpoint, LedgerSnapshot};

use crate::DONE_WITHIN;
use crate::load::{Answer, Seen};
use crate::world::Left;

/// Acknowledgements, at p99.
const ACK_WITHIN: Duration = Duration::from_millis(100);
/// `BREAKER_OPEN_FOR` and `BREAKER_PROBES` of the default settings.
const OPEN_FOR: TimeDelta = TimeDelta::seconds(30);
const PROBES: i64 = 1;
/// How late a breaker may be seen to have opened.
const SEEN_LATE: TimeDelta = TimeDelta::seconds(1);

pub struct Times {
    pub began: Instant,
    pub hangs_from: (Instant, Time),
    pub back_from: (Instant, Time),
    /// After the bank was back.
    pub backlog_done: Duration,
    pub all_done: Duration,
}

pub struct Report {
    pub times: Times,
    pub seen: Seen,
    pub left: Left,
    pub ledger: LedgerSnapshot,
    pub pool_timeouts: usize,
}

/// Answers of one part of the run.
struct Part {
    name: &'static str,
    answers: usize,
    p50: Duration,
    p99: Duration,
    max: Duration,
}

impl Part {
    fn of(name: &'static str, answers: &[Answer], from: Instant, to: Option<Instant>) -> Self {
        let within = answers.iter().filter(|it| it.sent >= from && to.is_none_or(|to| it.sent < to));
        let mut took: Vec<Duration> = within.map(|it| it.took).collect();
        took.sort_unstable();
        let at = |share: usize| took.get((took.len() * share / 100).min(took.len().saturating_sub(1))).copied();
        let [p50, p99, max] = [50, 99, 100].map(|share| at(share).unwrap_or_default());
        Self { name, answers: took.len(), p50, p99, max }
    }
}

impl Report {
    fn parts(&self, answers: &[Answer]) -> [Part; 3] {
        let Times { began, hangs_from: (hangs, _), back_from: (back, _), .. } = self.times;
        [
            Part::of("before", answers, began, Some(hangs)),
            Part::of("during", answers, hangs, Some(back)),
            Part::of("after", answers, back, None),
        ]
    }

    /// When both breakers of the bank were first seen open.
    fn opened(&self) -> Option<Time> {
        let Times { hangs_from: (_, hangs), back_from: (_, back), .. } = self.times;
        let mut during = self.seen.breakers.iter().filter(|(at, _)| (hangs..back).contains(at));
        during.find(|(_, states)| states.iter().all(|it| it == "open")).map(|(at, _)| *at)
    }

    /// Calls that came to the bank from `from` until it was back.
    fn bank_calls(&self, from: Time) -> usize {
        let calls = self.ledger.openings.values().flat_map(|it| &it.log);
        let bank = calls.filter(|it| [Endpoint::Submit, Endpoint::Lookup].contains(&it.endpoint));
        bank.filter(|it| it.at >= from && it.at < self.times.back_from.1).count()
    }

    /// The most probes of both breakers since then.
    fn probes_since(&self, opened: Time) -> i64 {
        let open = self.times.back_from.1 - opened + SEEN_LATE;
        open.num_milliseconds() / OPEN_FOR.num_milliseconds() * PROBES * 2
    }

    /// The limits that were not kept.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let mut limit = |kept: bool, what: String| {
            if !kept {
                failures.push(what);
            }
        };
        for part in self.parts(&self.seen.webhooks) {
            limit(
                part.answers > 0 && part.p99 < ACK_WITHIN,
                format!("acks {} the outage: p99 {:?}", part.name, part.p99),
            );
        }
        for (what, ok, answers) in [("webhooks", 200, &self.seen.webhooks), ("openings", 202, &self.seen.openings)] {
            let (_, unavailable, other) = answered(ok, answers);
            limit(unavailable + other == 0, format!("{what} not taken: {}", unavailable + other));
        }
        limit(self.pool_timeouts == 0, format!("the pool was exhausted {} times", self.pool_timeouts));
        match self.opened() {
            None => limit(false, "the breakers did not open".to_owned()),
            Some(opened) => {
                let (calls, probes) = (self.bank_calls(opened), self.probes_since(opened));
                limit(i64::try_from(calls).is_ok_and(|it| it <= probes), format!("{calls} calls for {probes} probes"));
            }
        }
        let Left { attempts, dead, tickets, .. } = self.left;
        limit(attempts + dead + tickets == 0, format!("attempts {attempts}, dead {dead}, tickets {tickets}"));
        limit(self.times.all_done <= DONE_WITHIN, format!("done after {:?}", self.times.all_done));
        let twice = self.ledger.counts.double_effects;
        limit(twice == 0, format!("made twice: {twice}"));
        failures
    }
}

/// How many were taken, how many were answered 503, and the rest.
fn answered(ok: u16, answers: &[Answer]) -> (usize, usize, usize) {
    let count = |which: fn(u16, u16) -> bool| answers.iter().filter(|it| which(it.status, ok)).count();
    (count(|it, ok| it == ok), count(|it, _| it == 503), count(|it, ok| it != ok && it != 503))
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (what, answers) in [("webhook acks", &self.seen.webhooks), ("openings", &self.seen.openings)] {
            for Part { name, answers, p50, p99, max } in self.parts(answers) {
                let [p50, p99, max] = [p50, p99, max].map(|it| it.as_secs_f64() * 1e3);
                writeln!(f, "{what} {name}: {answers}, p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms")?;
            }
        }
        for (what, ok, answers) in [("webhooks", 200, &self.seen.webhooks), ("openings", 202, &self.seen.openings)] {
            let (taken, unavailable, other) = answered(ok, answers);
            writeln!(f, "{what}: {taken} answered {ok}, {unavailable} answered 503, {other} otherwise or not at all")?;
        }
        writeln!(f, "pool time-outs in the service's log: {}", self.pool_timeouts)?;
        let hangs = self.times.hangs_from.1;
        if let Some(opened) = self.opened() {
            let after = (opened - hangs).num_milliseconds();
            let (before, since) = (self.bank_calls(hangs) - self.bank_calls(opened), self.bank_calls(opened));
            writeln!(
                f,
                "both breakers of the bank open {after} ms after it began to hang; calls until then: {before}"
            )?;
            writeln!(
                f,
                "calls that reached the bank while open: {since}; probes configured: {}",
                self.probes_since(opened)
            )?;
        }
        let Left { attempts, dead, tickets, completed } = self.left;
        writeln!(f, "attempts used up: {attempts}; dead letters: {dead}; tickets: {tickets}; completed: {completed}")?;
        writeln!(f, "made twice at the other side: {}", self.ledger.counts.double_effects)?;
        let [backlog, all] = [self.times.backlog_done, self.times.all_done].map(|it| it.as_secs_f64());
        writeln!(
            f,
            "after the bank was back: what had been started by then done after {backlog:.1} s, all work after {all:.1} s"
        )?;
        match self.failures() {
            failures if failures.is_empty() => writeln!(f, "every limit was kept"),
            failures => writeln!(f, "limits not kept: {}", failures.join("; ")),
        }
    }
}
