//! A private Postgres cluster, run by the service itself where no `DATABASE_URL` is set; also for tests and the demo.
//!
//! ```text
//! programs.rs     finds initdb and postgres           account.rs      the user they run as
//! folder.rs       the data directory and its lock     initialise.rs   makes the cluster, once
//! endpoint.rs     socket or port, URL, first query    predecessor.rs  what a dead service left
//! leash.rs        no process outlives the service     launch.rs       one start, up to the first answer
//! supervisor.rs   start, start again, stop
//! ```
//!
//! Invariant: what was committed survives any crash, of Postgres, of the service, of the machine; one service at a time
//! uses a data directory; other users of the machine cannot connect. A crash leaves no process, and data that the next
//! start recovers.

mod account;
mod endpoint;
mod error;
mod folder;
mod initialise;
mod launch;
mod leash;
mod predecessor;
mod programs;
mod supervisor;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::endpoint::{DATABASE, Endpoint};
pub use self::error::ClusterError;
use self::supervisor::{Orders, Supervisor};

/// Longer than Postgres may take to end, so that this only ever strikes when its supervisor is stuck.
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

/// What a cluster is made and started with.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Where it lives; made where it is missing, kept when the service stops.
    pub data_dir: PathBuf,
    /// `PG_BIN_DIR`: the folder of `initdb` and `postgres`; searched for where not given.
    pub bin_dir: Option<PathBuf>,
    /// Postgres' `max_connections`, at least 10.
    pub max_connections: u16,
    /// More of its settings, by name; none of them overrules what makes commits durable.
    pub settings: Vec<(String, String)>,
}

/// A running cluster. Dropped, Postgres shuts down in the background; [`Cluster::stop`] waits for it.
pub struct Cluster {
    url: String,
    endpoint: Endpoint,
    pid: Arc<AtomicU32>,
    stop: DropGuard,
    stopped: oneshot::Receiver<Result<(), ClusterError>>,
}

impl Cluster {
    /// Starts the cluster in `options.data_dir`, and makes it first where there is none. It is ready when this returns,
    /// and from then on comes back by itself, with the same URL, when Postgres dies.
    pub async fn start(options: ClusterOptions) -> Result<Self, ClusterError> {
        Self::launch(options, None).await
    }

    /// Whether there is one in this data directory, running or not.
    #[must_use]
    pub fn exists(data_dir: &std::path::Path) -> bool {
        data_dir.join(folder::CLUSTER).exists()
    }

    /// A cluster in a temporary directory, which goes when it stops, is dropped, or the process dies. Everything else is
    /// as in [`Cluster::start`], durability too.
    pub async fn temporary(bin_dir: Option<PathBuf>, max_connections: u16) -> Result<Self, ClusterError> {
        let data_dir = std::env::temp_dir();
        Self::temporary_with(ClusterOptions { data_dir, bin_dir, max_connections, settings: Vec::new() }).await
    }

    /// The same with options of the caller's; the temporary directory is made in `options.data_dir`.
    pub async fn temporary_with(mut options: ClusterOptions) -> Result<Self, ClusterError> {
        let temporary = folder::temporary("account-opening-", &options.data_dir)?;
        options.data_dir = temporary.path().to_owned();
        Self::launch(options, Some(temporary)).await
    }

    /// URL of the database `account_opening`, as its superuser. It may hold a password: not for logs.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// URL of another database of the cluster, which need not exist. It may hold a password: not for logs.
    #[must_use]
    pub fn url_for(&self, database: &str) -> String {
        self.endpoint.url(database)
    }

    /// The pid of the postmaster; `None` while it is down.
    #[must_use]
    pub fn postmaster_pid(&self) -> Option<u32> {
        Some(self.pid.load(Ordering::Acquire)).filter(|pid| *pid != 0)
    }

    /// Shuts Postgres down (fast; after ten seconds at once) and waits until it is gone and the directory free. An error
    /// says that it had to be forced: the next start then recovers, and nothing that was committed is lost.
    pub async fn stop(self) -> Result<(), ClusterError> {
        drop(self.stop);
        match tokio::time::timeout(STOPPED_WITHIN, self.stopped).await {
            Ok(Ok(stopped)) => stopped,
            Ok(Err(_)) | Err(_) => Err(ClusterError::NotClean("its supervisor did not answer".to_owned())),
        }
    }

    async fn launch(options: ClusterOptions, temporary: Option<TempDir>) -> Result<Self, ClusterError> {
        let stop = CancellationToken::new();
        let pid = Arc::new(AtomicU32::new(0));
        let orders = Orders {
            data_dir: options.data_dir,
            bin_dir: options.bin_dir,
            max_connections: options.max_connections,
            settings: options.settings,
            temporary: temporary.is_some(),
            stop: stop.clone(),
            pid: Arc::clone(&pid),
        };
        // From here on: a caller who loses patience and drops this future stops the cluster as well.
        let stop = stop.drop_guard();
        let failed = |source| ClusterError::Spawn { what: "the supervisor".to_owned(), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (tell_ready, ready) = oneshot::channel();
        let (tell_stopped, stopped) = oneshot::channel();
        let supervise = move || {
            let result = runtime.block_on(supervise(orders, tell_ready));
            drop(runtime);
            drop(temporary);
            // Nobody listens when the cluster was dropped.
            let _ = tell_stopped.send(result);
        };
        std::thread::Builder::new().name("postgres".to_owned()).spawn(supervise).map_err(failed)?;
        let endpoint = ready.await.unwrap_or(Err(ClusterError::Cancelled))?;
        Ok(Self { url: endpoint.url(DATABASE), endpoint, pid, stop, stopped })
    }
}

async fn supervise(orders: Orders, ready: oneshot::Sender<Result<Endpoint, ClusterError>>) -> Result<(), ClusterError> {
    match Supervisor::start(orders).await {
        Ok(supervisor) => {
            // Nobody listens when the start was given up; then the order to stop is on its way.
            let _ = ready.send(Ok(supervisor.endpoint.clone()));
            supervisor.run().await
        }
        Err(error) => {
            let _ = ready.send(Err(error));
            Ok(())
        }
    }
}
