//! The path of a provider's message: burst dedup, then the queue to the inbox, then the answer.
//!
//! Invariant: an acknowledged message is in the inbox after any crash, because the answer follows the commit. Webhooks
//! and the sandbox use the same path. A crash loses only unacknowledged messages.

mod burst;
mod hot;
mod queue;
mod room;

use std::sync::Arc;

use chrono::TimeDelta;
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use self::burst::{Burst, Entry, InFlightGuard};
use self::hot::Hot;
use self::queue::{Queue, Writer};
use self::room::Room;
pub use self::room::{Backlog, Bounds};
use crate::clock::{Clock, Ids, Time};
use crate::db::inbox::{Arrival, Digest, NewFact, Stored, event_key, meaning};
use crate::domain::{Report, Source};
use crate::faults::FaultPoint;
#[cfg(feature = "broken")]
use crate::faults::broken;
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
        let headers = Headers::kept(incoming.headers);
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
        self.key_with(&Sha256::digest(&self.body).into())
    }

    fn key_with(&self, digest: &Digest) -> String {
        self.event_id.as_deref().map_or_else(|| hex::encode(digest), event_key)
    }
}

/// The result for a message. In every case the sender need not repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    Stored(Stored),
    /// A copy was stored moments ago.
    BurstDuplicate,
    /// It contains nothing to store.
    Nothing,
}

/// Not stored: the queue or the inbox is full, or the database is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not stored: {0}")]
pub struct Unavailable(pub &'static str);

/// State shared with the workers.
#[derive(Clone, Default)]
pub struct Shared {
    pub wake: Arc<Notify>,
    /// Whether the inbox accepts more facts.
    pub backlog: Backlog,
}

/// The handle for storing messages.
#[derive(Clone)]
pub struct Ingest {
    burst: Arc<Burst>,
    hot: Arc<Hot>,
    room: Room,
    queue: Queue,
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
        shared: Shared,
        bounds: Bounds,
        burst_ttl: TimeDelta,
        faults: FaultPoint,
    ) -> (Self, JoinHandle<()>) {
        let Shared { wake, backlog } = shared;
        let (queue, writer) = Queue::new(bounds.messages);
        let handle = tokio::spawn(Writer::new(pool, wake, faults).run(writer));
        (
            Self {
                burst: Arc::new(Burst::new(burst_ttl)),
                hot: Arc::default(),
                room: Room::new(bounds, backlog),
                queue,
                ids,
                clock,
            },
            handle,
        )
    }

    /// Stores a message and returns once it is durable.
    ///
    /// # Errors
    /// If it could not be stored. After a lost connection during COMMIT it may be stored all the same.
    pub async fn receive(&self, message: Message) -> Result<Receipt, Unavailable> {
        let digest: Digest = Sha256::digest(&message.body).into();
        let facts = self.facts(&message, digest);
        if facts.is_empty() {
            return Ok(Receipt::Nothing);
        }
        let Some(key) = burst_key(&message.parsed) else {
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
        let (room, queue, clock) = (self.room.clone(), self.queue.clone(), self.clock.clone());
        let storing = tokio::spawn(async move {
            let stored = match room.take(&facts) {
                Ok(_held) => queue.store(facts).await,
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

    /// The rows of a message: one per event, each with the whole body.
    fn facts(&self, message: &Message, digest: Digest) -> Vec<NewFact> {
        let base = message.key_with(&digest);
        // The retries of a refused message that verified later start now, not at its receipt.
        let taken_in_at = self.clock.now().max(message.received_at);
        let row = |part: usize, event_id: String, report: Option<&Report>, arrival: Arrival| NewFact {
            id: self.ids.next(),
            group: format!("{}:{}", message.source, message.provider),
            event_id,
            source: message.source,
            provider: message.provider.clone(),
            part: i32::try_from(part).unwrap_or(i32::MAX),
            body: message.body.clone(),
            digest,
            meaning: report.map(meaning),
            headers: serde_json::to_value(&message.headers).unwrap_or_default(),
            opening_id: report.and_then(Report::opening).map(|it| it.0),
            provider_ref: report.and_then(|it| it.reference.as_ref()).map(ToString::to_string),
            received_at: message.received_at,
            retry_from: taken_in_at,
            arrival,
            lane: None,
        };
        match &message.parsed {
            Parsed::Handshake => Vec::new(),
            Parsed::Ignored(why) => vec![row(0, base, None, Arrival::Ignored(why))],
            Parsed::Unreadable(_) => vec![row(0, base, None, Arrival::Dead("unreadable"))],
            Parsed::Reports(reports) if reports.len() == 1 => vec![row(0, base, reports.first(), Arrival::Pending)],
            Parsed::Reports(reports) => reports
                .iter()
                .enumerate()
                .map(|(part, report)| row(part, format!("{base}#{part}"), Some(report), Arrival::Pending))
                .collect(),
        }
    }
}

/// `account_opening_request_id_{aorId}_{status}`, for a message with one report. Without a tracking id, our own id is
/// used.
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
        if open {
            broken::mattered(broken::Defence::PoolGuard);
        }
        let known = crate::db::inbox::insert(&mut connection, facts).await?;
        Ok::<_, sqlx::Error>(known.first().copied().unwrap_or(Stored::New))
    };
    storing.await.map_err(|_| Unavailable("the database is away"))
}
