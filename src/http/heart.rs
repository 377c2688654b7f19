//! Checks whether the database accepts writes, at most once a second.
//!
//! A database with a full disk answers queries but accepts no writes; only a write shows that. Probes are frequent, so
//! one write per second answers all of them, and probes during a write wait for its result. A cancelled write has no
//! result; the next probe tries again.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::clock::Time;
use crate::db::{describe, heartbeats};

/// How long a result stays valid.
const FRESH: Duration = Duration::from_secs(1);

/// The time and the result of the last write.
#[derive(Clone, Default)]
pub struct Heart(Arc<Mutex<Option<(Instant, bool)>>>);

impl Heart {
    /// Whether the database accepts a write, or accepted one less than a second ago.
    pub async fn beats(&self, connection: &mut PgConnection, now: Time) -> bool {
        let mut last = self.0.lock().await;
        if let Some((at, taken)) = *last
            && at.elapsed() < FRESH
        {
            return taken;
        }
        let written = heartbeats::beat(connection, now).await;
        if let Err(error) = &written {
            tracing::warn!(error = describe(error), "not ready: the database refuses writes");
        }
        *last = Some((Instant::now(), written.is_ok()));
        written.is_ok()
    }
}
