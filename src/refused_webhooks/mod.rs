//! What the webhook listener refused is kept, so that a mistake of ours loses nothing: a secret that was wrong for a while, a
//! tolerance that was too narrow, a proxy that changed a type.
//!
//! ```text
//! request.rs   what is kept of a request             writer.rs    the queue to the table, and the bound
//! again.rs     verified again, and taken in
//! ```
//!
//! Whoever is refused is told so whether or not the request could be kept: anybody can send what is refused, and a flood of
//! it must harm nothing. So the queue is bounded in number and bytes, and what is written in bytes a second; what finds no room is
//! counted and let go, and one connection at the most writes. A crash loses what was queued, a moment's worth.

mod again;
mod request;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

pub use self::again::{Again, Believable, checks, look_again};
pub use self::request::{Refused, addressee};
use self::writer::{Waiting, Writer};
use crate::clock::Ids;
use crate::db::refused_webhooks::{Cause, NewRefusedWebhook};
use crate::faults::FaultPoint;
use crate::telemetry::metrics;
use crate::token_bucket::TokenBucket;

/// The most requests that wait to be written.
const MAX_WAITING: usize = 1_024;
/// The most KiB of them together; one that is larger waits alone.
const MAX_KIB: usize = 8 * 1_024;

/// The bytes written a second, in the long run: a fraction of what a disk takes, and thousands of webhooks.
const BYTES_A_SECOND: u64 = 8 * 1_024 * 1_024;
/// The bytes that may be written at once, however little the table holds.
const BURST: u64 = 64 * 1_024 * 1_024;

/// The way into the table.
#[derive(Clone)]
pub struct RefusedWebhooks {
    queue: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
    rate: Arc<TokenBucket>,
    ids: Ids,
    most: i64,
}

impl RefusedWebhooks {
    /// Starts the writer, which keeps at most `most` bytes. It ends when every clone of the handle is gone and the queue is
    /// empty.
    #[must_use]
    pub fn start(pool: PgPool, ids: Ids, faults: FaultPoint, most: i64) -> (Self, JoinHandle<()>) {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        let handle = tokio::spawn(Writer::new(pool, faults, most).run(waiting));
        let (room, rate) = (Arc::new(Semaphore::new(MAX_KIB)), Arc::new(rate(most)));
        (Self { queue, room, rate, ids, most }, handle)
    }

    /// Keeps a request. Returns once it is durable, or could not be kept, or when `patience` is over: then it is kept if it
    /// can be, and nobody waits for it.
    pub async fn keep(&self, refused: Refused<'_>, patience: Duration) {
        let row = refused.into_row(self.ids.next(), self.most / 2);
        let (provider, cause) = (label(&row), row.cause);
        let (done, wait) = oneshot::channel();
        let bytes = u64::try_from(row.bytes).unwrap_or_default();
        let room = (self.rate.take(1, bytes, row.received_at) == 1).then(|| self.room(&row)).flatten();
        let waiting = room.map(|room| Waiting { row, done, _room: room });
        if waiting.is_none_or(|waiting| self.queue.try_send(waiting).is_err()) {
            metrics::refused_webhook(provider, cause.as_str(), false);
            return;
        }
        let _ = tokio::time::timeout(patience, wait).await;
    }

    fn room(&self, row: &NewRefusedWebhook) -> Option<OwnedSemaphorePermit> {
        let kib = usize::try_from(row.bytes / 1_024).unwrap_or(MAX_KIB).clamp(1, MAX_KIB);
        Arc::clone(&self.room).try_acquire_many_owned(u32::try_from(kib).ok()?).ok()
    }
}

/// How much is written. The table is bounded in what it holds; without this bound, a flood would still rewrite it as fast as the
/// disk goes, and the inbox's commits wait for the same disk.
fn rate(most: i64) -> TokenBucket {
    TokenBucket::new(BYTES_A_SECOND, u64::try_from(most).unwrap_or_default().max(BURST))
}

/// Anybody can make up a provider's name; a metric has only those that there are.
fn label(row: &NewRefusedWebhook) -> String {
    if row.cause == Cause::UnknownProvider { "unknown".to_owned() } else { row.provider.clone() }
}
