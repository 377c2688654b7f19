//! Starts Postgres, restarts it when it dies, and stops it on request.
//!
//! The supervisor has its own thread and runtime. So the cluster answers however busy the service's runtime is, and survives the
//! runtime that started it (such as a single test's).
//!
//! Invariant: until it is stopped, either Postgres runs or the next attempt to start it is at most [`LONGEST_BACKOFF`]
//! away. A crash leaves no process (see `leash.rs`); the cluster recovers from its log at the next start.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ClusterError;
use super::endpoint::Endpoint;
use super::folder::Folder;
use super::initialise::initialise;
use super::launch::launch;
use super::leash::Leash;
use super::programs::{Programs, Search};

const BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);
/// How long the first start is retried for obstacles that disappear by themselves.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Orders {
    pub(super) data_dir: PathBuf,
    pub(super) bin_dir: Option<PathBuf>,
    pub(super) max_connections: u16,
    pub(super) settings: Vec<(String, String)>,
    pub(super) temporary: bool,
    /// Cancelled to stop the cluster.
    pub(super) stop: CancellationToken,
    /// The postmaster's pid for readers; 0 while it is down.
    pub(super) pid: Arc<AtomicU32>,
}

/// A cluster that was answering when this was made.
pub(super) struct Supervisor {
    orders: Orders,
    folder: Folder,
    programs: Programs,
    pub(super) endpoint: Endpoint,
    leash: Leash,
}

impl Supervisor {
    /// Creates the cluster if missing, and starts it.
    pub(super) async fn start(orders: Orders) -> Result<Self, ClusterError> {
        let folder = Folder::open(&orders.data_dir, orders.temporary).await?;
        let version = folder.version()?;
        let search = Search::machine(orders.bin_dir.clone());
        let programs = search.find(&folder.account, &folder.cluster(), version.as_deref()).await?;
        match orders.stop.run_until_cancelled(initialise(&folder, &programs)).await {
            Some(made) => made?,
            None => return Err(ClusterError::Cancelled),
        }
        let (endpoint, leash) = start_patiently(&orders, &folder, &programs).await?;
        tracing::info!(
            data_dir = %folder.path().display(),
            version = programs.major,
            pid = leash.pid,
            user = folder.account.name,
            "private PostgreSQL is ready"
        );
        Ok(Self { orders, folder, programs, endpoint, leash })
    }

    /// Keeps it running until it is stopped.
    pub(super) async fn run(mut self) -> Result<(), ClusterError> {
        loop {
            let ended = tokio::select! {
                biased;
                () = self.orders.stop.cancelled() => break,
                ended = self.leash.ended() => ended.map_or_else(|error| error.to_string(), |status| status.to_string()),
            };
            self.orders.pid.store(0, Ordering::Release);
            tracing::warn!(ended, "private PostgreSQL exited; restarting it");
            match self.revive().await {
                Some(leash) => self.leash = leash,
                None => return Ok(()),
            }
        }
        self.orders.pid.store(0, Ordering::Release);
        let stopped = self.leash.stop().await;
        tracing::info!(data_dir = %self.folder.path().display(), clean = stopped.is_ok(), "private PostgreSQL is stopped");
        stopped
    }

    /// Retries until Postgres is back at the same address. None: stopped meanwhile.
    async fn revive(&self) -> Option<Leash> {
        let mut backoff = BACKOFF;
        loop {
            self.orders.stop.run_until_cancelled(tokio::time::sleep(backoff)).await?;
            match launch(&self.orders, &self.folder, &self.programs, &self.endpoint).await {
                Ok(leash) => {
                    tracing::info!(pid = leash.pid, "private PostgreSQL is back");
                    return Some(leash);
                }
                Err(ClusterError::Cancelled) => return None,
                Err(error) => tracing::warn!(%error, "private PostgreSQL did not start; retrying"),
            }
            backoff = LONGEST_BACKOFF.min(backoff * 2);
        }
    }
}

/// The first start, retried while processes of a killed predecessor are still exiting, or if another process took the
/// port between its choice and its use.
async fn start_patiently(
    orders: &Orders,
    folder: &Folder,
    programs: &Programs,
) -> Result<(Endpoint, Leash), ClusterError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let endpoint = Endpoint::choose(folder)?;
        match launch(orders, folder, programs, &endpoint).await {
            Ok(leash) => return Ok((endpoint, leash)),
            Err(error) if passes_by_itself(&error) && Instant::now() < deadline => tokio::time::sleep(BACKOFF).await,
            Err(error) => return Err(error),
        }
    }
}

fn passes_by_itself(error: &ClusterError) -> bool {
    const REASONS: [&str; 3] = ["pre-existing shared memory block", "\"postmaster.pid\" already exists", "in use"];
    matches!(error, ClusterError::Ended { log, .. } if REASONS.iter().any(|reason| log.contains(reason)))
}
