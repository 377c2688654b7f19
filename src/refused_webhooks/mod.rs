//! Stores webhooks that the listener refused, so that a mistake of ours loses nothing: a wrong secret, a tolerance too
//! narrow, a proxy that changed the content type.
//!
//! ```text
//! request.rs   the stored parts of a request      writer.rs    one commit for many, and the bound
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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

pub use self::again::{Again, Believable, checks, look_again};
pub use self::request::{Refused, addressee};
use self::writer::{Keep, Waiting};
use crate::clock::Ids;
use crate::db::refused_webhooks::{Cause, NewRefusedWebhook};
use crate::faults::FaultPoint;
use crate::group_commit::GroupCommit;
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
    queue: GroupCommit<Keep>,
    memory: Arc<Semaphore>,
    rate: Arc<TokenBucket>,
    ids: Ids,
    max_bytes: i64,
}

impl RefusedWebhooks {
    /// Starts the writer, which keeps at most `max_bytes`. It ends when every clone of the handle is gone and the queue is empty.
    #[must_use]
    pub fn start(pool: PgPool, ids: Ids, faults: FaultPoint, max_bytes: i64) -> (Self, JoinHandle<()>) {
        let (queue, writer) = GroupCommit::start(MAX_WAITING, Keep { pool, faults, max_bytes });
        let (memory, rate) = (Arc::new(Semaphore::new(MAX_KIB)), Arc::new(rate(max_bytes)));
        (Self { queue, memory, rate, ids, max_bytes }, writer)
    }

    /// Keeps a request. Returns once it is durable, or could not be kept, or when `patience` is over: then it is written later.
    pub async fn keep(&self, refused: Refused<'_>, patience: Duration) {
        let row = refused.into_row(self.ids.next(), self.max_bytes / 2);
        let (provider, cause) = (label(&row), row.cause);
        let bytes = u64::try_from(row.bytes).unwrap_or_default();
        let memory = (self.rate.take(1, bytes, row.received_at) == 1).then(|| self.memory(&row)).flatten();
        let Some(memory) = memory else {
            return metrics::refused_webhook(provider, cause.as_str(), false);
        };
        let queue = self.queue.clone();
        let writing = tokio::spawn(async move {
            let kept = queue.write(Waiting { row, _memory: memory }).await.is_ok();
            metrics::refused_webhook(provider, cause.as_str(), kept);
        });
        let _ = tokio::time::timeout(patience, writing).await;
    }

    fn memory(&self, row: &NewRefusedWebhook) -> Option<OwnedSemaphorePermit> {
        let kib = usize::try_from(row.bytes / 1_024).unwrap_or(MAX_KIB).clamp(1, MAX_KIB);
        Arc::clone(&self.memory).try_acquire_many_owned(u32::try_from(kib).ok()?).ok()
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
