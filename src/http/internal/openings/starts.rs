//! Starts that are written together. Whatever came while the last commits ran goes into the next one: batches grow with the
//! load, and no timer holds anything back.
//!
//! There is no task that writes: of those who wait, one takes a pen and writes for all. Invariant: who waits is answered, or
//! comes to a pen. A crash leaves what is committed, and each caller's repeat finds it under its key.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::Connection as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;
use tracing::Instrument as _;

use super::start::{Found, Start};
use crate::clock::Time;
use crate::db::advance;
use crate::db::idempotency::{self, Answer, Key};
use crate::domain::Flow;
use crate::faults::Step;
use crate::http::Edge;
use crate::http::internal::work::{Connection, PATIENCE, database};
use crate::http::problem::{ApiError, Kind};

/// Batches at once. A second one goes on while the first waits, for example for another replica's commit of the same key.
const PENS: usize = 2;
/// The most starts in one commit.
const MAX_BATCH: usize = 64;
/// The most starts that wait. Beyond it callers are told to come again, sooner than they would be after a longer wait.
const MAX_WAITING: usize = 1_024;
/// How often it is looked what stands under the keys of a batch: once before it is written, once after another writer was faster,
/// and once more for a key that is in it several times.
const LOOKS: usize = 3;

/// Those who wait for their start to be written.
#[derive(Clone)]
pub struct Starts {
    waiting: Arc<Mutex<Vec<Waiting>>>,
    pens: Arc<Semaphore>,
}

struct Waiting {
    start: Arc<Start>,
    answer: oneshot::Sender<Result<Found, ApiError>>,
}

impl Default for Starts {
    fn default() -> Self {
        Self { waiting: Arc::default(), pens: Arc::new(Semaphore::new(PENS)) }
    }
}

impl Starts {
    /// Returns after the commit that holds the start, or with what stands under its key. To be called in a task that nobody
    /// drops: it may come to write for others.
    pub(super) async fn write(&self, start: Arc<Start>) -> Result<Found, ApiError> {
        let (answer, mut told) = oneshot::channel();
        {
            let mut waiting = self.waiting();
            if waiting.len() >= MAX_WAITING {
                return Err(ApiError::unavailable("too many starts wait to be written"));
            }
            waiting.push(Waiting { start, answer });
        }
        let written = async {
            tokio::select! {
                biased;
                found = &mut told => return found,
                pen = Arc::clone(&self.pens).acquire_owned() => if let Ok(pen) = pen { self.begin(pen) },
            }
            told.await
        };
        let found = timeout(PATIENCE, written).await;
        let found = found.map_err(|_| ApiError::unavailable("the starts before it were not written in time"))?;
        found.unwrap_or_else(|_| Err(ApiError::internal("writing a batch of starts panicked")))
    }

    /// How many wait for a pen.
    #[must_use]
    pub fn waiting_now(&self) -> usize {
        self.waiting().len()
    }

    /// Writes what waits; nothing if somebody else does.
    fn begin(&self, pen: OwnedSemaphorePermit) {
        let batch: Vec<Waiting> = {
            let mut waiting = self.waiting();
            // Of no use to anybody any more: he was told that it was not written.
            waiting.retain(|it| !it.answer.is_closed());
            let some = waiting.len().min(MAX_BATCH);
            waiting.drain(..some).collect()
        };
        if batch.is_empty() {
            return;
        }
        let writing = async move {
            write(batch).await;
            drop(pen);
        };
        tokio::spawn(writing.in_current_span());
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a batch in one commit. What the database refuses for good is halved until it stands alone, so that one cannot fail
/// its neighbours.
async fn write(batch: Vec<Waiting>) {
    let mut batches = vec![batch];
    while let Some(mut batch) = batches.pop() {
        let starts = Arc::new(Batch::new(batch.iter().map(|it| Arc::clone(&it.start)).collect()));
        let Some(edge) = starts.edge() else { continue };
        match database(&edge.pool.clone(), move |connection| Arc::clone(&starts).run(connection)).await {
            Ok(found) => {
                for (waiting, found) in batch.into_iter().zip(found) {
                    let _ = waiting.answer.send(Ok(found));
                }
            }
            Err(error) if error.kind() == Kind::Internal && batch.len() > 1 => {
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

/// Starts that are written in one commit, the same in each try.
struct Batch {
    starts: Vec<Arc<Start>>,
    #[cfg(feature = "broken")]
    tried: std::sync::atomic::AtomicU32,
}

/// What is written for one start.
struct Fresh<'a> {
    start: &'a Start,
    answer: Answer,
}

impl Batch {
    const fn new(starts: Vec<Arc<Start>>) -> Self {
        Self {
            starts,
            #[cfg(feature = "broken")]
            tried: std::sync::atomic::AtomicU32::new(0),
        }
    }

    fn edge(&self) -> Option<&Arc<Edge>> {
        self.starts.first().map(|it| &it.edge)
    }

    async fn run(self: Arc<Self>, mut connection: Connection) -> sqlx::Result<Vec<Found>> {
        #[cfg(feature = "broken")]
        if let Some(again) = self.blindly_again() {
            return again.look(&mut connection).await;
        }
        self.look(&mut connection).await
    }

    /// Looks what stands under the keys, and writes where nothing does.
    async fn look(&self, connection: &mut Connection) -> sqlx::Result<Vec<Found>> {
        let mut found: Vec<Option<Found>> = self.starts.iter().map(|_| None).collect();
        for _ in 0..LOOKS {
            let left: Vec<usize> = (0..found.len()).filter(|at| found[*at].is_none()).collect();
            let Some(edge) = self.edge().filter(|_| !left.is_empty()) else { break };
            let now = edge.clock.now();
            let keys: Vec<Key<'_>> = left.iter().map(|at| self.starts[*at].key()).collect();
            for (place, answer) in idempotency::get_all(connection, &keys, now).await? {
                let at = left[place];
                found[at] = Some(self.starts[at].judge(answer, now));
            }
            // Of several with one key the first is written: the others find its answer.
            let mut firsts = HashSet::new();
            let fresh: Vec<usize> =
                left.into_iter().filter(|at| found[*at].is_none() && firsts.insert(self.starts[*at].key())).collect();
            for (at, it) in self.commit(edge, connection, &fresh, now).await? {
                found[at] = Some(it);
            }
        }
        // A key that was taken by another, each time, and was free when it was looked at.
        let found: Vec<Found> = found.into_iter().map(|it| it.unwrap_or(Found::Gone)).collect();
        // Nothing fails from here on: the try that comes here is the last.
        for (start, _) in self.starts.iter().zip(&found).filter(|(_, found)| matches!(found, Found::Ours(_))) {
            start.committed();
        }
        Ok(found)
    }

    /// Writes starts in one commit, unless one of their keys was taken meanwhile: then none.
    async fn commit(
        &self,
        edge: &Edge,
        connection: &mut Connection,
        fresh: &[usize],
        now: Time,
    ) -> sqlx::Result<HashMap<usize, Found>> {
        let Edge { settings, writer, faults, .. } = edge;
        let mut found = HashMap::new();
        let (mut started, mut answers) = (Vec::new(), Vec::new());
        for at in fresh {
            let start = &*self.starts[*at];
            let flow = start.flow(connection, now).await?;
            if flow == Flow::Sync
                && let Some(wait) = start.refused_for()
            {
                found.insert(*at, Found::Refused(wait));
                continue;
            }
            let advance = start.decide(flow, now);
            answers.push((*at, Fresh { start, answer: start.first_answer(&advance, flow, now) }));
            started.push((advance, start.asked.customer()));
        }
        if started.is_empty() {
            return Ok(found);
        }
        let keys: Vec<(Key<'_>, &Answer)> =
            answers.iter().map(|(_, Fresh { start, answer })| (start.key(), answer)).collect();
        let mut transaction = connection.begin().await?;
        let write = async {
            advance::start(&mut transaction, writer, &started, now).await?;
            idempotency::insert(&mut transaction, &keys, now, now + settings.idempotency_ttl).await
        };
        if faults.around("start", Step::Settle, write).await? < keys.len() {
            transaction.rollback().await?;
            return Ok(found);
        }
        faults.around("start", Step::Commit, transaction.commit()).await?;
        found.extend(answers.into_iter().map(|(at, Fresh { start, answer })| (at, start.judge(answer, now))));
        Ok(found)
    }

    /// A repeat that does not ask whether the first took effect.
    #[cfg(feature = "broken")]
    fn blindly_again(&self) -> Option<Self> {
        use crate::faults::broken::{Defence, lacks};
        let tried = self.tried.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        (tried > 0 && lacks(Defence::ReadAfterUnknown))
            .then(|| Self::new(self.starts.iter().map(|it| Arc::new(it.under_another_key(tried))).collect()))
    }
}
