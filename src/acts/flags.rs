//! The rules of the flag as this process knows them. A start reads them again when they are older than a second, so that a change
//! holds on every replica within two.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;
use sqlx::PgConnection;

use crate::clock::Time;
use crate::db::feature_flags;
use crate::domain::flag::{ASYNC_ACCOUNT_OPENING, Rules};

/// How long rules are used without another read.
const FRESH: TimeDelta = TimeDelta::seconds(1);

#[derive(Clone, Debug, Default)]
pub struct Flags(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    rules: Option<(Time, Arc<Rules>)>,
    /// Raised by each change made here: rules that were read before it are not kept.
    generation: u64,
}

impl Flags {
    /// The rules, at most a second old.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn rules(&self, connection: &mut PgConnection, now: Time) -> sqlx::Result<Arc<Rules>> {
        let generation = {
            let known = self.known();
            if let Some((read_at, rules)) = &known.rules
                // A clock that was set back makes nothing fresh.
                && (TimeDelta::zero()..FRESH).contains(&(now - *read_at))
            {
                return Ok(Arc::clone(rules));
            }
            known.generation
        };
        let rules = Arc::new(feature_flags::rules(connection, ASYNC_ACCOUNT_OPENING).await?);
        let mut known = self.known();
        if known.generation == generation {
            known.rules = Some((now, Arc::clone(&rules)));
        }
        Ok(rules)
    }

    /// Drops the rules, after a change was made here.
    pub fn forget(&self) {
        let mut known = self.known();
        known.generation += 1;
        known.rules = None;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
