//! What stands before every call to another system: a bound on how many run at once, and a circuit breaker, one of each for
//! each system and operation.
//!
//! A call that is not let through was not made: it costs no attempt, and its work waits. A [`Gate`] is asked by the one
//! client (`outbound::Client`) for every request, so that no call can pass beside it; workers ask it first how many
//! calls it has room for, and claim no more. Gates live in the process: each replica learns for itself, and a crash forgets
//! all but what an operator decided, which stands in the database (`outbound::BreakerOverrides`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::CallError;
use super::breaker::{Breaker, Forced, Permit, Phase, Refusal, Rules};
use crate::clock::{Clock, Time};

/// How long work waits that found as many calls under way as may be.
const CROWDED: TimeDelta = TimeDelta::seconds(1);

/// Which calls a gate is for: a system, and what is asked of it.
pub type Key = (String, &'static str);

/// All gates of the process.
#[derive(Clone)]
pub struct Gates(Arc<Shared>);

struct Shared {
    rules: Rules,
    at_once: usize,
    clock: Clock,
    gates: Mutex<BTreeMap<Key, Gate>>,
    closed: Closed,
    /// Raised by each decision made here: what was read before it is not taken over.
    generation: Mutex<u64>,
}

/// What has closed and was not looked at yet; and whom to wake for it.
#[derive(Clone, Default)]
struct Closed {
    keys: Arc<Mutex<BTreeMap<Key, Closing>>>,
    wake: Arc<Notify>,
}

/// How a gate came to let calls through again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Closing {
    /// Since when it had been open, where that is known.
    pub away_since: Option<Time>,
    /// Whether an operator forced it closed: then all that waits for it is due, whatever it waits for.
    pub by_operator: bool,
}

/// Gates that let calls through again, to be looked after. Those that were not when this is dropped will be given again.
pub struct Closings {
    keys: BTreeMap<Key, Closing>,
    closed: Closed,
}

/// The way to one operation of one system.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    key: Key,
    at_once: usize,
    slots: Arc<Semaphore>,
    breaker: Mutex<Breaker>,
    clock: Clock,
    closed: Closed,
}

/// A call that is under way. Dropped before it ended, the call was given up, and counts as a failure.
struct InFlight<'a> {
    gate: &'a Gate,
    permit: Option<Permit>,
    _slot: OwnedSemaphorePermit,
}

impl Gates {
    /// None yet; each will have these rules and let at most `at_once` calls through at the same time.
    #[must_use]
    pub fn new(rules: Rules, at_once: usize, clock: Clock) -> Self {
        let shared = Shared {
            rules,
            at_once,
            clock,
            gates: Mutex::default(),
            closed: Closed::default(),
            generation: Mutex::default(),
        };
        Self(Arc::new(shared))
    }

    /// How many calls each lets through at the same time.
    #[must_use]
    pub fn at_once(&self) -> usize {
        self.0.at_once
    }

    /// The gate of an operation; the same one for the same names.
    #[must_use]
    pub fn gate(&self, system: &str, operation: &'static str) -> Gate {
        let Shared { rules, at_once, clock, gates, closed, .. } = &*self.0;
        let key = (system.to_owned(), operation);
        let make = || {
            let inner = Inner {
                key: key.clone(),
                at_once: *at_once,
                slots: Arc::new(Semaphore::new(*at_once)),
                breaker: Mutex::new(Breaker::new(*rules)),
                clock: clock.clone(),
                closed: closed.clone(),
            };
            let gate = Gate(Arc::new(inner));
            gate.show(Phase::Closed);
            gate
        };
        locked(gates).entry(key.clone()).or_insert_with(make).clone()
    }

    /// Every gate so far, by its names.
    #[must_use]
    pub fn all(&self) -> Vec<Gate> {
        locked(&self.0.gates).values().cloned().collect()
    }

    /// An operator has decided here, or no longer does. It is committed.
    pub fn decide(&self, gate: &Gate, forced: Option<Forced>) {
        let mut generation = locked(&self.0.generation);
        *generation += 1;
        gate.force(forced);
        if forced == Some(Forced::Closed) {
            // Work may wait that this process knows of no reason for: what it was told before a restart, or another replica was.
            gate.tell_closed(true);
        }
    }

    /// The number of decisions made here, to be asked before those of all replicas are read.
    #[must_use]
    pub fn generation(&self) -> u64 {
        *locked(&self.0.generation)
    }

    /// Takes over what was read, unless a decision was made here since `generation`: it may have been read before that one, and is
    /// read again soon. How many gates do something else than before.
    pub fn take_over(&self, generation: u64, read: impl Fn(&Gate) -> Option<Forced>) -> usize {
        let held = locked(&self.0.generation);
        if *held != generation {
            return 0;
        }
        let changed = |gate: &Gate| {
            let (before, forced) = (gate.forced(), read(gate));
            gate.force(forced);
            before != forced
        };
        self.all().iter().filter(|gate| changed(gate)).count()
    }

    /// Which gates have let calls through again since this was last asked: what waited for them is to become due.
    #[must_use]
    pub fn take_closed(&self) -> Closings {
        let keys = std::mem::take(&mut *locked(&self.0.closed.keys));
        Closings { keys, closed: self.0.closed.clone() }
    }

    /// Woken when a gate lets calls through again.
    #[must_use]
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.0.closed.wake)
    }
}

impl Gate {
    /// The system.
    #[must_use]
    pub fn system(&self) -> &str {
        &self.0.key.0
    }

    /// What is asked of it.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.key.1
    }

    /// The clock that it goes by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// How many calls would be let through now.
    #[must_use]
    pub fn capacity(&self) -> usize {
        let free = self.0.slots.available_permits();
        self.with(|breaker, now| breaker.capacity(now, free))
    }

    /// What its breaker does now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.with(Breaker::phase)
    }

    /// What an operator has decided.
    #[must_use]
    pub fn forced(&self) -> Option<Forced> {
        self.with(|breaker, _| breaker.forced())
    }

    /// How many calls are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.0.at_once - self.0.slots.available_permits()
    }

    /// How long to wait, where the breaker lets nothing through; a crowd is none of its business.
    #[must_use]
    pub fn refused_for(&self) -> Option<TimeDelta> {
        self.with(|breaker, now| {
            let mut asked = breaker.clone();
            asked.admit(now).err().map(|(_, until)| until - now)
        })
    }

    /// An operator decides, or no longer does.
    pub fn force(&self, forced: Option<Forced>) {
        if self.with(|breaker, now| breaker.force(forced, now)) {
            self.tell_closed(false);
        }
    }

    /// Makes a call, if it may be made.
    ///
    /// # Errors
    /// The call's, or [`CallError::Deferred`]: it was not made.
    pub async fn pass<T>(&self, call: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
        let mut in_flight = self.enter()?;
        let result = call.await;
        in_flight.end(result.as_ref().err());
        result
    }

    fn enter(&self) -> Result<InFlight<'_>, CallError> {
        let slot = Arc::clone(&self.0.slots).try_acquire_owned();
        let slot = slot.map_err(|_| CallError::Deferred { class: "crowded", after: CROWDED })?;
        let admitted = self.with(|breaker, now| breaker.admit(now).map_err(|(why, until)| (why, until - now)));
        match admitted {
            Ok(permit) => Ok(InFlight { gate: self, permit: Some(permit), _slot: slot }),
            Err((Refusal::Open, after)) => Err(CallError::Deferred { class: "breaker_open", after }),
            Err((Refusal::Probing, after)) => Err(CallError::Deferred { class: "probing", after }),
            Err((Refusal::Paused, after)) => Err(CallError::Deferred { class: "throttled", after }),
        }
    }

    fn with<T>(&self, what: impl FnOnce(&mut Breaker, Time) -> T) -> T {
        let now = self.0.clock.now();
        let mut breaker = locked(&self.0.breaker);
        let before = breaker.last_phase();
        let result = what(&mut breaker, now);
        let after = breaker.phase(now);
        drop(breaker);
        if before != after {
            let (system, operation) = (self.system(), self.operation());
            tracing::warn!(system, operation, from = %before, to = %after, "breaker");
        }
        self.show(after);
        result
    }

    fn show(&self, phase: Phase) {
        let value = match phase {
            Phase::Closed => 0.0,
            Phase::HalfOpen => 1.0,
            Phase::Open => 2.0,
        };
        let (provider, operation) = (self.system().to_owned(), self.operation());
        metrics::gauge!("account_opening_breaker_state", "provider" => provider, "operation" => operation).set(value);
    }

    fn tell_closed(&self, by_operator: bool) {
        let away_since = self.with(|breaker, _| breaker.take_away_since());
        let mut keys = locked(&self.0.closed.keys);
        // One that nobody has looked at yet has been open for longer.
        let closing = keys.entry(self.0.key.clone()).or_insert(Closing { away_since, by_operator });
        closing.by_operator |= by_operator;
        drop(keys);
        self.0.closed.wake.notify_one();
    }
}

impl Closings {
    /// Which.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        self.keys.keys().cloned().collect()
    }

    /// How one came to let calls through.
    #[must_use]
    pub fn of(&self, key: &Key) -> Closing {
        self.keys.get(key).copied().unwrap_or_default()
    }

    /// This one is looked after.
    pub fn done(&mut self, key: &Key) {
        self.keys.remove(key);
    }
}

impl Drop for Closings {
    fn drop(&mut self) {
        let mut closed = locked(&self.closed.keys);
        for (key, closing) in std::mem::take(&mut self.keys) {
            // It may have opened and closed once more meanwhile: the first time counts.
            let held = closed.entry(key).or_insert(closing);
            held.away_since = closing.away_since.or(held.away_since);
            held.by_operator |= closing.by_operator;
        }
    }
}

impl InFlight<'_> {
    fn end(&mut self, error: Option<&CallError>) {
        let Some(permit) = self.permit.take() else { return };
        let healthy = error.is_none_or(CallError::shows_health);
        let pause = error.and_then(CallError::pause);
        let closed = self.gate.with(|breaker, now| {
            if let Some(pause) = pause {
                breaker.pause(pause, now);
            }
            breaker.ended(permit, healthy, now)
        });
        if closed {
            self.gate.tell_closed(false);
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.gate.with(|breaker, now| breaker.ended(permit, false, now));
        }
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Gate").field(&self.0.key).finish()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
