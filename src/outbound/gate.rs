//! The gate before one operation of one system: a bound on concurrent calls (bulkhead) and a circuit breaker.
//!
//! A system that hangs would bind every worker, and repeats would keep an overloaded system down. So the client asks the gate
//! of the operation before each request, and workers claim no more work than the gate has capacity for. A call without a permit
//! fails as [`CallError::Deferred`]: it was not made, costs no attempt, and its work waits. When calls pass again, the gate
//! keeps a [`Reopened`] until [`Recovery`](super::Recovery) has made the waiting work due.
//!
//! Gates live in the process, and each replica learns alone. A crash loses the state of the breakers and what had reopened; overrides
//! by operators are rows, and [`BreakerOverrides`](super::BreakerOverrides) reads them again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use super::CallError;
use super::breaker::{Breaker, Forced, Permit, Phase, Rules};
use crate::clock::{Clock, Time};
use crate::telemetry::metrics;

/// How long work waits that found no free permit.
const CROWDED: TimeDelta = TimeDelta::seconds(1);

/// All gates of the process.
#[derive(Clone)]
pub struct Gates(Arc<Shared>);

struct Shared {
    rules: Rules,
    at_once: usize,
    clock: Clock,
    gates: Mutex<BTreeMap<(String, &'static str), Gate>>,
    /// The permits that all operations of a system share, where it is limited as a whole.
    limits: BTreeMap<String, Arc<Semaphore>>,
    closed: Arc<Notify>,
}

#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    system: String,
    operation: &'static str,
    at_once: usize,
    permits: Semaphore,
    /// The permits that it shares with the system's other operations.
    shared: Option<Arc<Semaphore>>,
    state: Mutex<State>,
    clock: Clock,
    closed: Arc<Notify>,
}

struct State {
    breaker: Breaker,
    /// Set when calls pass again, until recovery takes it.
    reopened: Option<Reopened>,
    /// How many overrides were decided in this process.
    decisions: u64,
}

/// How calls came to pass again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reopened {
    /// Since when the system had not answered, where that is known.
    pub away_since: Option<Time>,
    /// An operator forced the breaker closed: all of its work becomes due, for any reason that it waits.
    pub by_operator: bool,
}

/// A call under way. Dropped before its end, the caller gave it up: that counts as a failure.
struct InFlight<'a> {
    gate: &'a Gate,
    permit: Option<Permit>,
    _slot: SemaphorePermit<'a>,
    _shared: Option<SemaphorePermit<'a>>,
}

impl Gates {
    /// Each gate gets these rules and `at_once` permits.
    #[must_use]
    pub fn new(rules: Rules, at_once: usize, clock: Clock) -> Self {
        Self::limited(rules, at_once, clock, [])
    }

    /// The same, with systems that take so many calls at once in all, beside `at_once` of each operation.
    #[must_use]
    pub fn limited(
        rules: Rules,
        at_once: usize,
        clock: Clock,
        limits: impl IntoIterator<Item = (&'static str, usize)>,
    ) -> Self {
        let limit = |(system, most): (&str, usize)| (system.to_owned(), Arc::new(Semaphore::new(most)));
        let limits = limits.into_iter().map(limit).collect();
        Self(Arc::new(Shared { rules, at_once, clock, gates: Mutex::default(), limits, closed: Arc::default() }))
    }

    #[must_use]
    pub fn at_once(&self) -> usize {
        self.0.at_once
    }

    /// The gate of an operation; the same gate for the same names.
    #[must_use]
    pub fn gate(&self, system: &str, operation: &'static str) -> Gate {
        let mut gates = locked(&self.0.gates);
        gates.entry((system.to_owned(), operation)).or_insert_with(|| self.make(system, operation)).clone()
    }

    fn make(&self, system: &str, operation: &'static str) -> Gate {
        let Shared { rules, at_once, clock, limits, closed, .. } = &*self.0;
        let inner = Inner {
            system: system.to_owned(),
            operation,
            at_once: *at_once,
            permits: Semaphore::new(*at_once),
            shared: limits.get(system).cloned(),
            state: Mutex::new(State { breaker: Breaker::new(*rules), reopened: None, decisions: 0 }),
            clock: clock.clone(),
            closed: Arc::clone(closed),
        };
        let gate = Gate(Arc::new(inner));
        gate.show(Phase::Closed);
        gate
    }

    /// Every gate so far, by its names.
    #[must_use]
    pub fn all(&self) -> Vec<Gate> {
        locked(&self.0.gates).values().cloned().collect()
    }

    /// Notified when calls of a gate pass again.
    #[must_use]
    pub fn closed(&self) -> Arc<Notify> {
        Arc::clone(&self.0.closed)
    }
}

impl Gate {
    #[must_use]
    pub fn system(&self) -> &str {
        &self.0.system
    }

    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Whether both are the gate of the same operation.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How many calls would be permitted now.
    #[must_use]
    pub fn capacity(&self) -> usize {
        let free = self.0.permits.available_permits();
        let shared = self.0.shared.as_ref().map_or(free, |it| it.available_permits());
        self.with(|state, now| state.breaker.capacity(now, free.min(shared)))
    }

    #[must_use]
    pub fn phase(&self) -> Phase {
        self.with(|state, now| state.breaker.phase(now))
    }

    #[must_use]
    pub fn forced(&self) -> Option<Forced> {
        self.with(|state, _| state.breaker.forced())
    }

    /// Since when the system has not answered, where that is known.
    #[must_use]
    pub fn away_since(&self) -> Option<Time> {
        self.with(|state, _| state.breaker.away_since())
    }

    #[must_use]
    pub fn under_way(&self) -> usize {
        self.0.at_once - self.0.permits.available_permits()
    }

    /// How long to wait, where the breaker refuses calls. A gate at capacity refuses none for this purpose.
    #[must_use]
    pub fn refused_for(&self) -> Option<TimeDelta> {
        self.with(|state, now| state.breaker.clone().admit(now).err().map(|(_, until)| until - now))
    }

    /// Applies an override that an operator decided in this process, once it is committed.
    pub fn decide(&self, forced: Option<Forced>) {
        self.with(|state, now| {
            state.decisions += 1;
            let by_operator = forced == Some(Forced::Closed);
            // Forced closed, also again: work may wait from before a restart, or because of another replica's breaker.
            if state.breaker.force(forced, now) || by_operator {
                self.close(state, by_operator);
            }
        });
    }

    #[must_use]
    pub fn decisions(&self) -> u64 {
        self.with(|state, _| state.decisions)
    }

    /// Applies an override that was read from the database, unless this process has decided another one since it counted
    /// `decisions`: the read may be older. Whether that changed the override.
    #[must_use]
    pub fn follow(&self, forced: Option<Forced>, decisions: u64) -> bool {
        self.with(|state, now| {
            if state.decisions != decisions || state.breaker.forced() == forced {
                return false;
            }
            if state.breaker.force(forced, now) {
                self.close(state, false);
            }
            true
        })
    }

    /// How calls came to pass again, if they did since this was last taken.
    #[must_use]
    pub fn take_reopened(&self) -> Option<Reopened> {
        self.with(|state, _| state.reopened.take())
    }

    /// Puts it back when not all of its work is due yet.
    pub fn put_back(&self, reopened: Reopened) {
        self.with(|state, _| state.add(reopened));
    }

    /// Makes a call, if it is permitted; else the error is [`CallError::Deferred`].
    pub async fn pass<T>(&self, call: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
        let mut in_flight = self.enter()?;
        let result = call.await;
        in_flight.end(result.as_ref().err());
        result
    }

    fn enter(&self) -> Result<InFlight<'_>, CallError> {
        let crowded = |_| CallError::Deferred { class: "crowded", after: CROWDED };
        let slot = self.0.permits.try_acquire().map_err(crowded)?;
        let shared = self.0.shared.as_ref().map(|it| it.try_acquire()).transpose().map_err(crowded)?;
        let permit = self.with(|state, now| {
            let refused = state.breaker.admit(now);
            refused.map_err(|(refusal, until)| CallError::Deferred { class: refusal.as_str(), after: until - now })
        })?;
        Ok(InFlight { gate: self, permit: Some(permit), _slot: slot, _shared: shared })
    }

    fn ended(&self, permit: Permit, healthy: bool, pause: Option<TimeDelta>) {
        self.with(|state, now| {
            if let Some(pause) = pause {
                state.breaker.pause(pause, now);
            }
            if state.breaker.ended(permit, healthy, now) {
                self.close(state, false);
            }
        });
    }

    fn close(&self, state: &mut State, by_operator: bool) {
        let away_since = state.breaker.take_away_since();
        state.add(Reopened { away_since, by_operator });
        self.0.closed.notify_one();
    }

    fn with<T>(&self, work: impl FnOnce(&mut State, Time) -> T) -> T {
        let now = self.0.clock.now();
        let mut state = locked(&self.0.state);
        let before = state.breaker.last_phase();
        let result = work(&mut state, now);
        let after = state.breaker.phase(now);
        drop(state);
        if before != after {
            let (system, operation) = (self.system(), self.operation());
            tracing::warn!(system, operation, from = %before, to = %after, "circuit breaker changed");
        }
        self.show(after);
        result
    }

    fn show(&self, phase: Phase) {
        let state = match phase {
            Phase::Closed => 0,
            Phase::HalfOpen => 1,
            Phase::Open => 2,
        };
        metrics::breaker_state(self.system(), self.operation(), state);
    }
}

impl State {
    /// The earliest outage counts where recovery has not taken the last reopening yet.
    fn add(&mut self, reopened: Reopened) {
        let held = self.reopened.get_or_insert(reopened);
        held.away_since = held.away_since.into_iter().chain(reopened.away_since).min();
        held.by_operator |= reopened.by_operator;
    }
}

impl InFlight<'_> {
    fn end(&mut self, error: Option<&CallError>) {
        if let Some(permit) = self.permit.take() {
            let healthy = error.is_none_or(CallError::shows_health);
            self.gate.ended(permit, healthy, error.and_then(CallError::pause));
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.gate.ended(permit, false, None);
        }
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gate({}/{})", self.system(), self.operation())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
