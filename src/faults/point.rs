//! Injected errors at the steps of a worker, of webhook ingest, and of a start over REST.
//!
//! Every step runs through [`FaultPoint::around`], so that a test can fail each one in turn: before it (nothing
//! happened), or after it (it happened, but its caller never learnt it).

use std::fmt;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    Claim,
    Call,
    /// Writes the result.
    Settle,
    Commit,
}

/// The side of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum When {
    /// Before it starts.
    Before,
    /// After it took effect.
    After,
}

/// A place where a fault can strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// A worker's name, a topic of the relay, `ingest` or `start`.
    pub worker: &'static str,
    pub step: Step,
    pub when: When,
}

type Strike = dyn Fn(Place) -> Option<sqlx::Error> + Send + Sync;

/// Decides at each place whether a fault strikes. The default never does; the service has no other.
#[derive(Clone, Default)]
pub struct FaultPoint(Option<Arc<Strike>>);

impl FaultPoint {
    /// Calls `strike` at each place; the returned error becomes the step's error.
    pub fn new(strike: impl Fn(Place) -> Option<sqlx::Error> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(strike)))
    }

    /// Runs a step.
    ///
    /// # Errors
    /// The step's own error, or the injected one.
    pub async fn around<T, E: From<sqlx::Error>>(
        &self,
        worker: &'static str,
        step: Step,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.reach(Place { worker, step, when: When::Before })?;
        let done = work.await?;
        self.reach(Place { worker, step, when: When::After })?;
        Ok(done)
    }

    fn reach(&self, place: Place) -> Result<(), sqlx::Error> {
        self.0.as_ref().and_then(|strike| strike(place)).map_or(Ok(()), Err)
    }
}

impl fmt::Debug for FaultPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "FaultPoint(set)" } else { "FaultPoint(none)" })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?} of {}", self.when, self.step, self.worker)
    }
}
