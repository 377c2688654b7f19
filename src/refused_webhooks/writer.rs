//! The commit behind the queue of refused webhooks: a batch of them, and no commit leaves more than the bound.

use async_trait::async_trait;
use sqlx::{Connection, PgPool};
use tokio::sync::OwnedSemaphorePermit;

use crate::db::refused_webhooks::{self, NewRefusedWebhook};
use crate::db::{WITHIN, conclude};
use crate::faults::{FaultPoint, Step};
use crate::group_commit::Commit;

/// A request, and the memory that it holds until it is written.
pub(super) struct Waiting {
    pub row: NewRefusedWebhook,
    pub _memory: OwnedSemaphorePermit,
}

pub(super) struct Keep {
    pub pool: PgPool,
    pub faults: FaultPoint,
    pub max_bytes: i64,
}

#[async_trait]
impl Commit for Keep {
    type Item = Waiting;
    type Answer = ();

    const NAME: &'static str = "refused_webhooks";

    async fn commit(&self, items: &[Waiting]) -> sqlx::Result<Vec<()>> {
        let rows: Vec<&NewRefusedWebhook> = items.iter().map(|it| &it.row).collect();
        let mut sources: Vec<String> = rows.iter().map(|it| it.source.clone()).collect();
        sources.sort_unstable();
        sources.dedup();
        let mut connection = self.pool.acquire().await?;
        let keeping = async {
            let mut transaction = connection.begin().await?;
            let keep = async {
                refused_webhooks::insert(&mut transaction, &rows).await?;
                refused_webhooks::trim(&mut transaction, &sources, self.max_bytes).await
            };
            let gone = self.faults.around("rejected", Step::Settle, keep).await?;
            self.faults.around("rejected", Step::Commit, transaction.commit()).await?;
            if gone > 0 {
                tracing::debug!(gone, "the oldest refused webhooks were deleted for newer ones");
            }
            Ok(vec![(); items.len()])
        };
        let result = tokio::time::timeout(WITHIN, keeping).await;
        conclude(connection, result)
    }
}
