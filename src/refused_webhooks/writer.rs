//! The queue to the table. Group commit: requests queued during a commit share the next one, and no commit exceeds the
//! bound.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use sqlx::{Connection, PgPool};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::label;
use crate::db::refused_webhooks::{self, NewRefusedWebhook};
use crate::db::{Fault, WITHIN, classify, conclude, describe};
use crate::faults::{FaultPoint, Step};
use crate::telemetry::metrics;

/// Maximum requests per commit.
const MAX_BATCH: usize = 256;
/// Immediate tries per batch.
const TRIES: usize = 3;

/// A request and its waiting caller.
pub(super) struct Waiting {
    pub row: NewRefusedWebhook,
    /// Notified once it is durable; dropped if it will not be.
    pub done: oneshot::Sender<()>,
    /// Its share of the queue's memory.
    pub _room: OwnedSemaphorePermit,
}

pub(super) struct Writer {
    pool: PgPool,
    faults: FaultPoint,
    most: i64,
}

impl Writer {
    pub const fn new(pool: PgPool, faults: FaultPoint, most: i64) -> Self {
        Self { pool, faults, most }
    }

    pub async fn run(self, mut queue: mpsc::Receiver<Waiting>) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        while queue.recv_many(&mut batch, MAX_BATCH).await > 0 {
            let write = AssertUnwindSafe(self.write(std::mem::take(&mut batch))).catch_unwind();
            if write.await.is_err() {
                tracing::error!("storing refused webhooks panicked; they are lost");
            }
        }
    }

    /// Writes a batch in one commit; if the database refuses it, each request separately.
    async fn write(&self, batch: Vec<Waiting>) {
        let rows: Vec<&NewRefusedWebhook> = batch.iter().map(|it| &it.row).collect();
        match self.keep(&rows).await {
            Ok(()) => batch.into_iter().for_each(kept),
            Err(error) if batch.len() > 1 && classify(&error) == Fault::Permanent => {
                tracing::warn!(
                    cause = describe(&error),
                    "the database refused a batch of refused webhooks; storing them one by one"
                );
                for waiting in batch {
                    match self.keep(&[&waiting.row]).await {
                        Ok(()) => kept(waiting),
                        Err(error) => lost(vec![waiting], &error),
                    }
                }
            }
            Err(error) => lost(batch, &error),
        }
    }

    async fn keep(&self, rows: &[&NewRefusedWebhook]) -> sqlx::Result<()> {
        let mut tries = 1;
        loop {
            match self.keep_once(rows).await {
                Err(error) if tries < TRIES && classify(&error) == Fault::Contention => tries += 1,
                result => return result,
            }
        }
    }

    async fn keep_once(&self, rows: &[&NewRefusedWebhook]) -> sqlx::Result<()> {
        let mut sources: Vec<String> = rows.iter().map(|it| it.source.clone()).collect();
        sources.sort_unstable();
        sources.dedup();
        let mut connection = self.pool.acquire().await?;
        let keeping = async {
            let mut transaction = connection.begin().await?;
            let keep = async {
                refused_webhooks::insert(&mut transaction, rows).await?;
                refused_webhooks::trim(&mut transaction, &sources, self.most).await
            };
            let gone = self.faults.around("rejected", Step::Settle, keep).await?;
            self.faults.around("rejected", Step::Commit, transaction.commit()).await?;
            if gone > 0 {
                tracing::debug!(gone, "deleted the oldest refused webhooks to make room");
            }
            Ok(())
        };
        let result = tokio::time::timeout(WITHIN, keeping).await;
        conclude(connection, result)
    }
}

fn kept(waiting: Waiting) {
    metrics::refused_webhook(label(&waiting.row), waiting.row.cause.as_str(), true);
    let _ = waiting.done.send(());
}

/// The senders have their refusals; the loss is only logged and counted.
fn lost(batch: Vec<Waiting>, error: &sqlx::Error) {
    tracing::warn!(
        cause = describe(error),
        requests = batch.len(),
        "refused webhooks could not be stored; they are lost"
    );
    for waiting in batch {
        metrics::refused_webhook(label(&waiting.row), waiting.row.cause.as_str(), false);
    }
}
