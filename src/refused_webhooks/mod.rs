//! Stores webhooks that the listener refused, so that a mistake of ours loses nothing: a wrong secret, a tolerance too
//! narrow, a proxy that changed the content type.
//!
//! ```text
//! request.rs   the stored parts of a request      writer.rs    the queue to the table, and its bound
//! again.rs     verified again, and stored
//! ```
//!
//! A sender gets its refusal whether or not the request is stored: any client can send such requests, and a flood of
//! them must do no harm. So the queue is bounded in number and bytes, and writes in bytes per second; excess requests
//! are counted and dropped, and at most one connection writes. A crash loses the queue, a moment's worth.

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

/// Maximum queued requests.
const MAX_WAITING: usize = 1_024;
/// Maximum total size of queued requests in KiB; a larger request is queued alone.
const MAX_KIB: usize = 8 * 1_024;

/// The long-term write rate in bytes: a fraction of a disk's, and thousands of webhooks.
const BYTES_A_SECOND: u64 = 8 * 1_024 * 1_024;
/// The maximum burst in bytes, for any size of the table.
const BURST: u64 = 64 * 1_024 * 1_024;

/// The handle that queues refused webhooks.
#[derive(Clone)]
pub struct RefusedWebhooks {
    queue: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
    rate: Arc<TokenBucket>,
    ids: Ids,
    most: i64,
}

impl RefusedWebhooks {
    /// Starts the writer, which keeps at most `most` bytes. It ends when every clone of the handle is dropped and the
    /// queue is empty.
    #[must_use]
    pub fn start(pool: PgPool, ids: Ids, faults: FaultPoint, most: i64) -> (Self, JoinHandle<()>) {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        let handle = tokio::spawn(Writer::new(pool, faults, most).run(waiting));
        let (room, rate) = (Arc::new(Semaphore::new(MAX_KIB)), Arc::new(rate(most)));
        (Self { queue, room, rate, ids, most }, handle)
    }

    /// Stores a request. Returns once it is durable or was dropped, or after `patience`; the writer then continues
    /// without a waiting caller.
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

/// The write rate. The table's size is bounded anyway, but without this bound a flood would rewrite it at the disk's
/// full speed, and the inbox's commits need the same disk.
fn rate(most: i64) -> TokenBucket {
    TokenBucket::new(BYTES_A_SECOND, u64::try_from(most).unwrap_or_default().max(BURST))
}

/// A sender can make up provider names; metrics use only existing ones.
fn label(row: &NewRefusedWebhook) -> String {
    if row.cause == Cause::UnknownProvider { "unknown".to_owned() } else { row.provider.clone() }
}
