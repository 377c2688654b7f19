//! The commit behind the queue of webhooks: all facts of a batch of messages in one transaction.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{Connection, PgPool};
use tokio::sync::Notify;

use crate::db::inbox::{self, NewFact, Stored};
use crate::db::{WITHIN, conclude};
use crate::faults::{FaultPoint, Step};
use crate::group_commit::Commit;

/// Stores messages, each as its rows, and wakes the inbox worker.
pub(super) struct StoreMessages {
    pub pool: PgPool,
    pub wake: Arc<Notify>,
    pub faults: FaultPoint,
}

#[async_trait]
impl Commit for StoreMessages {
    type Item = Vec<NewFact>;
    /// The result of the message's first row.
    type Answer = Stored;

    const NAME: &'static str = "webhooks";

    async fn commit(&self, messages: &[Vec<NewFact>]) -> sqlx::Result<Vec<Stored>> {
        let mut connection = self.pool.acquire().await?;
        let storing = async {
            let mut transaction = connection.begin().await?;
            let insert = inbox::insert(&mut transaction, messages.iter().flatten());
            let stored = self.faults.around("ingest", Step::Settle, insert).await?;
            // A lost answer to this commit is an error here: the sender comes again and finds its key taken.
            self.faults.around("ingest", Step::Commit, transaction.commit()).await?;
            Ok::<_, sqlx::Error>(stored)
        };
        let result = tokio::time::timeout(WITHIN, storing).await;
        let mut stored = conclude(connection, result)?.into_iter();
        self.wake.notify_one();
        let mut of_message = |rows: usize| stored.by_ref().take(rows).collect::<Vec<_>>().first().copied();
        Ok(messages.iter().map(|rows| of_message(rows.len()).unwrap_or(Stored::New)).collect())
    }
}
