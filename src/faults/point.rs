//! Errors at the steps of a worker, of a webhook on its way in, and of a start over REST.
//!
//! Each takes its steps through [`FaultPoint::around`], so that a test can let each of them fail in turn: before
//! it (nothing happened), or after it (it happened, and whoever did it never learnt so).

use std::fmt;
use std::sync::Arc;

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Takes work that is due.
    Claim,
    /// Asks another system.
    Call,
    /// Writes what came of it.
    Settle,
    /// Makes it last.
    Commit,
}

/// On which side of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum When {
    /// It has not begun.
    Before,
    /// It has taken effect.
    After,
}

/// Where a fault may strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Who takes the step: a worker by its name, the relay by its topic, `ingest`, `start`.
    pub worker: &'static str,
    /// What it does.
    pub step: Step,
    /// Before or after.
    pub when: When,
}

type Strike = dyn Fn(Place) -> Option<sqlx::Error> + Send + Sync;

/// Decides at each place whether a fault strikes. The default never does, and is all that a service ever has.
#[derive(Clone, Default)]
pub struct FaultPoint(Option<Arc<Strike>>);

impl FaultPoint {
    /// Asks `strike` at each place; the error that it gives is the step's.
    pub fn new(strike: impl Fn(Place) -> Option<sqlx::Error> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(strike)))
    }

    /// Takes a step.
    ///
    /// # Errors
    /// The step's own, or the fault's.
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
