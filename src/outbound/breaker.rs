//! The circuit breaker of one operation (Nygard, Release It!, 2nd edition, chapter 5).
//!
//! Calls to a system that is down cost time and keep it down. Closed, the breaker counts failures in a row; at the threshold it
//! opens and refuses all calls for a while. Then, half-open, it permits a few probes: the first answer closes it, the first
//! failure opens it again. A call from before the last change of state says nothing about the time since, so its end is ignored.
//!
//! Pure, driven by the clock of its callers. A crash begins with a closed breaker.

use chrono::TimeDelta;

use crate::clock::Time;
use crate::domain::text::string_enum;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// So many failures in a row open it.
    pub failures: u32,
    /// How long it refuses all calls.
    pub open_for: TimeDelta,
    /// How many calls at once it permits after that.
    pub probes: usize,
    /// The longest pause that the other system may ask for.
    pub longest_pause: TimeDelta,
}

string_enum!(
    /// Which calls the breaker permits.
    Phase {
        Closed = "closed",
        /// A few, to learn whether the other system is back.
        HalfOpen = "half_open",
        Open = "open",
    }
);

string_enum!(
    /// An operator's override; it counts for more than the calls.
    Forced {
        /// Refuse all calls.
        Open = "open",
        /// Permit all calls.
        Closed = "closed",
    }
);

string_enum!(
    /// Why a call is refused.
    Refusal {
        /// The breaker is open.
        Open = "breaker_open",
        /// All probes are under way.
        Probing = "probing",
        /// The other system asked for a pause.
        Paused = "throttled",
    }
);

/// Permits one call. It carries the breaker's generation, so that the end of an older call changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    generation: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Time },
    HalfOpen { under_way: usize },
}

#[derive(Clone, Debug)]
pub struct Breaker {
    rules: Rules,
    state: State,
    /// Raised with each change of state: a permit of an older generation is known by it.
    generation: u64,
    paused_until: Option<Time>,
    forced: Option<Forced>,
    /// Since when the other system has not answered.
    away_since: Option<Time>,
}

impl Breaker {
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

    /// Permits a call, or says why not and when to ask again.
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

    /// How many calls it would permit now, at most `most`.
    #[must_use]
    pub fn capacity(&mut self, now: Time, most: usize) -> usize {
        self.turn(now);
        match (self.refusal(now), self.forced, self.state) {
            (Some(_), ..) => 0,
            (None, None, State::HalfOpen { under_way }) => self.rules.probes.saturating_sub(under_way).min(most),
            _ => most,
        }
    }

    /// Learns how a call ended; healthy: the other system answered. Whether that closed the breaker. Under an override it learns
    /// nothing.
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

    /// The other system asked for a pause of all calls.
    pub fn pause(&mut self, asked: TimeDelta, now: Time) {
        self.turn(now);
        let until = now + asked.clamp(TimeDelta::zero(), self.rules.longest_pause);
        self.paused_until = Some(self.paused_until.map_or(until, |held| held.max(until)));
    }

    /// Sets or lifts an override; without one it begins anew, closed. Whether calls that were refused pass now.
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

    #[must_use]
    pub fn phase(&mut self, now: Time) -> Phase {
        self.turn(now);
        self.last_phase()
    }

    /// Its phase when it was last asked.
    #[must_use]
    pub const fn last_phase(&self) -> Phase {
        match (self.forced, self.state) {
            (Some(Forced::Open), _) | (None, State::Open { .. }) => Phase::Open,
            (Some(Forced::Closed), _) | (None, State::Closed { .. }) => Phase::Closed,
            (None, State::HalfOpen { .. }) => Phase::HalfOpen,
        }
    }

    /// Since when the other system had not answered; forgotten once taken, after the breaker closed.
    pub const fn take_away_since(&mut self) -> Option<Time> {
        self.away_since.take()
    }

    /// Since when the other system has not answered.
    #[must_use]
    pub const fn away_since(&self) -> Option<Time> {
        self.away_since
    }

    #[must_use]
    pub const fn forced(&self) -> Option<Forced> {
        self.forced
    }

    /// Makes an open breaker half-open when its time has come, and ends a pause. A time further away than the rules allow was
    /// set before the clock was set back; it counts as come, or calls would wait for as long as the clock was wrong.
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
            // The probes decide: success closes the breaker, and recovery makes the refused work due; failure opens it for this
            // long again.
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
