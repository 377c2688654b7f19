//! The path of a provider's message: burst dedup, then the queue to the inbox, then the answer.
//!
//! Invariant: an acknowledged message is in the inbox after any crash, because the answer follows the commit. Webhooks
//! and the sandbox use the same path. A crash loses only unacknowledged messages.

use std::sync::Arc;

use chrono::TimeDelta;
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::burst::{Burst, Entry, InFlightGuard};
use super::capacity::{Backlog, Bounds, Capacity};
use super::fact;
use super::hot::Hot;
use super::queue::StoreMessages;
use crate::clock::{Clock, Ids, Time};
use crate::db::inbox::{Digest, NewFact, Stored};
use crate::domain::Source;
use crate::faults::FaultPoint;
#[cfg(feature = "broken")]
use crate::faults::broken;
use crate::group_commit::{GroupCommit, Unavailable};
use crate::provider::{Headers, Incoming, Parsed, Provider, Verified};
use crate::telemetry::metrics;

/// A verified message and its content.
#[derive(Clone, Debug)]
pub struct Message {
    /// [`Source::Webhook`] or [`Source::Sandbox`].
    pub source: Source,
    pub provider: String,
    /// The provider's event id. None: the body's hash is used.
    pub event_id: Option<String>,
    pub body: Vec<u8>,
    /// The received headers without credentials.
    pub headers: Headers,
    pub received_at: Time,
    pub parsed: Parsed,
}

impl Message {
    /// Parses a verified request.
    #[must_use]
    pub fn read(provider: &dyn Provider, incoming: &Incoming<'_>, verified: Verified) -> Self {
        let headers = Headers::kept(incoming.headers, provider.credentials());
        let parsed = provider.parse(&headers, incoming.body);
        Self {
            source: Source::Webhook,
            provider: provider.name().to_owned(),
            event_id: verified.event_id,
            headers,
            body: incoming.body.to_vec(),
            received_at: incoming.received_at,
            parsed,
        }
    }

    /// Its key in the inbox; the prefix of the keys if it contains several events.
    #[must_use]
    pub fn key(&self) -> String {
        self.key_with(&fact::digest(&self.body))
    }

    pub(super) fn key_with(&self, digest: &Digest) -> String {
        self.event_id.as_deref().map_or_else(|| hex::encode(digest), fact::event_key)
    }
}

/// The result for a message. In every case the sender need not repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    Stored(Stored),
    /// A copy was stored moments ago.
    BurstDuplicate,
    /// The message contains nothing to store.
    Nothing,
}

/// The handle for storing messages.
#[derive(Clone)]
pub struct Ingest {
    burst: Arc<Burst>,
    hot: Arc<Hot>,
    capacity: Capacity,
    queue: GroupCommit<StoreMessages>,
    ids: Ids,
    clock: Clock,
}

impl Ingest {
    /// Starts the writer. It ends when every clone of the handle is dropped and the queue is empty.
    #[must_use]
    pub fn start(
        pool: PgPool,
        clock: Clock,
        ids: Ids,
        wake: Arc<Notify>,
        bounds: Bounds,
        burst_ttl: TimeDelta,
        faults: FaultPoint,
    ) -> (Self, JoinHandle<()>) {
        let (queue, writer) = GroupCommit::start(bounds.messages, StoreMessages { pool, wake, faults });
        let (burst, capacity) = (Arc::new(Burst::new(burst_ttl)), Capacity::new(bounds));
        (Self { burst, hot: Arc::default(), capacity, queue, ids, clock }, writer)
    }

    /// Whether the inbox takes anything more from outside.
    #[must_use]
    pub const fn backlog(&self) -> &Backlog {
        self.capacity.backlog()
    }

    /// Stores a message and returns once it is durable.
    ///
    /// # Errors
    /// If it could not be stored. After a lost connection during COMMIT it may be stored all the same.
    pub async fn receive(&self, message: Message) -> Result<Receipt, Unavailable> {
        let digest = fact::digest(&message.body);
        let key = burst_key(&message.parsed);
        let facts = fact::of_message(&self.ids, message, digest, self.clock.now());
        if facts.is_empty() {
            return Ok(Receipt::Nothing);
        }
        let Some(key) = key else {
            return self.store(facts, None).await;
        };
        match self.burst.enter(key, digest, self.clock.now()) {
            Entry::Known => {}
            Entry::BeingStored(first) => {
                first.await?;
            }
            Entry::First(guard) => return self.store(facts, Some(guard)).await,
        }
        metrics::burst_duplicate();
        Ok(Receipt::BurstDuplicate)
    }

    /// Runs in its own task: a client that hangs up drops its handler's future, but must not drop this.
    async fn store(&self, mut facts: Vec<NewFact>, guard: Option<InFlightGuard>) -> Result<Receipt, Unavailable> {
        let now = self.clock.now();
        for fact in &mut facts {
            fact.lane = self.hot.note(fact, now).map(|lane| format!("hot/{lane}"));
        }
        #[cfg(feature = "broken")]
        if broken::lacks(broken::Defence::PoolGuard) {
            let stored = store_unguarded(&facts).await;
            if let Some(guard) = guard {
                guard.finish(stored, self.clock.now());
            }
            return stored.map(Receipt::Stored);
        }
        let (capacity, queue, clock) = (self.capacity.clone(), self.queue.clone(), self.clock.clone());
        let storing = tokio::spawn(async move {
            let stored = match capacity.take(&facts) {
                Ok(_permit) => queue.write(facts).await,
                Err(full) => Err(full),
            };
            if let Some(guard) = guard {
                guard.finish(stored, clock.now());
            }
            stored
        });
        #[cfg(feature = "broken")]
        if broken::lacks(broken::Defence::AckAfterCommit) {
            return Ok(Receipt::Stored(Stored::New));
        }
        let stored = storing.await.map_err(|_| Unavailable("the writer ended"))??;
        Ok(Receipt::Stored(stored))
    }

    /// Clears the burst cache: outcomes must be the same without it.
    pub fn forget_bursts(&self) {
        self.burst.forget();
    }
}

/// The key in the burst cache, `account_opening_request_id_{tracking id}_{status}`, with the provider's status word. Without
/// a tracking id it holds our reference. None: the message has no report, several, or one without either id, and bypasses
/// the cache.
fn burst_key(parsed: &Parsed) -> Option<String> {
    let Parsed::Reports(reports) = parsed else { return None };
    let [report] = reports.as_slice() else { return None };
    let id = report.subject()?;
    Some(format!("account_opening_request_id_{id}_{}", report.word))
}

/// Stores a message in the task of its request, on a connection that no guard has cleaned: a look-up in a transaction, then an
/// insert without one.
#[cfg(feature = "broken")]
async fn store_unguarded(facts: &[NewFact]) -> Result<Stored, Unavailable> {
    let storing = async {
        let looking = broken::pool()?.begin().await?;
        looking.commit().await?;
        let mut connection = broken::pool()?.acquire().await?;
        // A single statement begins its transaction microseconds before it runs; a leftover transaction began a round trip ago at
        // the least.
        let open: bool = sqlx::query_scalar("select now() < statement_timestamp() - interval '20 ms'")
            .fetch_one(&mut *connection)
            .await?;
        let known = crate::db::inbox::insert(&mut connection, facts).await?;
        if open {
            broken::mattered(broken::Defence::PoolGuard);
        }
        Ok::<_, sqlx::Error>(known.first().copied().unwrap_or(Stored::New))
    };
    storing.await.map_err(|_| Unavailable("the database is away"))
}
