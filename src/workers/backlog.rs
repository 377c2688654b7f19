//! Looks how many facts wait in the inbox: beyond `INBOX_BACKLOG` nothing more is taken from outside until there are fewer.
//!
//! Workers that do not keep up would else let the inbox grow for as long as the disk has room, and each day that it has grown
//! ahead is a day that every fact is late. A look counts at most as many as it takes to know, from an index, and the next one
//! waits for twenty times as long as it took, and at most ten seconds. What comes between two looks goes beyond the bound; below
//! it nothing is refused.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::Context;
use crate::db::{WITHIN, acquire, conclude, inbox};
use crate::driver::{Counts, TickError, Worker};
use crate::faults::Step;

/// The part of the time that looks take: one in so many.
const ONE_IN: u32 = 20;
/// The longest until the next look: what is refused meanwhile might be taken.
const AT_LEAST_EVERY: Duration = Duration::from_secs(10);

/// The worker.
pub struct BacklogWatch {
    context: Context,
    next: Arc<Mutex<Option<Instant>>>,
}

impl BacklogWatch {
    /// One that looks at once.
    #[must_use]
    pub fn new(context: Context) -> Self {
        Self { context, next: Arc::default() }
    }
}

/// What a tick saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Facts that are due, as far as they were counted. None: it was too early to look again.
    pub waiting: Option<i64>,
}

impl Counts for Looked {
    /// Never: it is enough to look now and then.
    fn found_work(&self) -> bool {
        false
    }

    fn record(&self) {}
}

#[async_trait]
impl Worker for BacklogWatch {
    type Counts = Looked;

    fn name(&self) -> &'static str {
        "backlog"
    }

    async fn tick(&self) -> Result<Looked, TickError> {
        let now = Instant::now();
        if self.next.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|next| now < next) {
            return Ok(Looked::default());
        }
        let Context { pool, clock, faults, backlog, most_waiting, .. } = &self.context;
        // Of all the workers this one says in the log what refuses a connection, since it never rests for long.
        let mut connection = acquire(pool).await?;
        let started = Instant::now();
        let count = faults.around(self.name(), Step::Claim, inbox::due(&mut connection, clock.now(), *most_waiting));
        let result = tokio::time::timeout(WITHIN, count).await;
        let waiting = conclude(connection, result)?;
        let pause = (started.elapsed() * ONE_IN).clamp(Duration::from_millis(20), AT_LEAST_EVERY);
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + pause);
        let is_full = waiting >= *most_waiting;
        if backlog.set(is_full) {
            let bound = most_waiting;
            if is_full {
                tracing::error!(waiting, bound, "the inbox is full: webhooks are told to come again");
            } else {
                tracing::info!(waiting, bound, "the inbox takes webhooks again");
            }
        }
        Ok(Looked { waiting: Some(waiting) })
    }
}
