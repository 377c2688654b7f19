//! Whether the database takes a write: tried, but not each time that somebody asks.
//!
//! A database whose disk is full answers every question and takes nothing. Only a write tells, and machines ask often: one
//! write a second answers all of them, and while one is under way the others wait for what comes of it. A write that was
//! given up is no answer; the next who asks tries again.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::clock::Time;
use crate::db::{describe, heartbeats};

/// For how long what came of a write is good.
const FRESH: Duration = Duration::from_secs(1);

/// When a write was last tried, and whether it was taken.
#[derive(Clone, Default)]
pub struct Heart(Arc<Mutex<Option<(Instant, bool)>>>);

impl Heart {
    /// Whether the database takes a write, or took one less than a second ago.
    pub async fn beats(&self, connection: &mut PgConnection, now: Time) -> bool {
        let mut last = self.0.lock().await;
        if let Some((at, taken)) = *last
            && at.elapsed() < FRESH
        {
            return taken;
        }
        let written = heartbeats::beat(connection, now).await;
        if let Err(error) = &written {
            tracing::warn!(error = describe(error), "not ready: the database does not take a write");
        }
        *last = Some((Instant::now(), written.is_ok()));
        written.is_ok()
    }
}
