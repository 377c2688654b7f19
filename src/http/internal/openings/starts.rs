//! Starts that are written together. Whatever came while the last commits ran goes into the next one: batches grow with the
//! load, and no timer holds anything back.
//!
//! There is no task that writes: of those who wait, one takes a pen and writes for all. A batch waits for nobody: a key that
//! somebody else writes this moment is written, or found, by a commit of its own. Invariant: who waits is answered, or
//! comes to a pen. A crash leaves what is committed, and each caller's repeat finds it under its key.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use sqlx::{Connection as _, PgConnection, Postgres, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;
use tracing::Instrument as _;

use super::start::{Found, Start};
use crate::clock::Time;
use crate::db::advance::{self, Advance};
use crate::db::idempotency::{self, Answer, Key, Under};
use crate::domain::Flow;
use crate::faults::Step;
use crate::http::AppState;
use crate::http::internal::work::{Connection, PATIENCE, database};
use crate::http::problem::{ApiError, Kind};

/// Batches at once: one is written while the other is flushed.
const PENS: usize = 2;
/// Starts at once that wait for somebody else's commit of their key.
const ALONE: usize = 4;
/// The most starts in one commit.
const MAX_BATCH: usize = 64;
/// The most starts that wait. Beyond it callers are told to come again, sooner than they would be after a longer wait.
const MAX_WAITING: usize = 1_024;
/// How often it is looked what stands under the keys of a batch: once before it is written, once after another writer was
/// faster, and once more for a key that is in it several times.
const LOOKS: usize = 3;

/// Those who wait for their start to be written.
#[derive(Clone)]
pub struct Starts {
    waiting: Arc<Mutex<Vec<Waiting>>>,
    pens: Arc<Semaphore>,
    alone: Arc<Semaphore>,
}

struct Waiting {
    start: Arc<Start>,
    answer: oneshot::Sender<Result<Found, ApiError>>,
}

impl Default for Starts {
    fn default() -> Self {
        Self { waiting: Arc::default(), pens: Arc::new(Semaphore::new(PENS)), alone: Arc::new(Semaphore::new(ALONE)) }
    }
}

impl Starts {
    /// Returns after the commit that holds the start, or with what stands under its key. To be called in a task that nobody
    /// drops: it may come to write for others.
    pub(super) async fn write(&self, start: Arc<Start>) -> Result<Found, ApiError> {
        let (answer, mut told) = oneshot::channel();
        self.queue(Waiting { start: Arc::clone(&start), answer })?;
        let written = async {
            // A pen in hand writes for those who came first: who is not among them comes to one again.
            while self.waits(&start) {
                tokio::select! {
                    biased;
                    found = &mut told => return found,
                    pen = Arc::clone(&self.pens).acquire_owned() => if let Ok(pen) = pen { self.begin(pen) },
                }
            }
            told.await
        };
        let found = timeout(PATIENCE, written).await;
        let found = found.map_err(|_| ApiError::unavailable("the starts before it were not written in time"))?;
        found.unwrap_or_else(|_| Err(ApiError::internal("writing a batch of starts panicked")))
    }

    fn queue(&self, one: Waiting) -> Result<(), ApiError> {
        let mut waiting = self.waiting();
        if waiting.len() >= MAX_WAITING {
            return Err(ApiError::unavailable("too many starts wait to be written"));
        }
        waiting.push(one);
        Ok(())
    }

    /// Whether nobody has begun to write it.
    fn waits(&self, start: &Arc<Start>) -> bool {
        self.waiting().iter().any(|it| Arc::ptr_eq(&it.start, start))
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
        let starts = self.clone();
        let writing = async move {
            starts.write_all(batch).await;
            drop(pen);
        };
        tokio::spawn(writing.in_current_span());
    }

    /// Writes a batch in one commit. What the database refuses for good is halved until it stands alone, so that one cannot
    /// fail its neighbours.
    async fn write_all(&self, batch: Vec<Waiting>) {
        let mut batches = vec![batch];
        while let Some(mut batch) = batches.pop() {
            match Batch::new(batch.iter().map(|it| Arc::clone(&it.start)).collect(), false).write().await {
                Ok(found) => {
                    for (waiting, found) in batch.into_iter().zip(found) {
                        match found {
                            Found::Held => drop(tokio::spawn(self.clone().write_alone(waiting).in_current_span())),
                            found => drop(waiting.answer.send(Ok(found))),
                        }
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

    /// Writes one start when whoever writes its key has done so, or finds what that wrote.
    async fn write_alone(self, waiting: Waiting) {
        let Ok(_one) = self.alone.acquire().await else { return };
        if waiting.answer.is_closed() {
            return;
        }
        let found = Batch::new(vec![Arc::clone(&waiting.start)], true).write().await;
        let _ = waiting.answer.send(found.map(|mut it| it.pop().unwrap_or(Found::Gone)));
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts that are written in one commit, the same in each try.
struct Batch {
    starts: Vec<Arc<Start>>,
    /// Whether it waits for others who write its keys.
    waits: bool,
    #[cfg(feature = "broken")]
    tried: std::sync::atomic::AtomicU32,
}

/// What came of those of a batch of which it is known, by their places in it.
type Known = HashMap<usize, Found>;

/// What is written for one start.
struct Fresh<'a> {
    /// Its place in the batch.
    at: usize,
    start: &'a Start,
    /// The opening as it begins, and for whom.
    started: (Advance, Value),
    answer: Answer,
}

impl<'a> Fresh<'a> {
    fn new(at: usize, start: &'a Start, flow: Flow, now: Time) -> Self {
        let advance = start.decide(flow, now);
        let answer = start.first_answer(&advance, flow, now);
        Self { at, start, started: (advance, start.asked.customer()), answer }
    }
}

/// Writes them and commits. Where one of the keys was taken by another although nothing stood under it, nothing is written.
async fn write(
    state: &AppState,
    mut transaction: Transaction<'_, Postgres>,
    fresh: Vec<Fresh<'_>>,
    mut known: Known,
    now: Time,
) -> sqlx::Result<Known> {
    let AppState { settings, effect_context, faults, .. } = state;
    let (started, answers): (Vec<_>, Vec<_>) =
        fresh.into_iter().map(|it| (it.started, (it.at, it.start, it.answer))).unzip();
    let keys: Vec<(Key<'_>, &Answer)> = answers.iter().map(|(_, start, answer)| (start.key(), answer)).collect();
    let write = async {
        advance::start(&mut transaction, effect_context, &started, now).await?;
        idempotency::insert(&mut transaction, &keys, now, now + settings.idempotency_ttl).await
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

    /// What came of each, in their order.
    async fn write(self) -> Result<Vec<Found>, ApiError> {
        let Some(state) = self.starts.first().map(|it| Arc::clone(&it.state)) else { return Ok(Vec::new()) };
        let batch = Arc::new(self);
        let at = Arc::clone(&state);
        database(&state.pool, move |connection| Arc::clone(&batch).run(Arc::clone(&at), connection)).await
    }

    async fn run(self: Arc<Self>, state: Arc<AppState>, mut connection: Connection) -> sqlx::Result<Vec<Found>> {
        #[cfg(feature = "broken")]
        if let Some(again) = self.blindly_again() {
            return again.look(&state, &mut connection).await;
        }
        self.look(&state, &mut connection).await
    }

    /// Looks what stands under the keys, and writes where nothing does.
    async fn look(&self, state: &AppState, connection: &mut Connection) -> sqlx::Result<Vec<Found>> {
        let mut found: Vec<Option<Found>> = self.starts.iter().map(|_| None).collect();
        for _ in 0..LOOKS {
            let left: Vec<usize> = (0..found.len()).filter(|at| found[*at].is_none()).collect();
            if left.is_empty() {
                break;
            }
            for (at, it) in self.look_once(state, connection, &left).await? {
                found[at] = Some(it);
            }
        }
        let found: Vec<Found> = found.into_iter().map(|it| it.unwrap_or(Found::Gone)).collect();
        // Nothing fails from here on: the try that comes here is the last.
        for (start, _) in self.starts.iter().zip(&found).filter(|(_, found)| matches!(found, Found::Ours(_))) {
            start.committed();
        }
        Ok(found)
    }

    /// One transaction: what came of those that are `left`, as far as it is known.
    async fn look_once(&self, state: &AppState, connection: &mut Connection, left: &[usize]) -> sqlx::Result<Known> {
        let now = state.clock.now();
        let mut transaction = connection.begin().await?;
        let (known, fresh) = self.sort(&mut transaction, left, now).await?;
        if fresh.is_empty() {
            transaction.rollback().await?;
            return Ok(known);
        }
        write(state, transaction, fresh, known, now).await
    }

    /// Sorts them: those of which it is known what they come to, and those that are to be written.
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
                Under::Held => drop(known.insert(at, Found::Held)),
                // Of several with one key the first is written: the others find its answer.
                Under::Nothing if !firsts.insert(start.key()) => {}
                Under::Nothing => {
                    let flow = start.flow(connection, now).await?;
                    match start.refused_for().filter(|_| flow == Flow::Sync) {
                        Some(wait) => drop(known.insert(at, Found::Refused(wait))),
                        None => fresh.push(Fresh::new(at, start, flow, now)),
                    }
                }
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
