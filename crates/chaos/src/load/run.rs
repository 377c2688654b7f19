//! State shared by the parts of a load.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::Method;
use rand::{Rng, RngExt};
use tokio_util::sync::CancellationToken;

use super::net::Net;
use super::wire::{Call, Listener};
use super::{Config, Progress};
use crate::files::Recorder;
use crate::provider::World;

pub struct Run {
    pub config: Config,
    pub history: Recorder,
    pub net: Net,
    pub world: Arc<World>,
    /// No new work is wanted.
    pub stop: CancellationToken,
    /// No new work is begun any more.
    pub ended: CancellationToken,
    /// The service is at rest: the followers read to the end.
    pub finishing: CancellationToken,
    pub abort: CancellationToken,
    pub counts: Counts,
    /// The openings that were acknowledged.
    known: Mutex<Vec<String>>,
}

#[derive(Default)]
pub struct Counts {
    pub openings: AtomicU64,
    pub acked: AtomicU64,
    pub messages: AtomicU64,
    pub sent: AtomicU64,
    pub given_up: AtomicU64,
    pub reads: AtomicU64,
    pub events: AtomicU64,
    /// Openings, messages, copies and forgeries that are not through.
    pub pending: AtomicU64,
}

pub fn count(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::Relaxed)
}

impl Run {
    pub fn new(config: Config, history: Recorder, net: Net, world: Arc<World>) -> Self {
        Self {
            config,
            history,
            net,
            world,
            stop: CancellationToken::new(),
            ended: CancellationToken::new(),
            finishing: CancellationToken::new(),
            abort: CancellationToken::new(),
            counts: Counts::default(),
            known: Mutex::default(),
        }
    }

    /// Does a piece of work beside everything else, which a drain waits for.
    pub fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        count(&self.counts.pending);
        let run = Arc::clone(self);
        tokio::spawn(async move {
            run.abort.run_until_cancelled(work).await;
            run.counts.pending.fetch_sub(1, Ordering::Relaxed);
        });
    }

    pub fn replica(&self, rng: &mut impl Rng) -> usize {
        rng.random_range(0..self.net.replicas())
    }

    /// Waits this long; when no new work is begun, only as long as it takes to come to an end.
    pub async fn later(&self, after: Duration) {
        if self.ended.run_until_cancelled(tokio::time::sleep(after)).await.is_none() {
            tokio::time::sleep(after / 16).await;
        }
    }

    /// Remembers an opening for the readers.
    pub fn know(&self, id: String) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).push(id);
    }

    /// Any opening that was acknowledged.
    pub fn any_opening(&self, rng: &mut impl Rng) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let at = (!known.is_empty()).then(|| rng.random_range(0..known.len()))?;
        known.get(at).cloned()
    }

    /// A reading of the internal API.
    pub fn get(&self, path: String) -> Call {
        let headers = vec![("authorization", format!("Bearer {}", self.config.token))];
        Call { listener: Listener::Internal, method: Method::GET, path, headers, body: Bytes::new() }
    }

    pub fn progress(&self) -> Progress {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (counts, answers) = (&self.counts, &self.net.answers);
        let classes =
            [("2xx", &answers.ok), ("4xx", &answers.refused), ("5xx", &answers.failed), ("none", &answers.none)];
        Progress {
            openings: read(&counts.openings),
            acked: read(&counts.acked),
            messages: read(&counts.messages),
            sent: read(&counts.sent),
            given_up: read(&counts.given_up),
            reads: read(&counts.reads),
            events: read(&counts.events),
            pending: read(&counts.pending),
            in_flight: self.net.in_flight(),
            answers: classes.into_iter().map(|(class, counter)| (class, read(counter))).collect(),
        }
    }
}
