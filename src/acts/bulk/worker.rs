//! Works off the lists of bulk runs, one commit for each item: the lock on the item, the act on its letter, the act's record and the
//! item's outcome.
//!
//! Invariant: an item is done once. Replicas skip the items that another one has locked, and an item with an outcome is not claimed.
//! A crash rolls back the item at hand, and the next tick of any replica claims it.

use async_trait::async_trait;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;

use crate::acts::{ActError, dead_letter};
use crate::context::Context;
use crate::db::bulk_runs::{self, Claimed};
use crate::db::dead_letters::{Act, Acted, Letter};
use crate::db::operator_actions::Action;
use crate::db::{Fault, WITHIN, classify, conclude};
use crate::driver::{Counts, TickError, Worker};
use crate::faults::Step;
use crate::telemetry::metrics;

/// Items of a tick.
const MAX_ITEMS: usize = 100;

/// The worker's name, also at the fault point.
const NAME: &str = "bulk";

pub struct BulkRuns(pub Context);

/// The result of a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Letters that were acted on.
    pub done: u64,
    /// Letters of which the same act had been done before.
    pub already: u64,
    /// Letters that were left alone.
    pub refused: u64,
    /// Letters on which the act failed with an error of the service.
    pub failed: u64,
    /// Runs that ended.
    pub finished: u64,
}

impl Counts for Carried {
    fn found_work(&self) -> bool {
        self.done + self.already + self.refused + self.failed + self.finished > 0
    }

    fn record(&self) {
        for (outcome, count) in
            [("done", self.done), ("already", self.already), ("refused", self.refused), ("failed", self.failed)]
        {
            metrics::bulk_items(outcome, count);
        }
    }
}

#[async_trait]
impl Worker for BulkRuns {
    type Counts = Carried;

    fn name(&self) -> &'static str {
        NAME
    }

    async fn tick(&self) -> Result<Carried, TickError> {
        let mut carried = Carried::default();
        if !self.within(bulk_runs::is_under_way).await? {
            return Ok(carried);
        }
        for _ in 0..MAX_ITEMS {
            match self.within(async |connection| self.item(connection).await).await? {
                Some("done") => carried.done += 1,
                Some("already") => carried.already += 1,
                Some("refused") => carried.refused += 1,
                Some(_) => carried.failed += 1,
                None => break,
            }
        }
        let now = self.0.shell.clock.now();
        carried.finished = self.within(async |connection| bulk_runs::finish(connection, now).await).await?;
        Ok(carried)
    }
}

/// The outcome of an item.
struct Outcome {
    /// `done`, `already`, `refused` or `failed`.
    word: &'static str,
    why: Option<&'static str>,
    /// The letter that is pending again.
    pending: Option<Letter>,
}

impl Outcome {
    const fn not(word: &'static str, why: &'static str) -> Self {
        Self { word, why: Some(why), pending: None }
    }
}

impl BulkRuns {
    /// Calls `work` with a connection of its own, within the time limit of the database.
    async fn within<T>(&self, work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>) -> Result<T, TickError> {
        let mut connection = self.0.cell.pool.acquire().await?;
        let result = timeout(WITHIN, work(&mut connection)).await;
        Ok(conclude(connection, result)?)
    }

    /// Acts on the next item; its outcome. None: there is none that another replica does not act on.
    async fn item(&self, connection: &mut PgConnection) -> sqlx::Result<Option<&'static str>> {
        let faults = &self.0.shell.faults;
        let mut transaction = connection.begin().await?;
        let Some(item) = faults.around(NAME, Step::Claim, bulk_runs::claim(&mut transaction)).await? else {
            return Ok(None);
        };
        let Outcome { word, why, pending } = self.act(&mut transaction, &item).await?;
        let now = self.0.shell.clock.now();
        let settling = bulk_runs::settle(&mut transaction, &item, word, why, now);
        faults.around(NAME, Step::Settle, settling).await?;
        faults.around(NAME, Step::Commit, transaction.commit()).await?;
        if let Some(letter) = pending {
            dead_letter::wake(&self.0.cell.wakers, &letter);
        }
        Ok(Some(word))
    }

    /// Acts on the letter of an item as a person does on one letter. An error that would come again is the outcome of this item and
    /// holds up no other: a savepoint undoes what it left.
    async fn act(&self, connection: &mut PgConnection, item: &Claimed) -> sqlx::Result<Outcome> {
        let act = if item.act == Act::Redrive.as_str() { Act::Redrive } else { Act::Discard };
        let action = self.record(item, act);
        let mut savepoint = connection.begin().await?;
        let acted = dead_letter::once(&mut savepoint, item.letter, act, &action, Some(item.attempts)).await;
        match acted {
            Ok((letter, acted)) => {
                savepoint.commit().await?;
                let word = if acted == Acted::Done { "done" } else { "already" };
                Ok(Outcome { word, why: None, pending: (act == Act::Redrive).then_some(letter) })
            }
            Err(ActError::Database(error)) if classify(&error) != Fault::Permanent => Err(error),
            Err(ActError::WrongState(why)) => Ok(Outcome::not("refused", why)),
            Err(ActError::NotFound) => Ok(Outcome::not("refused", "it is gone")),
            Err(error) => {
                savepoint.rollback().await?;
                let (run, letter) = (item.run, item.letter);
                tracing::error!(bulk_run.id = %run, dead_letter.id = %letter, %error, "an item of a bulk run failed; the run goes on");
                Ok(Outcome::not("failed", "an error of the service, which its log describes"))
            }
        }
    }

    /// The record of the act, as its person would have made it, with the run's id.
    fn record(&self, item: &Claimed, act: Act) -> Action {
        let shell = &self.0.shell;
        Action {
            id: shell.ids.next(),
            at: shell.clock.now(),
            who: item.who.clone(),
            action: act.action().to_owned(),
            subject: item.letter.to_string(),
            opening_id: None,
            reason: item.reason.clone(),
            detail: json!({"bulk_run": item.run}),
            form: None,
        }
    }
}
