//! An error at one step.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use account_opening::faults::{FaultPoint, Place};

/// The error that a step fails with.
#[derive(Clone, Copy, Debug)]
pub enum Failure {
    /// The connection is gone: an outage.
    ConnectionLost,
    /// An error that would come again: our own mistake.
    Permanent,
}

impl Failure {
    fn error(self) -> sqlx::Error {
        match self {
            Self::ConnectionLost => sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()),
            Self::Permanent => sqlx::Error::RowNotFound,
        }
    }
}

#[derive(Default)]
struct State {
    /// How many steps are still to go well.
    left: Option<usize>,
    struck: Option<Place>,
    seen: BTreeSet<Place>,
}

#[derive(Clone)]
pub struct Fault {
    failure: Failure,
    state: Arc<Mutex<State>>,
}

impl Fault {
    pub fn new(failure: Failure) -> Self {
        Self { failure, state: Arc::default() }
    }

    /// To be built into a service.
    pub fn point(&self) -> FaultPoint {
        let this = self.clone();
        FaultPoint::new(move |place| this.reach(place))
    }

    fn reach(&self, place: Place) -> Option<sqlx::Error> {
        let mut state = self.state.lock().unwrap();
        let left = state.left?;
        state.seen.insert(place);
        state.left = left.checked_sub(1);
        (left == 0).then(|| {
            state.struck = Some(place);
            self.failure.error()
        })
    }

    /// Lets so many steps go well and then one fail.
    pub fn arm(&self, after: usize) {
        let mut state = self.state.lock().unwrap();
        (state.left, state.struck) = (Some(after), None);
    }

    /// From now on all goes well; what failed.
    pub fn disarm(&self) -> Option<Place> {
        let mut state = self.state.lock().unwrap();
        state.left = None;
        state.struck
    }

    /// Whether the error has struck.
    pub fn has_struck(&self) -> bool {
        self.state.lock().unwrap().struck.is_some()
    }

    /// Every place that was reached while it was armed.
    pub fn seen(&self) -> BTreeSet<Place> {
        self.state.lock().unwrap().seen.clone()
    }
}
