//! Group commit of starts, without a writer task: a waiting request takes one of two permits and commits the queued batch for
//! all.
//!
//! Starts that come while the last commits run share the next one: batches grow with the load, and no timer delays a start. A
//! batch waits for no other transaction: if another transaction is writing a start's key, that start gets a commit of its
//! own. Invariant: each queued start is answered, or its request comes to a permit. A crash leaves the committed starts, and each
//! caller's repeat finds its own under its key.
//!
//! Measured against a build that commits each start alone, at 64 connections: 805 instead of 411 starts acknowledged a second, and
//! 410 instead of 255 openings a second from start to card (docs/performance-log.md).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use sqlx::{Connection as _, PgConnection, Postgres, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;
use tracing::Instrument as _;

use super::{Start, UnderKey, Way};
use crate::acts::{ActError, Acts};
use crate::clock::Time;
use crate::db::advance::{self, Advance};
use crate::db::idempotency::{self, Answer, Key, Under};
use crate::db::{self, Fault, PATIENCE, classify, describe};
use crate::faults::Step;

/// Batches at once: one is written while the other is flushed.
const PERMITS: usize = 2;
/// Starts at once that wait for another transaction on their key.
const ALONE: usize = 4;
/// The most starts in one commit.
const MAX_BATCH: usize = 64;
/// The most starts that wait. Callers beyond it are told to try again, sooner than a longer queue would answer them.
const MAX_WAITING: usize = 1_024;
/// How often the keys of a batch are read: before the first write, after another writer was faster, and for a key that stands in
/// the batch several times.
const LOOKS: usize = 3;

/// The queue of starts that wait for a commit.
#[derive(Clone)]
pub struct StartBatcher {
    waiting: Arc<Mutex<Vec<Waiting>>>,
    permits: Arc<Semaphore>,
    alone: Arc<Semaphore>,
}

struct Waiting {
    start: Arc<Start>,
    answer: oneshot::Sender<Result<UnderKey, NotWritten>>,
}

/// Why a batch was not written, for each request in it.
#[derive(Clone, Debug)]
enum NotWritten {
    /// The database is away or busy.
    Unavailable(String),
    /// The database refuses it for good.
    Refused(String),
}

impl From<sqlx::Error> for NotWritten {
    fn from(error: sqlx::Error) -> Self {
        match classify(&error) {
            Fault::Permanent => Self::Refused(describe(&error)),
            Fault::Contention | Fault::Unavailable => Self::Unavailable(describe(&error)),
        }
    }
}

impl From<NotWritten> for ActError {
    fn from(error: NotWritten) -> Self {
        match error {
            NotWritten::Unavailable(cause) => Self::Unavailable(cause),
            NotWritten::Refused(cause) => Self::Internal(cause),
        }
    }
}

impl Default for StartBatcher {
    fn default() -> Self {
        let (permits, alone) = (Arc::new(Semaphore::new(PERMITS)), Arc::new(Semaphore::new(ALONE)));
        Self { waiting: Arc::default(), permits, alone }
    }
}

impl StartBatcher {
    /// Returns after the commit that holds the start, or with the answer that stands under its key.
    pub(super) async fn write(&self, start: Arc<Start>) -> Result<UnderKey, ActError> {
        let (answer, mut answered) = oneshot::channel();
        self.queue(Waiting { start: Arc::clone(&start), answer })?;
        let written = async {
            // The holder of a permit commits the oldest of the queue: its own start may not be among them yet.
            while self.waits(&start) {
                tokio::select! {
                    biased;
                    found = &mut answered => return found,
                    permit = Arc::clone(&self.permits).acquire_owned() => if let Ok(permit) = permit { self.begin(permit) },
                }
            }
            answered.await
        };
        let found = timeout(PATIENCE, written).await;
        let found = found.map_err(|_| ActError::Unavailable("earlier starts were not written in time".to_owned()))?;
        Ok(found.map_err(|_| ActError::Internal("writing a batch of starts panicked".to_owned()))??)
    }

    fn queue(&self, one: Waiting) -> Result<(), ActError> {
        let mut waiting = self.waiting();
        if waiting.len() >= MAX_WAITING {
            return Err(ActError::Unavailable("too many starts wait to be written".to_owned()));
        }
        waiting.push(one);
        Ok(())
    }

    /// Whether it is still in the queue.
    fn waits(&self, start: &Arc<Start>) -> bool {
        self.waiting().iter().any(|it| Arc::ptr_eq(&it.start, start))
    }

    /// The number of starts that wait for a permit.
    #[must_use]
    pub fn waiting_now(&self) -> usize {
        self.waiting().len()
    }

    /// Commits the oldest of the queue, in a task of its own: the request that took the permit may end first.
    fn begin(&self, permit: OwnedSemaphorePermit) {
        let batch: Vec<Waiting> = {
            let mut waiting = self.waiting();
            // Their callers were already told that they were not written.
            waiting.retain(|it| !it.answer.is_closed());
            let some = waiting.len().min(MAX_BATCH);
            waiting.drain(..some).collect()
        };
        if batch.is_empty() {
            return;
        }
        let batcher = self.clone();
        let writing = async move {
            batcher.write_all(batch).await;
            drop(permit);
        };
        tokio::spawn(writing.in_current_span());
    }

    /// Writes a batch in one commit. A batch that the database refuses for good is halved until the refused start stands alone.
    async fn write_all(&self, batch: Vec<Waiting>) {
        let mut batches = vec![batch];
        while let Some(mut batch) = batches.pop() {
            match Batch::new(batch.iter().map(|it| Arc::clone(&it.start)).collect(), false).write().await {
                Ok(found) => {
                    for (waiting, found) in batch.into_iter().zip(found) {
                        match found {
                            UnderKey::Locked => drop(tokio::spawn(self.clone().write_alone(waiting).in_current_span())),
                            found => drop(waiting.answer.send(Ok(found))),
                        }
                    }
                }
                Err(NotWritten::Refused(_)) if batch.len() > 1 => {
                    let second = batch.split_off(batch.len() / 2);
                    batches.extend([second, batch]);
                }
                Err(error) => {
                    for waiting in batch {
                        let _ = waiting.answer.send(Err(error.clone()));
                    }
                }
            }
        }
    }

    /// Writes one start after the other transaction on its key has ended, or finds the answer that it wrote.
    async fn write_alone(self, waiting: Waiting) {
        let Ok(_permit) = self.alone.acquire().await else { return };
        if waiting.answer.is_closed() {
            return;
        }
        let found = Batch::new(vec![Arc::clone(&waiting.start)], true).write().await;
        let _ = waiting.answer.send(found.map(|mut it| it.pop().unwrap_or(UnderKey::Gone)));
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts that are written in one commit, the same in each try.
struct Batch {
    starts: Vec<Arc<Start>>,
    /// Whether it waits for other transactions on its keys.
    waits: bool,
    #[cfg(feature = "broken")]
    tried: std::sync::atomic::AtomicU32,
}

/// Known results of a batch, by the index of the start.
type Known = HashMap<usize, UnderKey>;

/// A start to write, with its opening and its answer.
struct Fresh<'a> {
    /// Its place in the batch.
    at: usize,
    start: &'a Start,
    /// The opening as it begins, and its customer.
    started: (Advance, Value),
    answer: Answer,
}

impl<'a> Fresh<'a> {
    fn new(at: usize, start: &'a Start, way: Way, now: Time) -> Self {
        let advance = start.decide(way, now);
        let answer = start.first_answer(&advance, way.flow, now);
        Self { at, start, started: (advance, start.request.customer()), answer }
    }
}

/// Writes them and commits. Where another request took one of the keys since they were read, nothing is written.
async fn write(
    acts: &Acts,
    mut transaction: Transaction<'_, Postgres>,
    fresh: Vec<Fresh<'_>>,
    mut known: Known,
    now: Time,
) -> sqlx::Result<Known> {
    let (writer, faults) = (&acts.cell.effect_context, &acts.shell.faults);
    let (started, answers): (Vec<_>, Vec<_>) =
        fresh.into_iter().map(|it| (it.started, (it.at, it.start, it.answer))).unzip();
    let keys: Vec<(Key<'_>, &Answer)> = answers.iter().map(|(_, start, answer)| (start.key(), answer)).collect();
    let write = async {
        advance::start(&mut transaction, writer, &started, now).await?;
        idempotency::insert(&mut transaction, &keys, now, now + acts.settings.idempotency_ttl).await
    };
    if faults.around("start", Step::Settle, write).await? < keys.len() {
        transaction.rollback().await?;
        return Ok(known);
    }
    faults.around("start", Step::Commit, transaction.commit()).await?;
    known.extend(answers.into_iter().map(|(at, start, answer)| (at, start.judge(answer, now))));
    Ok(known)
}

impl Batch {
    const fn new(starts: Vec<Arc<Start>>, waits: bool) -> Self {
        Self {
            starts,
            waits,
            #[cfg(feature = "broken")]
            tried: std::sync::atomic::AtomicU32::new(0),
        }
    }

    /// The result of each, in their order.
    async fn write(self) -> Result<Vec<UnderKey>, NotWritten> {
        let Some(acts) = self.starts.first().map(|it| it.acts.clone()) else { return Ok(Vec::new()) };
        let pool = acts.cell.pool.clone();
        let work = async move |connection: &mut PgConnection| {
            #[cfg(feature = "broken")]
            if let Some(again) = self.blindly_again() {
                return again.look(&acts, connection).await;
            }
            self.look(&acts, connection).await
        };
        Ok(db::with_retries(&pool, work).await?)
    }

    /// Reads what stands under the keys, and writes where nothing does.
    async fn look(&self, acts: &Acts, connection: &mut PgConnection) -> sqlx::Result<Vec<UnderKey>> {
        let mut found: Vec<Option<UnderKey>> = self.starts.iter().map(|_| None).collect();
        for _ in 0..LOOKS {
            let left: Vec<usize> = (0..found.len()).filter(|at| found[*at].is_none()).collect();
            if left.is_empty() {
                break;
            }
            for (at, it) in self.look_once(acts, connection, &left).await? {
                found[at] = Some(it);
            }
        }
        let found: Vec<UnderKey> = found.into_iter().map(|it| it.unwrap_or(UnderKey::Gone)).collect();
        // Nothing fails from here on: the try that comes here is the last.
        for (start, _) in self.starts.iter().zip(&found).filter(|(_, found)| matches!(found, UnderKey::Ours(_))) {
            start.committed();
        }
        Ok(found)
    }

    /// Looks at the starts that are `left` in one transaction; those that it does not decide are left for the next one.
    async fn look_once(&self, acts: &Acts, connection: &mut PgConnection, left: &[usize]) -> sqlx::Result<Known> {
        let now = acts.shell.clock.now();
        let mut transaction = connection.begin().await?;
        let (known, fresh) = self.sort(&mut transaction, left, now).await?;
        if fresh.is_empty() {
            transaction.rollback().await?;
            return Ok(known);
        }
        write(acts, transaction, fresh, known, now).await
    }

    /// Splits the starts into known results and starts to write.
    async fn sort(
        &self,
        connection: &mut PgConnection,
        left: &[usize],
        now: Time,
    ) -> sqlx::Result<(Known, Vec<Fresh<'_>>)> {
        let keys: Vec<Key<'_>> = left.iter().map(|at| self.starts[*at].key()).collect();
        let looked = idempotency::look(connection, &keys, self.waits, now).await?;
        let (mut known, mut fresh, mut firsts) = (Known::new(), Vec::new(), HashSet::new());
        for (at, under) in left.iter().copied().zip(looked) {
            let start = &*self.starts[at];
            match under {
                Under::Answer(answer) => drop(known.insert(at, start.judge(answer, now))),
                Under::Held => drop(known.insert(at, UnderKey::Locked)),
                // The first of several with one key is written: the others find its answer.
                Under::Nothing if !firsts.insert(start.key()) => {}
                Under::Nothing => match start.way(connection, now).await? {
                    Ok(way) => fresh.push(Fresh::new(at, start, way, now)),
                    Err(refusal) => drop(known.insert(at, refusal)),
                },
            }
        }
        Ok((known, fresh))
    }

    /// A repeat that does not ask whether the first took effect.
    #[cfg(feature = "broken")]
    fn blindly_again(&self) -> Option<Self> {
        use crate::faults::broken::{Defence, lacks};
        let tried = self.tried.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        (tried > 0 && lacks(Defence::ReadAfterUnknown)).then(|| {
            Self::new(self.starts.iter().map(|it| Arc::new(it.under_another_key(tried))).collect(), self.waits)
        })
    }
}
