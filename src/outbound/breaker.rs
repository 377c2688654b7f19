//! The circuit breaker: which calls are let through, judged by how the last ones ended. Pure, and driven by the clock that
//! its callers bring.
//!
//! Closed, it counts failures in a row; at the threshold it opens and lets nothing through for a while; then, half-open, it
//! lets a few probes through, of which the first that is answered closes it and the first that is not opens it again. Calls
//! that were let through before the last change say nothing about the time since, so their ends are not heard.
//! (Nygard, Release It!, 2nd edition, chapter 5.)

use chrono::TimeDelta;

use crate::clock::Time;
use crate::domain::text::words;

/// When it opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// So many failures in a row open it.
    pub failures: u32,
    /// How long it lets nothing through.
    pub open_for: TimeDelta,
    /// How many calls at once it lets through after that.
    pub probes: usize,
    /// The longest pause that the other side may ask of all calls.
    pub longest_pause: TimeDelta,
}

words!(
    /// What it does with calls.
    Phase {
        /// Lets them through.
        Closed = "closed",
        /// Lets a few through, to learn whether the other side is back.
        HalfOpen = "half_open",
        /// Lets none through.
        Open = "open",
    }
);

words!(
    /// What an operator has made it do, whatever the calls say.
    Forced {
        /// Let nothing through.
        Open = "open",
        /// Let everything through.
        Closed = "closed",
    }
);

/// Permits one call. It carries the breaker's generation, so that the end of an older call changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    generation: u64,
}

/// Why a call is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The breaker is open.
    Open,
    /// As many probes as may be are under way.
    Probing,
    /// The other side asked for a pause.
    Paused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Time },
    HalfOpen { under_way: usize },
}

/// One breaker.
#[derive(Clone, Debug)]
pub struct Breaker {
    rules: Rules,
    state: State,
    /// Raised with each change of state, so that a permit from before it is known.
    generation: u64,
    paused_until: Option<Time>,
    forced: Option<Forced>,
    /// Since when the other side has not been what it should be.
    away_since: Option<Time>,
}

impl Breaker {
    /// A closed one.
    #[must_use]
    pub const fn new(rules: Rules) -> Self {
        Self {
            rules,
            state: State::Closed { failures: 0 },
            generation: 0,
            paused_until: None,
            forced: None,
            away_since: None,
        }
    }

    /// Lets a call through, or says why not and when to ask again.
    ///
    /// # Errors
    /// The refusal, and when it may be otherwise.
    pub fn admit(&mut self, now: Time) -> Result<Permit, (Refusal, Time)> {
        self.turn(now);
        if let Some(refusal) = self.refusal(now) {
            return Err(refusal);
        }
        if let State::HalfOpen { under_way } = &mut self.state {
            *under_way += 1;
        }
        Ok(Permit { generation: self.generation })
    }

    /// How many calls would be let through now, at most `most`.
    #[must_use]
    pub fn capacity(&mut self, now: Time, most: usize) -> usize {
        self.turn(now);
        match (self.refusal(now), self.forced, self.state) {
            (Some(_), ..) => 0,
            (None, None, State::HalfOpen { under_way }) => self.rules.probes.saturating_sub(under_way).min(most),
            _ => most,
        }
    }

    /// How a call ended: with any answer at all, or without one that shows that the other side works. Whether that closed
    /// the breaker. While an operator has decided, nothing is learnt: there is nothing to decide.
    pub fn ended(&mut self, permit: Permit, healthy: bool, now: Time) -> bool {
        if permit.generation != self.generation || self.forced.is_some() {
            return false;
        }
        match (self.state, healthy) {
            (State::Closed { .. }, true) => self.state = State::Closed { failures: 0 },
            (State::Closed { failures }, false) if failures + 1 < self.rules.failures => {
                self.state = State::Closed { failures: failures + 1 };
            }
            (State::HalfOpen { .. }, true) => {
                self.change(State::Closed { failures: 0 });
                return true;
            }
            (State::Closed { .. } | State::HalfOpen { .. }, false) => {
                self.away_since.get_or_insert(now);
                self.change(State::Open { until: now + self.rules.open_for });
            }
            (State::Open { .. }, _) => {}
        }
        false
    }

    /// The other side asked for a pause of all calls.
    pub fn pause(&mut self, asked: TimeDelta, now: Time) {
        self.turn(now);
        let until = now + asked.clamp(TimeDelta::zero(), self.rules.longest_pause);
        self.paused_until = Some(self.paused_until.map_or(until, |held| held.max(until)));
    }

    /// An operator decides, or no longer does: then it begins anew, closed. Whether that lets calls through again.
    pub fn force(&mut self, forced: Option<Forced>, now: Time) -> bool {
        if self.forced == forced {
            return false;
        }
        let held = self.forced == Some(Forced::Open) || !matches!(self.state, State::Closed { .. });
        let held = held || self.paused_until.is_some();
        if forced == Some(Forced::Open) {
            self.away_since.get_or_insert(now);
        }
        self.forced = forced;
        self.paused_until = None;
        self.change(State::Closed { failures: 0 });
        held && forced != Some(Forced::Open)
    }

    /// What it does now.
    #[must_use]
    pub fn phase(&mut self, now: Time) -> Phase {
        self.turn(now);
        self.last_phase()
    }

    /// What it did when it was last asked.
    #[must_use]
    pub const fn last_phase(&self) -> Phase {
        match (self.forced, self.state) {
            (Some(Forced::Open), _) | (None, State::Open { .. }) => Phase::Open,
            (Some(Forced::Closed), _) | (None, State::Closed { .. }) => Phase::Closed,
            (None, State::HalfOpen { .. }) => Phase::HalfOpen,
        }
    }

    /// Since when it has been open, but for its probes; asked when it has closed, it forgets.
    pub const fn take_away_since(&mut self) -> Option<Time> {
        self.away_since.take()
    }

    /// What an operator has decided.
    #[must_use]
    pub const fn forced(&self) -> Option<Forced> {
        self.forced
    }

    /// When the time has come, an open one becomes half-open. A time that is further away than it ever is was set by a clock
    /// that has been set back since: it has come too, or calls would be held for as long as the clock was wrong.
    fn turn(&mut self, now: Time) {
        let Rules { open_for, longest_pause, .. } = self.rules;
        if matches!(self.state, State::Open { until } if until <= now || until - now > open_for) {
            self.change(State::HalfOpen { under_way: 0 });
        }
        self.paused_until = self.paused_until.filter(|until| now < *until && *until - now <= longest_pause);
    }

    fn refusal(&self, now: Time) -> Option<(Refusal, Time)> {
        match (self.forced, self.state) {
            (Some(Forced::Closed), _) => return None,
            (Some(Forced::Open), _) => return Some((Refusal::Open, now + self.rules.open_for)),
            (None, State::Open { until }) => return Some((Refusal::Open, until)),
            // The probes under way will tell, and whoever waits is told when they have closed it. If they do not, it will be
            // open for so long again.
            (None, State::HalfOpen { under_way }) if under_way >= self.rules.probes => {
                return Some((Refusal::Probing, now + self.rules.open_for));
            }
            (None, State::HalfOpen { .. } | State::Closed { .. }) => {}
        }
        self.paused_until.map(|until| (Refusal::Paused, until))
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }
}
