//! A private Postgres cluster that the service runs itself if `DATABASE_URL` is not set; also for tests and the demo.
//!
//! ```text
//! programs.rs     finds initdb and postgres           account.rs      the user they run as
//! folder.rs       the data directory and its lock     initialise.rs   creates the cluster, once
//! endpoint.rs     socket or port, URL, first query    predecessor.rs  leftovers of a dead service
//! leash.rs        no process outlives the service     launch.rs       one start, until the first answer
//! supervisor.rs   start, restart, stop
//! ```
//!
//! Invariant: commits survive any crash of Postgres, of the service or of the machine; one service at a time uses a
//! data directory; other users of the machine cannot connect. A crash leaves no process, and data that the next start
//! recovers.

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

/// Longer than Postgres may take to stop, so that it only applies if the supervisor hangs.
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

/// Options for creating and starting a cluster.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The data directory; created if missing, kept after the stop.
    pub data_dir: PathBuf,
    /// `PG_BIN_DIR`: the folder of `initdb` and `postgres`. None: search for it.
    pub bin_dir: Option<PathBuf>,
    /// Postgres' `max_connections`, at least 10.
    pub max_connections: u16,
    /// Additional settings by name; they cannot override the durability settings.
    pub settings: Vec<(String, String)>,
}

/// A running cluster. Dropping it stops Postgres in the background; [`Cluster::stop`] waits for it.
pub struct Cluster {
    url: String,
    endpoint: Endpoint,
    pid: Arc<AtomicU32>,
    stop: DropGuard,
    stopped: oneshot::Receiver<Result<(), ClusterError>>,
}

impl Cluster {
    /// Starts the cluster in `options.data_dir`, creating it if missing. It is ready when this returns, and is
    /// restarted with the same URL if Postgres dies.
    pub async fn start(options: ClusterOptions) -> Result<Self, ClusterError> {
        Self::launch(options, None).await
    }

    /// Whether this data directory contains a cluster, running or not.
    #[must_use]
    pub fn exists(data_dir: &std::path::Path) -> bool {
        data_dir.join(folder::CLUSTER).exists()
    }

    /// A cluster in a temporary directory, deleted when the cluster stops or is dropped, or the process dies. Otherwise
    /// like [`Cluster::start`], including durability.
    pub async fn temporary(bin_dir: Option<PathBuf>, max_connections: u16) -> Result<Self, ClusterError> {
        let data_dir = std::env::temp_dir();
        Self::temporary_with(ClusterOptions { data_dir, bin_dir, max_connections, settings: Vec::new() }).await
    }

    /// The same with custom options; the temporary directory is created in `options.data_dir`.
    pub async fn temporary_with(mut options: ClusterOptions) -> Result<Self, ClusterError> {
        let temporary = folder::temporary("account-opening-", &options.data_dir)?;
        options.data_dir = temporary.path().to_owned();
        Self::launch(options, Some(temporary)).await
    }

    /// The superuser's URL of the database `account_opening`. May contain a password: not for logs.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL of another database, which need not exist. May contain a password: not for logs.
    #[must_use]
    pub fn url_for(&self, database: &str) -> String {
        self.endpoint.url(database)
    }

    /// The postmaster's pid. None: it is down.
    #[must_use]
    pub fn postmaster_pid(&self) -> Option<u32> {
        Some(self.pid.load(Ordering::Acquire)).filter(|pid| *pid != 0)
    }

    /// Stops Postgres (fast mode; immediately after ten seconds) and waits until it is gone and the directory is
    /// unlocked. An error means that it had to be killed: the next start recovers, and no commit is lost.
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
        // From here on, dropping this future stops the cluster, too.
        let stop = stop.drop_guard();
        let failed = |source| ClusterError::Spawn { what: "the supervisor".to_owned(), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (tell_ready, ready) = oneshot::channel();
        let (tell_stopped, stopped) = oneshot::channel();
        let supervise = move || {
            let result = runtime.block_on(supervise(orders, tell_ready));
            drop(runtime);
            drop(temporary);
            // The receiver is gone if the cluster was dropped.
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
            // The receiver is gone if the start was cancelled; the cluster then stops at once.
            let _ = ready.send(Ok(supervisor.endpoint.clone()));
            supervisor.run().await
        }
        Err(error) => {
            let _ = ready.send(Err(error));
            Ok(())
        }
    }
}
