//! The database that the service runs on: the one that was given, or a private cluster; and the key of the history.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use sqlx::PgPool;

use crate::config::{self, Settings};
use crate::db::migrations::{self, Version};
use crate::db::{PoolOptions, connect, connect_for_migrations, describe};
use crate::domain::chain::HistoryKey;
use crate::embedded::{Cluster, ClusterError, ClusterOptions};

/// How long a database that is away at the start is waited for.
const WAIT: Duration = Duration::from_secs(30);
/// How long a caller waits for a free connection: less than a webhook waits for its answer.
const ACQUIRE: Duration = Duration::from_secs(3);

/// An open database.
pub struct Database {
    /// Its pool.
    pub pool: PgPool,
    /// The private cluster, if it is one. Kept for as long as the pool is used.
    pub cluster: Option<Cluster>,
}

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody has to run `migrate` first.
    #[error(
        "DATABASE_URL: the schema is at version {has} and {needs} is needed; run `account-opening migrate` as its owner"
    )]
    OlderSchema {
        /// What it has.
        has: i64,
        /// What we need.
        needs: i64,
    },
    /// The private cluster cannot be started.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Anything else.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl Database {
    /// Opens the database of these settings. A private cluster is started and migrated; one that was given must be
    /// current.
    ///
    /// # Errors
    /// When it cannot be used.
    pub async fn open(settings: &config::Database) -> Result<Self, OpenError> {
        let Some(url) = &settings.url else { return Self::private(settings).await };
        let pool = pool(settings, url.expose_secret())?;
        check(&pool).await?;
        Ok(Self { pool, cluster: None })
    }

    async fn private(settings: &config::Database) -> Result<Self, OpenError> {
        let options = ClusterOptions {
            data_dir: settings.data_dir.clone(),
            bin_dir: settings.pg_bin_dir.clone(),
            max_connections: u16::try_from(settings.pool + 20).unwrap_or(u16::MAX),
        };
        Self::on(Cluster::start(options).await?, settings).await
    }

    /// Migrates and opens a cluster of our own.
    ///
    /// # Errors
    /// When a migration fails.
    pub async fn on(cluster: Cluster, settings: &config::Database) -> Result<Self, OpenError> {
        let pool = pool(settings, cluster.url())?;
        let connecting = connect_for_migrations(cluster.url(), &settings.schema);
        let mut connection =
            connecting.await.map_err(|error| anyhow!(describe(&error)).context("the private cluster"))?;
        let migrating = migrations::migrate(&mut connection, &settings.schema).await;
        migrating.map_err(|error| anyhow!(migrations::explain(&error)).context("migrating the private cluster"))?;
        drop(connection);
        Ok(Self { pool, cluster: Some(cluster) })
    }

    /// Closes the pool and stops the private cluster.
    pub async fn close(self) {
        self.pool.close().await;
        if let Some(cluster) = self.cluster
            && let Err(error) = cluster.stop().await
        {
            tracing::warn!(%error, "the private cluster did not stop cleanly; the next start recovers it");
        }
    }
}

fn pool(settings: &config::Database, url: &str) -> Result<PgPool, OpenError> {
    let options = PoolOptions {
        url: url.to_owned(),
        schema: settings.schema.clone(),
        max_connections: settings.pool,
        acquire_timeout: ACQUIRE,
    };
    Ok(connect(&options).context("DATABASE_URL cannot be used")?)
}

/// Compares the schema; a database that is away is waited for a while, since it may be starting beside us.
async fn check(pool: &PgPool) -> Result<(), OpenError> {
    let started = Instant::now();
    loop {
        let version = async {
            let mut connection = pool.acquire().await.map_err(|error| anyhow!(describe(&error)))?;
            migrations::version(&mut connection).await.map_err(|error| anyhow!(migrations::explain(&error)))
        };
        match version.await {
            Ok(Version::Usable) => return Ok(()),
            Ok(Version::Older { has, needs }) => return Err(OpenError::OlderSchema { has, needs }),
            Err(error) if started.elapsed() < WAIT => {
                tracing::warn!(%error, "the database does not answer yet; trying again");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(error) => return Err(error.context("DATABASE_URL: the database does not answer").into()),
        }
    }
}

/// The key of the history's chain: the one that was set, else the one kept in the data directory, made where there is
/// none.
///
/// # Errors
/// When the file cannot be read or written.
pub fn history_key(settings: &Settings) -> anyhow::Result<HistoryKey> {
    if let Some(key) = &settings.history_key {
        return Ok(key.clone());
    }
    let directory = &settings.database.data_dir;
    let path = directory.join("history.key");
    if !path.exists() {
        std::fs::create_dir_all(directory).with_context(|| format!("DATA_DIR: cannot make {}", directory.display()))?;
        make_key(&path).with_context(|| format!("HISTORY_KEY: cannot keep a key in {}", path.display()))?;
    }
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("HISTORY_KEY: cannot read {}", path.display()))?;
    let bytes = STANDARD.decode(text.trim()).ok().and_then(|it| <[u8; 32]>::try_from(it).ok());
    let bytes = bytes.with_context(|| format!("HISTORY_KEY: {} does not hold base64 of 32 bytes", path.display()))?;
    Ok(HistoryKey::new(&bytes))
}

/// Written beside and linked into place: half a key would make a history that nobody can verify, and of two services that
/// start together on one directory the second takes the first one's.
fn make_key(path: &Path) -> std::io::Result<()> {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    #[expect(clippy::disallowed_methods, reason = "a key must come from the operating system's randomness")]
    let key: [u8; 32] = rand::random();
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    writeln!(file, "{}", STANDARD.encode(key))?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&beside, path);
    std::fs::remove_file(&beside)?;
    linked.or_else(|error| if error.kind() == std::io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
}
