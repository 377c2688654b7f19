//! One Postgres for all tests of the run, and a schema of its own for each: one schema is one cell.

use std::sync::atomic::{AtomicU32, Ordering};

use account_opening::embedded::Cluster;
use tokio::sync::OnceCell;

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
static SCHEMAS: AtomicU32 = AtomicU32::new(0);

/// The URL of the database, and the name of a schema that nobody else uses. It ends with the process.
pub async fn fresh_schema() -> (String, String) {
    let cluster = CLUSTER.get_or_init(|| async { Cluster::temporary(None, 300).await.unwrap() }).await;
    let number = SCHEMAS.fetch_add(1, Ordering::SeqCst);
    (cluster.url().to_owned(), format!("cell_{number}"))
}
